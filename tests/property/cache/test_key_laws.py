"""Laws of the cache key: the order of fields in pass-through JSON says nothing, and what differs never shares a key."""

import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.cache.key import identify
from schemas.requests import InferenceRequest, Message

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=5)
BASE = InferenceRequest("r", "t", "m", messages=(Message("user", "hi"),))


def shuffled(value: object, draw) -> object:
    if isinstance(value, dict):
        return {key: shuffled(value[key], draw) for key in draw(st.permutations(list(value)))}
    return [shuffled(item, draw) for item in value] if isinstance(value, list) else value


@given(data=st.data(), extra=OBJECTS)
@settings(deadline=None)
def test_field_order_and_spacing_are_ignored(data, extra):
    one = identify(replace(BASE, extra_json=json.dumps(extra)))
    other = identify(replace(BASE, extra_json=json.dumps(shuffled(extra, data.draw), indent=2, ensure_ascii=False)))
    assert one == other


@given(first=OBJECTS, second=OBJECTS)
@settings(deadline=None)
def test_different_parameters_have_different_keys(first, second):
    one, other = (identify(replace(BASE, extra_json=json.dumps(extra))) for extra in (first, second))
    same = json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)
    assert (one.cache_key == other.cache_key) == same
    assert (one.body_digest == other.body_digest) == same


@given(*[st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.text(max_size=6)), max_size=3)] * 2)
@settings(deadline=None)
def test_conversations_never_run_into_each_other(first, second):
    """A message's end is part of the form: `ab` + `c` is not `a` + `bc`."""
    one, other = (
        identify(replace(BASE, messages=tuple(Message(role, text) for role, text in turns))) for turns in (first, second)
    )
    assert (one.cache_key == other.cache_key) == (first == second)


@given(*[st.tuples(st.text(min_size=1, max_size=4), st.text(max_size=4))] * 2)
@settings(deadline=None)
def test_tenant_and_model_never_run_into_each_other(first, second):
    one, other = (identify(replace(BASE, tenant=tenant, model=model)) for tenant, model in (first, second))
    assert (one.cache_key == other.cache_key) == (first == second)
