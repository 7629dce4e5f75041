"""Reads records of ai.requests: each a request that can be routed, or one that is refused, with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from processors.cache.key import Identity, identify
from processors.classify import decide as classify
from processors.classify.decide import Classified, Reading
from processors.classify.sensitivity import Sensitivity, nothing
from processors.classify.validate import MAX_ID_CHARS, problems
from processors.embedding import Embedder
from processors.route.assemble import UNKNOWN_TENANT, Arrived
from schemas.errors import RecordError
from schemas.requests import InferenceRequest
from schemas.serde import Codec, salvage_request_id, schema_id_of
from streams.dead_letters import timestamp_of
from streams.faust_host import Delivered
from streams.runtime import Runtime

log = structlog.get_logger(__name__)

DEFECT = "internal_error"
"""The reason of a refusal that is our fault, not the producer's."""
_MAX_ANSWERABLE_CHARS = 1_000


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that can never be routed. `request` is what could be decoded; without `request_id` nobody can be answered."""

    record: Delivered
    arrived: Arrived
    reason: str
    message: str
    request: InferenceRequest | None
    request_id: str | None
    tenant: str


@dataclass(frozen=True, slots=True)
class Known:
    """A valid request, classified."""

    record: Delivered
    arrived: Arrived
    classified: Classified
    identity: Identity

    def refused(self, reason: str, message: str) -> Refused:
        """The same request, when it turns out that it cannot be routed after all."""
        request = self.classified.request
        return Refused(self.record, self.arrived, reason, message, request, request.request_id, request.tenant)


@dataclass(frozen=True, slots=True)
class _Valid:
    """A valid request that is read and not yet judged."""

    record: Delivered
    arrived: Arrived
    reading: Reading
    identity: Identity


class Arrivals:
    """Reads records of ai.requests. Nothing that a record holds makes it raise, and none spoils another's batch."""

    def __init__(self, runtime: Runtime, embedder: Embedder, *, sensitivity: Sensitivity = nothing) -> None:
        self._runtime = runtime
        self._embedder = embedder
        self._sensitivity = sensitivity
        self._codec: Codec[InferenceRequest] = runtime.serde.of(InferenceRequest)

    def read(self, records: Sequence[Delivered], *, now: datetime) -> list[Known | Refused]:
        """What each record holds, in order."""
        items = [self._validated(record, now) for record in records]
        valid = [item for item in items if isinstance(item, _Valid)]
        judged = iter(self._judged(valid, now))
        return [next(judged) if isinstance(item, _Valid) else item for item in items]

    def _validated(self, record: Delivered, now: datetime) -> _Valid | Refused:
        request: InferenceRequest | None = None
        try:
            request = self._codec.decode(record.value)
            if found := problems(request):
                return self._refused(record, "invalid", "; ".join(found), request, now)
            return _Valid(
                record=record,
                arrived=replace(
                    self._arrived(record, request.tenant, request.request_id, now), value=self._ours(record, request)
                ),
                reading=classify.read(request, sensitivity=self._sensitivity),
                identity=identify(request),
            )
        except RecordError as error:
            return self._refused(record, error.reason, str(error), request, now)
        except Exception as error:
            # A defect of ours that one record meets must not stop all that follow it: it is put aside, and told loudly.
            log.exception("intake_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            return self._defect(record, request, error, now)

    def _judged(self, valid: Sequence[_Valid], now: datetime) -> list[Known | Refused]:
        """These requests, classified with one embedding; when that fails, one by one: only what made it fail is refused."""
        if not valid:
            return []
        try:
            classified = classify.judge([item.reading for item in valid], self._embedder)
        except Exception as error:
            if len(valid) > 1:
                log.warning("intake_batch_split", records=len(valid), error=type(error).__name__)
                return [known for item in valid for known in self._judged([item], now)]
            record, request = valid[0].record, valid[0].reading.request
            log.exception("intake_defect", topic=record.topic, partition=record.partition, offset=record.offset)
            return [self._defect(record, request, error, now)]
        return [Known(item.record, item.arrived, one, item.identity) for item, one in zip(valid, classified, strict=True)]

    def _defect(self, record: Delivered, request: InferenceRequest | None, error: Exception, now: datetime) -> Refused:
        return self._refused(record, DEFECT, f"intake failed on it ({type(error).__name__})", request, now)

    def _ours(self, record: Delivered, request: InferenceRequest) -> bytes:
        """The request under the schema that the stages after this one know, whichever its sender wrote it with."""
        value = record.value or b""
        return value if schema_id_of(value) == self._codec.write_id else self._codec.encode(request)

    def _refused(self, record: Delivered, reason: str, message: str, request: InferenceRequest | None, now: datetime) -> Refused:
        request_id = request.request_id if request is not None else _salvaged_id(record.value, reason)
        if request_id is not None and not 0 < len(request_id) <= _MAX_ANSWERABLE_CHARS:
            request_id = None
        tenant = _tenant(record, request)
        return Refused(
            record=record,
            arrived=self._arrived(record, tenant, request_id or "", now),
            reason=reason,
            message=message,
            request=request,
            request_id=request_id,
            tenant=tenant,
        )

    def _arrived(self, record: Delivered, tenant: str, request_id: str, now: datetime) -> Arrived:
        lane = self._runtime.lane_of(tenant, request_id)
        return Arrived(record.value or b"", timestamp_of(record, now), lane)


def _salvaged_id(value: bytes | None, reason: str) -> str | None:
    """The id of a request that cannot be read whole. A record of another type has none, whatever its first field is."""
    return None if reason == "wrong_type" else salvage_request_id(value)


def _tenant(record: Delivered, request: InferenceRequest | None) -> str:
    """Whose the record is: as it says itself, else as its key does, which is the tenant's by contract."""
    if request is not None and _is_name(request.tenant):
        return request.tenant
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return UNKNOWN_TENANT
    return key if _is_name(key) else UNKNOWN_TENANT


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_ID_CHARS and text.isprintable() and not text.isspace()
