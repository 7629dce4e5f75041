from datetime import UTC, datetime

import pytest

from schemas.errors import SettingsError
from streams.beginning import At, Beginning, End, Last, parse_start


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("beginning", Beginning()),
        ("end", End()),
        ("-1", Last(1)),
        ("-250", Last(250)),
        ("2026-01-31T15:00Z", At(datetime(2026, 1, 31, 15, tzinfo=UTC))),
        ("2026-01-31", At(datetime(2026, 1, 31, tzinfo=UTC))),
    ],
)
def test_forms_of_from(text, start):
    assert parse_start(text) == start


@pytest.mark.parametrize("text", ["", "-0", "--5", "-x", "yesterday", "12"])
def test_anything_else_is_refused_with_the_forms(text):
    with pytest.raises(SettingsError, match="beginning"):
        parse_start(text)
