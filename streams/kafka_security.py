"""TLS and SASL arguments for aiokafka, from the settings."""

import ssl
from typing import TYPE_CHECKING, Any

from aiokafka.helpers import create_ssl_context

from schemas.errors import SettingsError

if TYPE_CHECKING:
    from streams.settings import Settings


def client_arguments(settings: "Settings") -> dict[str, Any]:
    """Raises SettingsError when a certificate file cannot be read or a SASL user is missing."""
    arguments: dict[str, Any] = {"security_protocol": settings.security_protocol}
    if "SSL" in settings.security_protocol:
        try:
            arguments["ssl_context"] = create_ssl_context(
                cafile=_text(settings.ssl_cafile),
                certfile=_text(settings.ssl_certfile),
                keyfile=_text(settings.ssl_keyfile),
            )
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"a certificate cannot be read ({error}); check PENSTOCK_SSL_CAFILE, _CERTFILE and _KEYFILE"
            ) from error
    if settings.security_protocol.startswith("SASL"):
        if settings.sasl_username is None or settings.sasl_password is None:
            raise SettingsError("SASL needs PENSTOCK_SASL_USERNAME and PENSTOCK_SASL_PASSWORD")
        arguments |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": settings.sasl_password.get_secret_value(),
        }
    return arguments


def _text(path: Any) -> str | None:
    return None if path is None else str(path)
