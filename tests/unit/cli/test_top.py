"""The live view: what the edge tells is folded as documented, and drawn whole."""

import itertools
import subprocess
import sys

import orjson
import pytest
from rich.console import Console

from streams.cli.top_board import Board
from streams.cli.top_drawn import letter_row, lineage, page, request_row
from streams.cli.top_feed import Events, Refused, Told, _said, in_words
from tests.unit.cli.live_told import letter, request, series, snapshot, spent


def board(*updates: dict, **more: object) -> Board:
    made = Board()
    made.take("snapshot", snapshot(**more))
    for update in updates:
        made.take("update", update)
    return made


def text(made: Board, width: int = 140) -> str:
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        console.print(page(made, url="http://edge", width=100))
    return captured.get()


def test_an_updates_field_takes_the_place_of_the_old_one() -> None:
    made = board({"at": "2026-01-05T10:00:01Z", "minute": {"answered": 1}, "lag": []})
    assert made.fields["at"] == "2026-01-05T10:00:01Z"
    assert made.map_of("minute") == {"answered": 1}
    assert made.list_of("lag") == []
    assert made.fields["spend"] == snapshot()["spend"]


@pytest.mark.parametrize(
    ("told", "from_s", "answered"),
    [
        (series(1_003, 4), 1_000, [10, 12, 11, 4]),
        (series(1_001, 9, 8, 7), 1_000, [10, 9, 8, 7]),
        (series(1_005, 3), 1_000, [10, 12, 11, 0, 0, 3]),
        (series(1_301, 1, 2), 1_003, [0] * 298 + [1, 2]),
        (series(1_003), 1_000, [10, 12, 11]),
    ],
    ids=["a new second", "seconds that changed", "silence between", "what is old is forgotten", "nothing new"],
)
def test_seconds_are_added_to_the_series(told: dict, from_s: int, answered: list[int]) -> None:
    found = board({"series": told}).fields["series"]
    assert found["from_s"] == from_s
    assert found["answered"] == answered
    assert {len(column) for name, column in found.items() if name != "from_s"} == {len(answered)}


def test_lists_are_added_to_and_bounded() -> None:
    made = board({"requests": [request(n) for n in range(3, 250)], "dead_letters": [letter(n) for n in range(8, 200)]})
    assert [entry["n"] for entry in made.list_of("requests")] == list(range(50, 250))
    assert [entry["n"] for entry in made.list_of("dead_letters")] == list(range(100, 200))


def test_a_snapshot_replaces_everything() -> None:
    made = board({"requests": [request(9)]})
    made.take("snapshot", snapshot(requests=[]))
    assert made.list_of("requests") == []


def test_a_page_has_all_of_it() -> None:
    shown = text(board())
    for said in (
        *(
            "11.7 requests/s",
            "p50 540 ms",
            "p95 1.37 s",
            "3 failed",
            "cache 25 % (150 of 600)",
            "$1.84",
            "2 calls without a price",
        ),
        *("the rest", "Spend by hour", "2026-01-05 09:00", "z/ails", "open (overloaded)", "25.0 %", "1,234", "33/113"),
        *("bad_magic", "all tenants"),
    ):
        assert said in shown, said
    assert shown.index("z/ails") < shown.index("a/well"), "what ails comes first"
    assert shown.index("10:00:02") < shown.index("10:00:01"), "the newest comes first"


def test_a_page_of_an_edge_where_nothing_has_happened() -> None:
    empty = {"minute": {}, "spend": {}, "health": [], "lag": None, "requests": [], "dead_letters": [], "series": series(0)}
    shown = text(board(**empty, tenant="acme"))
    for said in ("0.0 requests/s", "p50 -", "not asked", "nothing was spent", "no deployment", "not told", "none", "tenant acme"):
        assert said in shown, said


def test_sums_that_are_too_low_say_so() -> None:
    assert "too low" in text(board(spend={"by_model": [spent("m", 1)], "partial": True}))


def test_others_text_is_no_markup_and_moves_no_cursor() -> None:
    evil = request(1, tenant="[red]x[/nope]", model="a\x1b[2J", status="error", error="rejected")
    row = [cell.plain for cell in request_row(evil)]
    assert "[red]x[/nope]" in row
    assert "a?[2J" in row
    assert "error: rejected" in row
    assert "[red]x[/nope]" in text(board(requests=[evil], spend={"by_tenant": [spent("[red]x[/nope]", 1)]}))
    assert letter_row(letter(1))[1].plain == "ai.requests[0]@1"
    assert "\x1b" not in lineage({"explanation": ["a\x1b[31m"]}).plain
    assert lineage({"request_id": "r", "status": "queued"}).plain == "r: queued; the log has no more of it"


def test_an_unknown_price_is_not_nothing() -> None:
    assert request_row(request(1, cost_nanousd=None))[-1].plain == "unknown"
    assert request_row(request(1, cost_nanousd=0))[-1].plain == "$0.00"


def test_events_come_out_of_bytes_however_they_are_cut() -> None:
    stream = b': live\n\nevent: snapshot\ndata: {"a":1}\n\n:\n\nevent: update\r\ndata: {"b":\r\ndata: 2}\r\n\r\ndata: {}\n\n'
    expected = [Told("snapshot", {"a": 1}), Told("update", {"b": 2}), Told("message", {})]
    for size in (1, 2, 3, 7, len(stream)):
        events = Events()
        blocks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert list(itertools.chain.from_iterable(map(events.feed, blocks))) == expected, size


def test_what_is_no_event_is_a_value_error() -> None:
    with pytest.raises(ValueError, match=r"unexpected|JSON|literal"):
        list(Events().feed(b"data: <html>\n\n"))


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, {"detail": "no such key"}, "no such key; give a key with --key"),
        (403, {"title": "permission denied"}, "role read"),
        (404, None, "not for this key"),
        (502, "<html>", "the edge says 502"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, body: object, says: str) -> None:
    raw = body.encode() if isinstance(body, str) else orjson.dumps(body)
    assert says in in_words(Refused(status, _said(status, raw)))


def test_no_other_command_waits_for_textual() -> None:
    code = "import sys, streams.cli.main; print({name.split('.')[0] for name in sys.modules} & {'textual', 'aiohttp'})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "set()"
