"""Who comes in, with which key, to do what; and what may be bound without any."""

import pytest

from schemas.errors import SettingsError
from schemas.keys import KeyRole
from streams.edge.principal import Anyone, Principal, Refused, admitted, credential_of
from streams.edge.role import check
from streams.edge.tokens import key_id_of, mac_of, matches, new_key
from streams.settings import Settings

SECRET = b"a secret of sixteen"


class Known:
    """One key, of one tenant."""

    def __init__(self, key: str, *roles: KeyRole) -> None:
        self._key, self._roles = key, frozenset(roles)

    def principal(self, credential: str) -> Principal | None:
        return Principal("acme", self._roles, "id") if credential == self._key else None


def test_a_key_is_known_by_its_mac_alone() -> None:
    key_id, key = new_key()
    mac = mac_of(key, SECRET)
    assert key_id_of(key) == key_id
    assert matches(key, mac, SECRET)
    assert not matches(key, mac, b"another secret....")
    assert not matches(f"{key}x", mac, SECRET)
    assert key not in mac


def test_no_two_keys_are_alike() -> None:
    assert len({new_key()[1] for _ in range(100)}) == 100


@pytest.mark.parametrize(
    "text", ["", "pk", "pk-", "pk-abc-x", "sk-0a1b2c3d4e5f-x", "pk-0a1b2c3d4e5f-", "Bearer pk-0a1b2c3d4e5f-x"]
)
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert key_id_of(text) is None


@pytest.mark.parametrize(
    ("headers", "credential"),
    [
        pytest.param({"authorization": "Bearer k"}, "k", id="OpenAI's way"),
        pytest.param({"authorization": "bearer  k "}, "k", id="spelt otherwise"),
        pytest.param({"x-api-key": "k"}, "k", id="Anthropic's way"),
        pytest.param({"authorization": "Basic abc"}, "", id="another scheme"),
        pytest.param({}, "", id="none"),
    ],
)
def test_where_a_key_is_looked_for(headers: dict[str, str], credential: str) -> None:
    assert credential_of(headers) == credential


@pytest.mark.parametrize(
    ("sent", "wanted", "status"),
    [
        pytest.param("k", (KeyRole.PUBLISH,), None, id="may"),
        pytest.param("k", (KeyRole.ADMIN, KeyRole.PUBLISH), None, id="may by one of two"),
        pytest.param("k", (KeyRole.ADMIN,), 403, id="may not"),
        pytest.param("other", (KeyRole.PUBLISH,), 401, id="nobody knows it"),
        pytest.param("", (KeyRole.PUBLISH,), 401, id="no key"),
    ],
)
def test_admission(sent: str, wanted: tuple[KeyRole, ...], status: int | None) -> None:
    authority = Known("k", KeyRole.PUBLISH, KeyRole.READ)
    headers = {"authorization": f"Bearer {sent}"}
    if status is None:
        assert admitted(authority, headers, *wanted).tenant == "acme"
        return
    with pytest.raises(Refused) as refused:
        admitted(authority, headers, *wanted)
    assert refused.value.refusal.status == status


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::"])
def test_without_keys_nothing_but_loopback_is_bound(address: str) -> None:
    with pytest.raises(SettingsError, match="penstock keys create"):
        check(Settings(_env_file=None, edge_insecure_local=True, edge_address=address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_loopback_may_be_bound_without_keys(address: str) -> None:
    check(Settings(_env_file=None, edge_insecure_local=True, edge_address=address))
    assert Anyone().principal("").tenant == "default"


@pytest.mark.parametrize("address", ["localhost", "example.com", "127.0.0"])
def test_a_name_is_no_address(address: str) -> None:
    with pytest.raises(SettingsError, match="PENSTOCK_EDGE_ADDRESS"):
        check(Settings(_env_file=None, edge_address=address))


def test_with_keys_any_address_may_be_bound() -> None:
    check(Settings(_env_file=None, edge_address="0.0.0.0"))
