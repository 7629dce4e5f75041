"""The corpus that the head is trained on: lines written for it, and templates filled by a seeded draw."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from processors.classify.kinds import TaskKind

FOLDER = Path(__file__).with_name("corpus")
CONTINUES = "any"
LINES, SECOND, TEMPLATES = "lines", "second", "templates"
_FILLINGS = 14
_DRAWN_WEIGHT = 0.35
_FRAMES = 2
_FRAMED_WEIGHT = 0.5
_ASKED_IN_ROLE = frozenset(
    {TaskKind.REASONING, TaskKind.MATH, TaskKind.CODING, TaskKind.STEM, TaskKind.HUMANITIES, TaskKind.OTHER}
)
_IN_ROLE_CHARS = 160
_IN_ROLE_WEIGHT = 0.15
_slot = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Example:
    """A text and its kind; `continues` is how far it goes on with the turn before.

    Examples of a group never part in a split. `source` says which files the text, or the line within it, comes from.
    """

    text: str
    kind: TaskKind | None
    group: str
    weight: float = 1.0
    continues: float = 0.0
    source: str = TEMPLATES


def examples(seed: int = 7) -> list[Example]:
    """The whole corpus, the same for the same seed."""
    draw = random.Random(seed)
    own = [*_written()]
    return [*own, *_framed(own, draw), *_in_role(own, draw), *_follow_ups(), *_drawn(draw)]


def _written() -> Iterator[Example]:
    for kind in TaskKind:
        for number, line in enumerate(_lines(f"{kind}.txt")):
            yield Example(_unescape(line), kind, f"{kind}-{number}", source=LINES)
    for number, line in enumerate(_lines("second.txt")):
        name, text = line.split(" | ", 1)
        yield Example(_unescape(text), TaskKind(name), f"second-{number}", source=SECOND)


def _framed(own: list[Example], draw: random.Random) -> Iterator[Example]:
    """The same lines among sentences that fit any kind: what a long prompt says besides its task must not decide."""
    framing = list(_lines("framing.txt"))
    before = [line[2:] for line in framing if line.startswith("+ ")]
    after = [line[2:] for line in framing if line.startswith("- ")]
    for example in own:
        if example.kind in {TaskKind.CHAT, TaskKind.OTHER} or not example.text.isascii():
            continue
        for _ in range(_FRAMES):
            first = [draw.choice(before)] if draw.random() < 0.5 else []
            last = draw.sample(after, draw.choice((0, 1, 1, 2, 3)) if first else draw.choice((1, 1, 2, 3)))
            joint = draw.choice((" ", "\n", "\n\n"))
            text = joint.join((*first, example.text, " ".join(last))).strip()
            yield Example(text, example.kind, example.group, _FRAMED_WEIGHT, source=example.source)


def _in_role(own: list[Example], draw: random.Random) -> Iterator[Example]:
    """Questions of other kinds, asked of someone in a role: the role decides, whatever is asked."""
    openings, slots = _lines("in_role.txt"), dict(_slots())
    for example in own:
        if example.kind in _ASKED_IN_ROLE and example.text.isascii() and len(example.text) < _IN_ROLE_CHARS:
            opening = _fill(draw.choice(openings), slots, draw)
            yield Example(f"{opening} {example.text}", TaskKind.ROLEPLAY, example.group, _IN_ROLE_WEIGHT, source=example.source)


def _follow_ups() -> Iterator[Example]:
    for number, line in enumerate(_lines("follow_ups.txt")):
        kind, text = line.split(" | ", 1)
        if kind == CONTINUES:
            yield Example(_unescape(text), None, f"follow-{number}", 1.5, 1.0)
        else:
            yield Example(_unescape(text), TaskKind(kind), f"follow-{number}", 1.0, 0.6)


def _drawn(draw: random.Random) -> Iterator[Example]:
    slots = dict(_slots())
    for number, line in enumerate(_lines("templates.txt")):
        kind, template = line.split(" | ", 1)
        texts = {_unescape(_fill(template, slots, draw)) for _ in range(_FILLINGS)}
        for text in sorted(texts):
            named, continues = (None, 1.0) if kind == CONTINUES else (TaskKind(kind), 0.0)
            yield Example(text, named, f"template-{number}", _DRAWN_WEIGHT, continues)


def _fill(template: str, slots: dict[str, list[str]], draw: random.Random) -> str:
    def one(found: re.Match[str]) -> str:
        return _fill(draw.choice(slots[found[1]]), slots, draw) if found[1] in slots else found[0]

    return _slot.sub(one, template)


def _slots() -> Iterator[tuple[str, list[str]]]:
    for line in _lines("slots.txt"):
        name, values = line.split(": ", 1)
        yield name, values.split(" \u00a6 " if "\u00a6" in values else "; ")


def _lines(name: str) -> list[str]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("# ")]


def _unescape(text: str) -> str:
    return text.strip().replace("\\n", "\n")
