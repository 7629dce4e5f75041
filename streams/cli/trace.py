"""Recorded load as requests: a CSV of times and sizes (the columns of the Azure LLM inference traces).

Pure. Each row becomes a chat request whose prompt starts with `[[sim in=<ContextTokens> out=<GeneratedTokens>]]`, which the
simulator obeys to the token, followed by filler of about that many tokens, so that the size is honest for real providers too.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from processors.api.bad_request import BadRequest
from schemas.errors import SettingsError
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Sampling

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MAX_TOKENS = 1_000_000
# Three letters and a blank: four characters, and one token in the common vocabularies.
_LAP = (
    "the and for are but not you all any can had her was one our out day get has him his how man new now old see two way who "
    "its did let put say she too use big boy eat far fun got hot job key law lot low mix off own pay red run set sit six sky "
    "sun tax ten top try war win yes yet add age air art ask bad bed box"
)
_WORDS = tuple(_LAP.split())
_OVERHEAD_TOKENS = 24  # the marker, and what a chat's envelope takes


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded request: `at_s` seconds after the trace's first."""

    number: int
    at_s: float
    input_tokens: int
    output_tokens: int


def read_trace(lines: Iterable[str], *, limit: int | None = None) -> Iterator[Row | tuple[int, BadRequest]]:
    """The rows in the order of the file; a bad one as its line number and what is wrong.

    Raises SettingsError when a column is missing.
    """
    reader = csv.DictReader(lines)
    missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
    if missing:
        raise SettingsError(f"the trace has no column {', '.join(missing)}; its first line must name {', '.join(COLUMNS)}")
    first: datetime | None = None
    for count, row in enumerate(reader):
        if limit is not None and count >= limit:
            return
        try:
            time = _time(row["TIMESTAMP"])
            first = first or time
            sizes = _tokens(row["ContextTokens"], "ContextTokens"), _tokens(row["GeneratedTokens"], "GeneratedTokens")
        except BadRequest as bad:
            yield reader.line_num, bad
            continue
        yield Row(reader.line_num, max(0.0, (time - first).total_seconds()), *sizes)


def request_of(row: Row, *, source: str, tenant: str, model: str) -> InferenceRequest:
    """The request that stands for a row. It bypasses the cache: a replayed load is to be called, not remembered.

    >>> row = Row(2, 0.0, 4808, 10)
    >>> text = request_of(row, source="trace", tenant="acme", model="auto").messages[0].content
    >>> text[:25], len(text) // 4
    ('[[sim in=4808 out=10]] re', 4793)
    """
    return InferenceRequest(
        request_id=f"{source}-{row.number}",
        tenant=tenant,
        model=model,
        messages=(Message("user", _prompt(row, source)),),
        sampling=Sampling(max_output_tokens=max(1, row.output_tokens)),
        cache=CachePolicy(CacheMode.OFF),
    )


def _prompt(row: Row, source: str) -> str:
    head = f"[[sim in={row.input_tokens} out={row.output_tokens}]] request {source}-{row.number}: "
    count = max(0, row.input_tokens - _OVERHEAD_TOKENS)
    whole, rest = divmod(count, len(_WORDS))
    return head + " ".join((*([_LAP] * whole), *_WORDS[:rest]))


def _time(text: str | None) -> datetime:
    try:
        time = datetime.fromisoformat((text or "").strip())
    except ValueError:
        raise BadRequest("TIMESTAMP is no time such as 2023-11-16 18:17:03.98") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time


def _tokens(text: str | None, column: str) -> int:
    text = (text or "").strip()
    if not text.isascii() or not text.isdecimal() or len(text) > 7 or int(text) > MAX_TOKENS:
        raise BadRequest(f"{column} must be a whole number from 0 to {MAX_TOKENS:,}")
    return int(text)
