"""A file of outcomes, and how it is split into what is fitted and what is reported."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray

from processors.route.quality.outcomes import Outcome, digest, fold, folds_of_topics

Indices = NDArray[np.int64]
UNSEEN_SUBJECTS = "unseen subjects"
UNSEEN_ROWS = "unseen rows of seen subjects"
_SUBJECT_PARTS = 8
_ROW_PARTS = 6


@dataclass(frozen=True, slots=True)
class Fold:
    """A model is fitted on `train`; its gains of `tested` are those of rows that it did not see."""

    train: Indices
    tested: Indices


@dataclass(frozen=True, slots=True)
class Repeat:
    """`folds` of each way of leaving out; `parts`: the way, and the rows of which figures are reported."""

    folds: Mapping[str, Sequence[Fold]]
    parts: Mapping[str, tuple[str, Indices]]


def read(path: Path) -> tuple[list[Outcome], list[str]]:
    """The rows of a JSON-lines file of the columns source, subject, prompt, weak_correct, strong_correct; and their sources."""
    rows, sources = [], []
    for line in path.read_bytes().splitlines():
        row = orjson.loads(line)
        topic = f"{row['source']}/{row['subject']}"
        rows.append(Outcome(row["prompt"], topic, float(row["weak_correct"]), float(row["strong_correct"])))
        sources.append(row["source"])
    return rows, sources


def within(rows: Sequence[Outcome], sources: Sequence[str], repeats: int) -> Iterator[Repeat]:
    """Of one file: each subject is left out once, and each row once; parted otherwise in each repeat."""
    several = _several(rows, sources)
    every = np.arange(len(rows))
    for repeat in range(repeats):
        salt = str(repeat)
        part_of = folds_of_topics((row.topic for row, many in zip(rows, several, strict=True) if many), _SUBJECT_PARTS, salt=salt)
        by_subject = np.array([part_of.get(row.topic, -1) for row in rows])
        by_row = np.array([fold(digest(row), _ROW_PARTS, salt=salt) for row in rows])
        folds = {
            UNSEEN_SUBJECTS: [Fold(every[by_subject != part], every[by_subject == part]) for part in set(part_of.values())],
            UNSEEN_ROWS: [Fold(every[by_row != part], every[by_row == part]) for part in range(_ROW_PARTS)],
        }
        yield Repeat(folds, _parts(sources, several, every[several], every))


def beside(rows: Sequence[Outcome], sources: Sequence[str], fitted: Sequence[Outcome]) -> Repeat:
    """Of a larger file: all of `fitted` trains, and what the file holds besides is reported. Indices: `fitted`, then `rows`."""
    known = {_key(row) for row in fitted}
    topics = {row.topic for row in fitted}
    new = np.array([_key(row) not in known for row in rows])
    unseen = np.array([row.topic not in topics for row in rows])
    train, tested = np.arange(len(fitted)), np.flatnonzero(new)
    parts = _parts(sources, _several(rows, sources), np.flatnonzero(new & unseen), np.flatnonzero(new & ~unseen))
    shifted = {name: (way, indices + len(fitted)) for name, (way, indices) in parts.items()}
    every = [Fold(train, tested + len(fitted))]
    return Repeat({UNSEEN_SUBJECTS: every, UNSEEN_ROWS: every}, shifted)


def _parts(
    sources: Sequence[str], several: NDArray[np.bool_], unseen: Indices, others: Indices
) -> dict[str, tuple[str, Indices]]:
    """Sources of many subjects are reported together, one of a single subject alone."""
    parts = {UNSEEN_SUBJECTS: (UNSEEN_SUBJECTS, unseen), UNSEEN_ROWS: (UNSEEN_ROWS, others[several[others]])}
    for source in sorted(set(sources)):
        alone = others[~several[others] & (np.array(sources)[others] == source)]
        parts[f"unseen rows of {source}"] = (UNSEEN_ROWS, alone)
    return {part: (way, indices) for part, (way, indices) in parts.items() if len(indices)}


def _several(rows: Sequence[Outcome], sources: Sequence[str]) -> NDArray[np.bool_]:
    """Whether the source of a row has more than one subject."""
    subjects = _subjects(rows, sources)
    return np.array([len(subjects[source]) > 1 for source in sources])


def _subjects(rows: Sequence[Outcome], sources: Sequence[str]) -> dict[str, set[str]]:
    subjects = defaultdict(set)
    for row, source in zip(rows, sources, strict=True):
        subjects[source].add(row.topic)
    return subjects


def _key(row: Outcome) -> bytes:
    return hashlib.sha256(row.text.encode()).digest()
