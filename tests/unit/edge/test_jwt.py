"""Tokens of an issuer: what holds, what does not and why, keys that turn over, an issuer that is away."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from pytest_httpserver import HTTPServer
from werkzeug import Response

from schemas.errors import SettingsError
from schemas.keys import KeyRole
from streams.edge import jwt_keys
from streams.edge.jwt_keys import keys_of
from streams.edge.jwt_trust import with_tokens
from streams.edge.principal import Anyone, Authority, Principal, Refused
from streams.settings import Settings

ISSUER, AUDIENCE = "https://issuer.example", "penstock"
RSA = rsa.generate_private_key(65537, 2_048)
WEAK = rsa.generate_private_key(65537, 1_024)
EC, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
STRANGER = ed25519.Ed25519PrivateKey.generate()
_ALGORITHMS = {"RS256": jwt.algorithms.RSAAlgorithm, "ES256": jwt.algorithms.ECAlgorithm, "EdDSA": jwt.algorithms.OKPAlgorithm}


def public(key: Any, algorithm: str, kid: str | None) -> dict[str, Any]:
    jwk = json.loads(_ALGORITHMS[algorithm].to_jwk(key.public_key()))
    return jwk | ({"kid": kid} if kid else {})


JWKS = {"keys": [public(RSA, "RS256", "rsa"), public(EC, "ES256", "ec"), public(ED, "EdDSA", "ed")]}


def token(key: Any = ED, algorithm: str = "EdDSA", kid: str | None = "ed", **claims: Any) -> str:
    now = int(time.time())
    plain = {"iss": ISSUER, "aud": AUDIENCE, "exp": now + 86_400, "sub": "someone", "tenant": "acme", "roles": ["read"]}
    given = {name: value for name, value in (plain | claims).items() if value is not None}
    return jwt.encode(given, key, algorithm=algorithm, headers={"kid": kid} if kid else None)


class Ring:
    """An authority that knows one key of ours."""

    def principal(self, credential: str) -> Principal | None:
        return Principal("ring", frozenset(), "k") if credential == "pk-known" else None


def settings(url: str, **changes: Any) -> Settings:
    return Settings(_env_file=None, **{"jwt_jwks_url": url, "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE} | changes)


@asynccontextmanager
async def authority(server: HTTPServer, **changes: Any):
    async with with_tokens(settings(server.url_for("/jwks"), **changes), Ring()) as both:
        yield both


@pytest.fixture
def issuer(httpserver: HTTPServer) -> Iterator[HTTPServer]:
    httpserver.expect_request("/jwks").respond_with_json(JWKS)
    return httpserver


def refused(both: Authority, credential: str) -> tuple[int, str]:
    with pytest.raises(Refused) as told:
        both.principal(credential)
    return told.value.refusal.status, told.value.refusal.message


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "rsa"), (EC, "ES256", "ec"), (ED, "EdDSA", "ed")])
async def test_a_token_names_tenant_and_roles(issuer: HTTPServer, key: Any, algorithm: str, kid: str) -> None:
    async with authority(issuer) as both:
        found = both.principal(token(key, algorithm, kid, roles=["publish", "admin", "unknown", "emperor", 7]))
    assert found == Principal("acme", frozenset({KeyRole.PUBLISH, KeyRole.ADMIN}), "jwt:someone")


async def test_claims_may_have_other_names_and_roles_be_a_text(issuer: HTTPServer) -> None:
    async with authority(issuer, jwt_tenant_claim="org", jwt_roles_claim="scope") as both:
        found = both.principal(token(tenant=None, roles=None, org="birch", scope="read publish openid", aud=["x", AUDIENCE]))
    assert found is not None
    assert (found.tenant, found.roles) == ("birch", frozenset({KeyRole.READ, KeyRole.PUBLISH}))


async def test_our_own_keys_go_to_the_ring(issuer: HTTPServer) -> None:
    async with authority(issuer) as both:
        assert both.principal("pk-known") == Principal("ring", frozenset(), "k")
        assert both.principal("pk-other") is None
        assert both.principal("") is None


def unsigned() -> str:
    _, body, _ = token().split(".")
    return _base64(b'{"alg":"none","kid":"ed"}') + f".{body}."


def with_the_public_key_as_secret() -> str:
    pem = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    _, body, _ = token().split(".")
    signed = _base64(b'{"alg":"HS256","kid":"rsa"}') + f".{body}"
    return f"{signed}.{_base64(hmac.digest(pem, signed.encode(), 'sha256'))}"


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def deep() -> str:
    return _base64(b'{"a":' + b"[" * 5_000) + ".e30.x"


@pytest.mark.parametrize(
    ("credential", "word"),
    [
        pytest.param(token(exp=int(time.time()) - 60), "expired", id="expired"),
        pytest.param(token(exp=None), "claims", id="without an end"),
        pytest.param(token(exp="soon"), "read", id="an end that is none"),
        pytest.param(token(nbf=int(time.time()) + 43_200), "yet", id="not yet"),
        pytest.param(token(aud="others"), "audience", id="for others"),
        pytest.param(token(aud=None), "claims", id="for nobody"),
        pytest.param(token(iss="https://elsewhere.example"), "issuer", id="of others"),
        pytest.param(token(tenant=None), "tenant", id="of no tenant"),
        pytest.param(token(tenant=7), "tenant", id="a tenant that is a number"),
        pytest.param(token(tenant="a\nb"), "tenant", id="a tenant that cannot be shown"),
        pytest.param(token(tenant="x" * 10_000), "long", id="too long"),
        pytest.param(token(STRANGER), "read", id="signed by a stranger"),
        pytest.param(token(STRANGER, kid="theirs"), "key", id="with a stranger's key"),
        pytest.param(token(ED, kid="ec"), "key", id="another key of the issuer's"),
        pytest.param(unsigned(), "signed with", id="unsigned"),
        pytest.param(with_the_public_key_as_secret(), "signed with", id="the public key as a secret"),
        pytest.param("eyJ", "read", id="no token"),
        pytest.param("eyJhbGciOiJFZERTQSJ9..", "key", id="an empty one"),
        pytest.param(deep(), "read", id="one that nests"),
    ],
)
async def test_what_does_not_hold_is_401_with_the_reason(issuer: HTTPServer, credential: str, word: str) -> None:
    async with authority(issuer) as both:
        status, message = refused(both, credential)
    assert status == 401
    assert word in message


async def test_without_roles_a_token_opens_nothing(issuer: HTTPServer) -> None:
    async with authority(issuer) as both:
        found = both.principal(token(roles=None))
    assert found is not None
    assert not found.roles


async def test_an_issuer_that_is_away_is_503_until_it_is_back(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "_RETRY_S", 0.05)
    away = [True, True]
    httpserver.expect_request("/jwks").respond_with_handler(
        lambda _: Response(status=500) if away and away.pop() else Response(json.dumps(JWKS))
    )
    async with authority(httpserver) as both:
        assert refused(both, token())[0] == 503
        assert both.principal("pk-known") is not None
        found = await _until_taken(both, token())
    assert found.tenant == "acme"


async def test_a_key_that_is_new_is_fetched(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "_AGAIN_S", 0.0)
    served = [JWKS, {"keys": [*JWKS["keys"], public(STRANGER, "EdDSA", "new")]}]
    httpserver.expect_request("/jwks").respond_with_handler(
        lambda _: Response(json.dumps(served.pop(0) if len(served) > 1 else served[0]))
    )
    async with authority(httpserver) as both:
        status, message = refused(both, token(STRANGER, kid="new"))
        assert (status, "new here" in message) == (503, True)
        assert (await _until_taken(both, token(STRANGER, kid="new"))).tenant == "acme"
        assert both.principal(token()) is not None


async def test_unknown_keys_make_nobody_ask_the_issuer_again_and_again(issuer: HTTPServer) -> None:
    async with authority(issuer) as both:
        for number in range(50):
            assert refused(both, token(STRANGER, kid=f"made-up-{number}"))[0] == 401
        await asyncio.sleep(0.1)
    assert len(issuer.log) == 1


async def test_keys_hold_for_a_while_when_the_issuer_goes_away(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwt_keys, "_EVERY_S", 0.05)
    monkeypatch.setattr(jwt_keys, "_RETRY_S", 0.05)
    served = [Response(json.dumps(JWKS))]
    httpserver.expect_request("/jwks").respond_with_handler(lambda _: served.pop() if served else Response(status=503))
    async with authority(httpserver) as both:
        while len(httpserver.log) < 3:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.02)
        assert both.principal(token()) is not None
        assert refused(both, token(STRANGER, kid="new"))[0] == 503
        monkeypatch.setattr(jwt_keys, "KEPT_S", 0.0)
        assert refused(both, token())[0] == 503


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"no JSON", id="no JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"keys": {}}', id="keys that are no list"),
        pytest.param(json.dumps({"keys": [{"kty": "oct", "k": "AAAA"}]}).encode(), id="secrets alone"),
        pytest.param(b'{"keys": [' + b" " * 300_000 + b"]}", id="too much"),
    ],
)
async def test_what_is_no_jwks_lets_nobody_in(httpserver: HTTPServer, body: bytes) -> None:
    httpserver.expect_request("/jwks").respond_with_data(body)
    async with authority(httpserver) as both:
        assert refused(both, token())[0] == 503


async def test_a_jwks_elsewhere_is_not_followed(issuer: HTTPServer) -> None:
    issuer.expect_request("/moved").respond_with_response(Response(status=302, headers={"location": issuer.url_for("/jwks")}))
    async with with_tokens(settings(issuer.url_for("/moved")), Ring()) as both:
        assert refused(both, token())[0] == 503


def test_only_keys_that_may_check_signatures_are_kept() -> None:
    listed = [
        public(WEAK, "RS256", "weak"),
        public(RSA, "RS256", "other-algorithm") | {"alg": "RS512"},
        public(RSA, "RS256", "to-encrypt") | {"use": "enc"},
        public(ec.generate_private_key(ec.SECP384R1()), "ES256", "other-curve"),
        {"kty": "OKP", "crv": "Ed25519", "kid": "broken", "x": "!"},
        {"kty": "oct", "k": "AAAA", "kid": "secret"},
        "nonsense",
        public(ED, "EdDSA", "ed"),
    ]
    assert set(keys_of({"keys": listed})) == {"ed"}


def test_an_issuer_of_one_key_need_not_name_it() -> None:
    keys = jwt_keys.IssuerKeys("http://localhost")
    keys._keys = keys_of({"keys": [public(ED, "EdDSA", None)]})
    keys._tried_s = keys._fetched_s = time.monotonic()
    assert keys.key(None) is not None
    assert keys.key("ed") is None


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"jwt_issuer": None}, "JWT_ISSUER"),
        ({"jwt_audience": None}, "JWT_AUDIENCE"),
        ({"jwt_jwks_url": "http://issuer.example/jwks"}, "https"),
        ({"jwt_jwks_url": "file:///etc/passwd"}, "https"),
    ],
)
async def test_half_of_the_settings_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        async with with_tokens(settings("https://issuer.example/jwks", **changes), Anyone()):
            pass


async def test_without_a_jwks_there_are_keys_alone() -> None:
    ring = Ring()
    async with with_tokens(Settings(_env_file=None), ring) as alone:
        assert alone is ring


async def _until_taken(both: Authority, credential: str) -> Principal:
    async with asyncio.timeout(20):
        while True:
            try:
                found = both.principal(credential)
            except Refused as told:
                if told.refusal.status != 503:
                    raise
                await asyncio.sleep(0.02)
            else:
                assert found is not None
                return found
