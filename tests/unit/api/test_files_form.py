"""An upload's body, taken apart however it comes."""

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.api.bad_request import BadRequest
from processors.api.files_form import MAX_FIELD_BYTES, Field, FileBegins, FileData, Form, boundary_of

CONTENT = b"one\r\n--\r\ntwo\r\n--bound\n\r\n"


def body_of(content: bytes = CONTENT, name: str = "in.jsonl", **fields: str) -> tuple[bytes, bytes]:
    """What a client sends, and its boundary."""
    given_fields = fields or {"purpose": "batch"}
    request = httpx.Request("POST", "http://edge", data=given_fields, files={"file": (name, content)})
    return request.read(), boundary_of(request.headers["content-type"])


def taken(body: bytes, boundary: bytes, sizes: list[int] | None = None) -> tuple[dict[str, str], str | None, bytes]:
    fields: dict[str, str] = {}
    name: str | None = None
    form, data = Form(boundary), b""
    cuts, at = iter(sizes or [len(body)]), 0
    while at < len(body):
        size = next(cuts, len(body))
        for piece in form.feed(body[at : at + size]):
            match piece:
                case Field(field, value):
                    fields[field] = value
                case FileBegins(_, filename):
                    name = filename
                case FileData(more):
                    data += more
        at += size
    form.end()
    return fields, name, data


@given(st.lists(st.integers(1, 40), max_size=60), st.binary(max_size=200))
def test_any_pieces_give_the_same(sizes: list[int], content: bytes) -> None:
    body, boundary = body_of(content)
    assert taken(body, boundary, sizes) == ({"purpose": "batch"}, "in.jsonl", content)


def test_one_byte_at_a_time_and_what_looks_like_a_boundary() -> None:
    _, boundary = body_of()
    content = CONTENT + b"\r\n--" + boundary[:-1] + b"\r\n-" + b"--" + boundary
    request = httpx.Request("POST", "http://edge", data={"purpose": "batch"}, files={"file": ("a", content)})
    body, own = request.read(), boundary_of(request.headers["content-type"])
    assert taken(body, own, [1] * len(body))[2] == content


def test_nothing_of_a_file_is_held_but_a_boundarys_length() -> None:
    body, boundary = body_of(b"a" * 1_000_000)
    form, came = Form(boundary), 0
    for at in range(0, len(body), 1_000):
        came += sum(len(piece.data) for piece in form.feed(body[at : at + 1_000]) if isinstance(piece, FileData))
        assert came >= min(at + 1_000, 1_000_000) - 1_000, "what stands before the file and a boundary have fewer bytes"
    assert came == 1_000_000


def test_names_and_fields_in_other_letters() -> None:
    body, boundary = body_of(name="fünf.jsonl", purpose="batch", note="größer")
    assert taken(body, boundary)[:2] == ({"purpose": "batch", "note": "größer"}, "fünf.jsonl")


@pytest.mark.parametrize(
    "content_type",
    ["", "application/json", "multipart/form-data", f"multipart/form-data; boundary={'x' * 71}", "multipart/mixed; boundary=x"],
)
def test_other_bodies_are_refused(content_type: str) -> None:
    with pytest.raises(BadRequest, match="multipart/form-data"):
        boundary_of(content_type)


HEAD = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"no form at all", id="no boundary"),
        pytest.param(HEAD + b"batch", id="broken off in a field"),
        pytest.param(HEAD + b"batch\r\n--x", id="broken off after a boundary"),
        pytest.param(b"--x\r\n\r\nbatch\r\n--x--\r\n", id="a part without a name"),
        pytest.param(b"--xy\r\n\r\n--x--", id="a longer boundary"),
        pytest.param(b"--x\r\nContent-Disposition: attachment; name=a\r\n\r\n--x--", id="a part of another kind"),
        pytest.param(b"--x\r\n" + b"a" * 20_000, id="endless headers"),
        pytest.param(HEAD + b"a" * (MAX_FIELD_BYTES + 1) + b"\r\n--x--\r\n", id="a long field"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    form = Form(b"x")
    with pytest.raises(BadRequest):
        for at in range(0, len(body), 500):
            form.feed(body[at : at + 500])
        form.end()


def test_an_epilogue_is_passed_over() -> None:
    form, found = Form(b"x"), list[Any]()
    for data in (HEAD + b"batch\r\n--x--", b"\r\nbye", b"--x\r\n" + HEAD):
        found += form.feed(data)
    form.end()
    assert found == [Field("purpose", "batch")]


TOKENS = (
    b"--x",
    b"--x--",
    b"\r\n",
    b'Content-Disposition: form-data; name="purpose"',
    b'Content-Disposition: form-data; name="file"; filename="a"',
    b"Content-Disposition: form-data; name*0*=x; filename*=utf-9''%ff",
    b"Content-Disposition: ;;=\xff",
    b": ",
    b"a" * 100,
)


@given(st.lists(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=5)), max_size=30))
def test_whatever_comes_is_a_form_or_a_bad_request(tokens: list[bytes]) -> None:
    form = Form(b"x")
    try:
        for token in tokens:
            form.feed(token)
        form.end()
    except BadRequest:
        pass


@given(st.one_of(st.text(max_size=40), st.text(max_size=40).map(lambda text: f"multipart/form-data; boundary{text}")))
def test_whatever_type_a_body_has_there_is_a_boundary_or_a_bad_request(content_type: str) -> None:
    try:
        assert boundary_of(content_type)
    except BadRequest:
        pass
