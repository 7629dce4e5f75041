import json

import pytest

from schemas.catalogue import builtin
from schemas.serde import RECORDS, Serde
from streams import topics
from streams.edge.subjects import Refused, Subjects

SUBJECTS = Subjects(["openai"])


def envelope(schema: object, **more: object) -> bytes:
    return json.dumps({"schema": json.dumps(schema), **more}).encode()


def test_every_topic_has_a_subject_and_every_schema_an_id():
    assert set(SUBJECTS.names()) == {t.subject for t in topics.all_topics(["openai"]).values()}
    for topic in topics.all_topics(["openai"]).values():
        latest = SUBJECTS.version(topic.subject, "latest")
        assert latest.schema.id == Serde().catalogue.write_id(topic.record.__name__)
    assert len(RECORDS) == len({SUBJECTS.version(name, "latest").schema.id for name in SUBJECTS.names()})


def test_orders_to_a_provider_that_was_not_named_share_the_schema():
    assert SUBJECTS.version("ai.calls.rack7-value", "1").schema.name == "CallOrdered"


def test_a_schema_is_found_whatever_its_layout_and_documentation():
    schema = json.loads(builtin()[1].text)
    schema.pop("doc")
    for field in schema["fields"]:
        field.pop("doc", None)
    assert SUBJECTS.look_up("ai.requests-value", envelope(schema)).schema.id == 1


def test_a_schema_that_writes_other_bytes_is_not_found():
    schema = json.loads(builtin()[1].text)
    schema["fields"] = schema["fields"][::-1]
    with pytest.raises(Refused) as refused:
        SUBJECTS.look_up("ai.requests-value", envelope(schema))
    assert refused.value.code == 40403


def test_the_schema_of_another_subject_is_not_found():
    with pytest.raises(Refused) as refused:
        SUBJECTS.look_up("ai.costs-value", envelope(json.loads(builtin()[1].text)))
    assert refused.value.code == 40403


@pytest.mark.parametrize(
    ("ask", "code"),
    [
        (lambda: SUBJECTS.versions("nope"), 40401),
        (lambda: SUBJECTS.version("ai.requests-value", "2"), 40402),
        (lambda: SUBJECTS.version("ai.requests-value", "0"), 42202),
        (lambda: SUBJECTS.version("ai.requests-value", "first"), 42202),
        (lambda: SUBJECTS.schema("99"), 40403),
        (lambda: SUBJECTS.schema("-1"), 40403),
        (lambda: SUBJECTS.look_up("ai.requests-value", b"{"), 42201),
        (lambda: SUBJECTS.look_up("ai.requests-value", b"[]"), 42201),
        (lambda: SUBJECTS.look_up("ai.requests-value", b'{"schema": "{"}'), 42201),
        (lambda: SUBJECTS.look_up("ai.requests-value", envelope({"type": "enum"})), 42201),
        (lambda: SUBJECTS.look_up("ai.requests-value", envelope("string", schemaType="PROTOBUF")), 42201),
    ],
)
def test_refusals_carry_the_registrys_codes(ask, code):
    with pytest.raises(Refused) as refused:
        ask()
    assert refused.value.code == code
    assert str(refused.value.status) == str(code)[:3]
