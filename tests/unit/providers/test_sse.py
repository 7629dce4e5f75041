import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.providers.sse import MAX_LINE_BYTES, Event, Events, JsonLines, Lines
from schemas.errors import ProviderContractError


def events(*pieces):
    decoder = Events()
    return [e for piece in pieces for e in decoder.feed(piece)] + list(decoder.end())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(b"data: a\n\n", [Event(b"a")], id="one"),
        pytest.param(b"data:a\n\n", [Event(b"a")], id="no space"),
        pytest.param(b"data: a\r\ndata: b\r\n\r\n", [Event(b"a\nb")], id="two lines, CR LF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [Event(b"a"), Event(b"b")], id="CR alone"),
        pytest.param(b": a comment\n\ndata: a\n\n", [Event(b"a")], id="comment"),
        pytest.param(b"event: x\nid: 7\ndata: a\n\n", [Event(b"a", "x", b"7")], id="name and id"),
        pytest.param(b"retry: 5\n\ndata: a\n\n", [Event(b"a")], id="retry"),
        pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")], id="byte order mark"),
        pytest.param(b"data: a\n", [Event(b"a")], id="no empty line at the end"),
        pytest.param(b"data: [DONE]", [Event(b"[DONE]")], id="no line end after the last word"),
        pytest.param(b'data: {"a": 1}', [Event(b'{"a": 1}')], id="no line end after whole JSON"),
        pytest.param(b'data: {"a": ', [], id="breaks off"),
        pytest.param(b"<html>\n\n", [], id="HTML"),
    ],
)
def test_events(text, found):
    assert events(text) == found


@given(
    texts=st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), min_size=1, max_size=5),
    line_end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
)
def test_however_the_bytes_are_cut_the_events_are_the_same(texts, line_end, sizes):
    stream = b"".join(b"data: " + json.dumps(text, ensure_ascii=False).encode() + line_end * 2 for text in texts)
    pieces, at = [], 0
    while at < len(stream):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(stream[at : at + size])
        at += size
    assert [json.loads(e.data) for e in events(*pieces)] == texts


def test_a_line_without_end_is_not_kept_for_ever():
    lines = Lines()
    with pytest.raises(ProviderContractError):
        list(lines.feed(b"x" * (MAX_LINE_BYTES + 1)))


@pytest.mark.parametrize(("text", "found"), [(b'{"a":1}\n{"b"', [b'{"a":1}']), (b'{"a":1}\n{"b":2}', [b'{"a":1}', b'{"b":2}'])])
def test_json_lines_end_with_the_last_whole_one(text, found):
    lines = JsonLines()
    assert list(lines.feed(text)) + list(lines.end()) == found
