"""Errors, split by who must act.

PenstockError                 base; never raised itself
├── RecordError               the producer must act  -> dead letter, never retried
│   ├── UnknownSchema         the schema id is not in the catalogue
│   └── MalformedRecord       the bytes do not decode, or what they say cannot be
├── SettingsError             the operator must act  -> refuse to start, exit 2, say what to do next
├── DiskUnusable              the operator must act  -> exit 1, tried again after a pause
├── ProviderContractError     we must act            -> a failure of the call and an alert
├── StoreUnavailable          nobody must act        -> a miss, counted
└── BackPressure              the sender waits       -> `retry_after_s`
"""


class PenstockError(Exception):
    """Base of all errors that Penstock raises on purpose."""


class RecordError(PenstockError):
    """A record that can never be processed. `reason` is the short name that the dead letter carries."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownSchema(RecordError):
    """The record names a schema id that neither the registry nor the built-in catalogue knows."""

    def __init__(self, schema_id: int) -> None:
        super().__init__(
            "unknown_schema",
            f"schema id {schema_id} is not known here; publish with the ids of the catalogue (`penstock topics`), "
            "or set SCHEMA_REGISTRY_URL to the registry that issued it",
        )
        self.schema_id = schema_id


class MalformedRecord(RecordError):
    """The bytes do not decode under their schema, or the decoded record breaks a rule."""


class SettingsError(PenstockError):
    """The operator must change something before Penstock can start. The message says what."""


class DiskUnusable(PenstockError):
    """A worker's own disk cannot be written, or read back. The message says what to do; a new start may find it done."""


class ProviderContractError(PenstockError):
    """A provider answered in a shape that its adapter does not know."""


class StoreUnavailable(PenstockError):
    """A store that is only an optimisation did not answer in time."""


class BackPressure(PenstockError):
    """The pipeline is full for now."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"the pipeline is full; try again in {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s
