"""YAML files that the operator wrote: read with a bound, parsed strictly, and what is wrong with them in words."""

from pathlib import Path
from typing import Any

import yaml

from schemas.errors import SettingsError

MAX_FILE_BYTES = 4_000_000


def text_of(path: Path, variable: str) -> str:
    """The text of a file that `variable` names. Raises SettingsError when it cannot be read, or is too large."""
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise SettingsError(f"{path} has {size} bytes, {MAX_FILE_BYTES} are allowed; is it the right file?")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({type(error).__name__}); correct {variable}") from error


def parsed(text: str, source: str) -> Any:
    """What the YAML says; `source` names it. Raises SettingsError, with the place, for what is no YAML."""
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "is no YAML"
        raise SettingsError(f"{source} cannot be read{where}: {problem}") from error


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)
