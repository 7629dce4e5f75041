"""The code blocks of the README and of docs/, by language."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    page: str
    line: int
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str) -> list[Block]:
    """Every block of the language, in the order of the pages."""
    found: list[Block] = []
    for page in PAGES:
        text = page.read_text("utf-8")
        found += [
            Block(page.name, text.count("\n", 0, match.start()) + 1, match[1], match[2])
            for match in _BLOCK.finditer(text)
            if match[1] == language
        ]
    return found
