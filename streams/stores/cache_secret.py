"""The secret that seals kept answers: the operator's, or one that is made once for a data directory."""

import secrets

from schemas.errors import SettingsError
from streams.settings import Settings

_BYTES = 32


def cache_secret(settings: Settings) -> bytes:
    """PENSTOCK_CACHE_SECRET, else that of the data directory, made when there is none.

    Processes that share a cache without sharing the secret miss each other's answers. Raises SettingsError when it can neither
    be read nor written.
    """
    if settings.cache_secret is not None:
        return settings.cache_secret.get_secret_value().encode()
    file = settings.data_dir / "cache-secret"
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
        raise SettingsError(
            f"the secret of the answer cache cannot be kept in {file} ({error.strerror}): set PENSTOCK_CACHE_SECRET, "
            "the same for all processes that share a cache"
        ) from error
