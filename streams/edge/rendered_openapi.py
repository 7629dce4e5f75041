"""The OpenAPI document as a page."""

from collections.abc import Mapping
from typing import Any

from streams.edge.rendered_html import anchor, code, page, said, table

_DEEPEST = 4


def paths_page(document: Mapping[str, Any]) -> str:
    """The page: the paths by their tags, then the schemas."""
    by_tag: dict[str, list[str]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[operation["tags"][0]].append(_operation(method.upper(), path, operation))
    schemas = document["components"]["schemas"]
    parts = [f'<section aria-labelledby="{anchor(tag)}">{_heading(tag)}{"".join(each)}</section>' for tag, each in by_tag.items()]
    described = "".join(_schema(name, schema) for name, schema in schemas.items())
    parts.append(f'<section aria-labelledby="schemas-of-bodies">{_heading("Schemas of bodies")}{described}</section>')
    names = [*by_tag, "Schemas of bodies"]
    links = [(name, f"#{anchor(name)}") for name in names]
    links += [("As JSON", "/openapi.json"), ("Topics", "/docs/topics")]
    return page("Penstock: HTTP interface", document["info"]["description"], links, "".join(parts))


def _heading(name: str) -> str:
    return f'<h2 id="{anchor(name)}">{said(name)}</h2>'


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [
        (code(each["name"]), each["in"] + (", required" if each["required"] else ""), _type(each["schema"]), said(_told(each)))
        for each in operation.get("parameters", ())
    ]
    sent = "".join(
        f"<h4>Body</h4><p>{_type(content['schema'])} as {code(media)}</p>"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = [
        (code(status), said(answer["description"]), _contents(answer)) for status, answer in operation["responses"].items()
    ]
    described = "".join(f"<p>{said(part)}</p>" for part in operation.get("description", "").split("\n\n") if part)
    return (
        f'<details id="{anchor(f"{method} {path}")}"><summary><span class="method">{method}</span> <h3>{said(path)}</h3> '
        f'<span class="what">{said(operation["summary"])}</span></summary><div>{described}'
        f"{table('Parameters', ('Name', 'Where', 'Type', 'What it says'), rows)}{sent}"
        f"{table('Answers', ('Status', 'When', 'Body'), answers)}</div></details>"
    )


def _contents(answer: Mapping[str, Any]) -> str:
    return "<br>".join(
        f"{_type(content['schema'])} as {code(media)}" if "schema" in content else f"events as {code(media)}"
        for media, content in answer.get("content", {}).items()
    )


def _told(each: Mapping[str, Any]) -> str:
    return str(each.get("description", ""))


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = [
        (code(field), _type(each) + (", always" if field in required else ""), said(_told(each)))
        for field, each in schema.get("properties", {}).items()
    ]
    told = f"<p>{said(_told(schema))}</p>" if _told(schema) else ""
    if "$ref" in schema:
        told += f"<p>All that {_type(schema)} has, and:</p>"
    fields = table("Fields", ("Name", "Type", "What it says"), rows) or f"<p>{_type(schema)}</p>"
    return f'<details id="schema-{anchor(name)}"><summary><h3>{said(name)}</h3></summary><div>{told}{fields}</div></details>'


def _type(schema: Mapping[str, Any], depth: int = 0) -> str:
    """A schema in few words, named ones as links."""
    if isinstance(target := schema.get("$ref"), str):
        name = target.rpartition("/")[2]
        return f'<a href="#schema-{anchor(name)}">{said(name)}</a>'
    if depth > _DEEPEST:
        return "…"
    if "const" in schema or "enum" in schema:
        return " | ".join(code(str(each)) for each in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " | ".join(_type(each, depth + 1) for each in schema["anyOf"])
    kinds = schema.get("type", "anything")
    words = " | ".join(said(kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if "items" in schema:
        return f"{words} of {_type(schema['items'], depth + 1)}"
    return f"{words} ({said(schema['format'])})" if "format" in schema else words
