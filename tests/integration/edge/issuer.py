"""An issuer of tokens: its keys over HTTP as a JWKS, and tokens signed with them."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

ISSUER, AUDIENCE = "https://issuer.example", "penstock-tests"
_PATH = "/.well-known/jwks.json"


@dataclass(frozen=True, slots=True)
class SigningKey:
    kid: str
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def token(self, **claims: Any) -> str:
        """A token of a tenant that holds for five minutes; `claims` say what else it says, None what it does not."""
        plain = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 300, "sub": "somebody"}
        given = {name: value for name, value in (plain | claims).items() if value is not None}
        return jwt.encode(given, self.private, algorithm="ES256", headers={"kid": self.kid})

    @property
    def public(self) -> dict[str, Any]:
        return {**json.loads(ECAlgorithm.to_jwk(self.private.public_key())), "kid": self.kid, "use": "sig", "alg": "ES256"}


@dataclass(slots=True)
class Issuer:
    """`key` is what it signs with and all that its JWKS names. Take another one to rotate."""

    server: HTTPServer
    key: SigningKey = field(default_factory=lambda: SigningKey("first"))

    @classmethod
    @contextlib.contextmanager
    def serving(cls) -> Iterator["Issuer"]:
        with HTTPServer(host="127.0.0.1", port=0) as server:
            issuer = cls(server)
            server.expect_request(_PATH).respond_with_handler(issuer._answer)
            yield issuer

    @property
    def settings(self) -> dict[str, str]:
        """What the edge must be set to, without `PENSTOCK_`."""
        return {"JWT_JWKS_URL": self.server.url_for(_PATH), "JWT_ISSUER": ISSUER, "JWT_AUDIENCE": AUDIENCE}

    def _answer(self, _: Request) -> Response:
        return Response(json.dumps({"keys": [self.key.public]}), content_type="application/json")
