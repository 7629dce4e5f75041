"""Bytes that are no model are refused in one way, whatever is wrong with them."""

import io

import numpy as np
import pytest

from processors.route.quality.artifact import dumps, loads
from processors.route.quality.default import shipped


def archive(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"junk", id="no archive"),
        pytest.param(b"PK\x03\x04xx", id="a torn archive"),
        pytest.param(dumps(shipped())[:-100], id="a torn model"),
        pytest.param(archive(a=np.ones(2)), id="another archive"),
        pytest.param(archive(meta=np.array("{}")), id="meta that says nothing"),
    ],
)
def test_what_is_no_model_is_refused(content: bytes):
    with pytest.raises(ValueError, match=r"."):
        loads(content)
