"""Secrets of an installation: the operator's, or one that is made once for a data directory."""

import secrets

from pydantic import SecretStr

from schemas.errors import SettingsError
from streams.settings import Settings

_BYTES = 32


def cache_secret(settings: Settings) -> bytes:
    """What seals kept answers: PENSTOCK_CACHE_SECRET, else that of the data directory, made when there is none.

    Processes that share a cache without sharing the secret miss each other's answers. Raises SettingsError when it can neither
    be read nor written.
    """
    return _secret(settings, settings.cache_secret, "cache-secret", "the answer cache")


def key_secret(settings: Settings) -> bytes:
    """What the edge's keys are checked with: PENSTOCK_KEY_SECRET, else that of the data directory, made when there is none.

    Keys made with one secret are unknown to an edge with another. Raises SettingsError when it can neither be read nor written.
    """
    return _secret(settings, settings.key_secret, "key-secret", "the edge's keys")


def _secret(settings: Settings, given: SecretStr | None, name: str, of: str) -> bytes:
    if given is not None:
        return given.get_secret_value().encode()
    file = settings.data_dir / name
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        # Two that start at once must agree: whoever makes the file first has made it for both.
        made = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
        made.touch(mode=0o600)
        made.write_text(secrets.token_hex(_BYTES), encoding="ascii")
        try:
            file.hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            made.unlink()
        return file.read_text(encoding="ascii").encode()
    except OSError as error:
        variable = f"PENSTOCK_{name.replace('-', '_').upper()}"
        raise SettingsError(
            f"the secret of {of} cannot be kept in {file} ({error.strerror}): set {variable}, the same for all that share it"
        ) from error
