"""Checks an operator's file strictly. What is wrong is told by its key, with what to do; a value is never repeated."""

import re
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.errors import SettingsError


class Strict(BaseModel):
    """A mapping of the file: it takes its own keys and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


M = TypeVar("M", bound=Strict)


def validated(model: type[M], content: Any, source: str) -> M:
    """The content as `model`. Raises SettingsError, which names `source`, every key that is wrong, and what to do."""
    if not isinstance(content, dict):
        raise SettingsError(f"{source} holds no mapping of keys; it needs {', '.join(model.model_fields)}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        problems = [f"  {_where(e['loc'], content)}: {_told(e)}" for e in error.errors(include_input=False, include_url=False)]
        raise SettingsError("\n".join([f"{source} cannot be used; correct these keys:", *problems])) from None


def _where(location: tuple[int | str, ...], content: dict[str, Any]) -> str:
    """The key's path, with the name of the deployment that it belongs to."""
    path = re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in location))
    if len(location) > 1 and location[0] == "deployments" and isinstance(location[1], int):
        entry = content["deployments"][location[1]]
        name = entry.get("name") or entry.get("model") if isinstance(entry, dict) else None
        return f"{path} (deployment {name})" if isinstance(name, str) and name.isprintable() else path
    return path


def _told(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "is no key of this file; check its spelling or remove it"
    if error["type"] == "missing":
        return "is missing"
    if error["loc"][-1] == "key_env":
        return "names the environment variable that holds the key, such as OPENAI_API_KEY; the key itself never stands here"
    return str(error["msg"]).removeprefix("Value error, ")
