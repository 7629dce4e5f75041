"""Secrets of webhooks and signatures made with them, as the Standard Webhooks specification has them.

A secret is derived and kept nowhere: whoever has the secret of the installation can say it again, and nobody else can.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import datetime, timedelta

from standardwebhooks import Webhook

from schemas.webhooks import WebhookEndpoint

BOTH_SIGN_FOR = timedelta(hours=24)
"""So long after a rotation the secret before it signs as well."""


def secret_of(installation: bytes, webhook_id: str, generation: int) -> str:
    """The secret of one generation of an endpoint, `whsec_` and 32 bytes in base64."""
    derived = hmac.new(installation, f"webhook/{webhook_id}/{generation}".encode(), hashlib.sha256).digest()
    return f"whsec_{base64.b64encode(derived).decode('ascii')}"


def headers_of(installation: bytes, endpoint: WebhookEndpoint, message_id: str, body: str, *, now: datetime) -> dict[str, str]:
    """The headers of one try: the message's id, the time of the try, and a signature for each secret that holds."""
    secrets = [secret_of(installation, endpoint.webhook_id, generation) for generation in _holding(endpoint, now)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(message_id, now, body) for secret in secrets),
    }


def _holding(endpoint: WebhookEndpoint, now: datetime) -> Iterator[int]:
    yield endpoint.generation
    if endpoint.generation > 1 and endpoint.rotated_at is not None and now < endpoint.rotated_at + BOTH_SIGN_FOR:
        yield endpoint.generation - 1
