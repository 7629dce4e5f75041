"""decode(encode(record)) is the record, for every record type."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.serde import RECORDS, Serde
from tests.contract.strategies import records

SERDE = Serde()
STRATEGIES = records()


@pytest.mark.parametrize("record_type", RECORDS, ids=lambda t: t.__name__)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_codec_round_trip(record_type: type[Any], data: st.DataObject) -> None:
    record = data.draw(STRATEGIES[record_type])
    value = SERDE.encode(record)
    assert SERDE.of(record_type).decode(value) == record
    assert SERDE.encode(SERDE.of(record_type).decode(value)) == value
