"""OpenAI's paths for batches: published to the log, shown as they come on, cancelled. Who carries them out: `batch_driver`."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from processors.api.bad_request import BadRequest
from processors.api.batch_page import page, wanted
from processors.api.batch_shape import WINDOW, batch_object, new_batch
from processors.api.files_shape import BATCH
from processors.api.refusals import Refusal
from schemas.batches import BatchCancel, BatchChanged, BatchState, BatchStatus
from schemas.keys import KeyRole
from streams import clock, topics
from streams.edge.answering import not_askable
from streams.edge.batch_index import BatchIndex, batch_key, cancel_key
from streams.edge.body import read_object
from streams.edge.door import Door
from streams.edge.files import published
from streams.edge.principal import Refused
from streams.ids import new_id
from streams.placement import partition_of
from streams.publisher import Outgoing

_LISTED, _MOST_LISTED = 20, 100


class Batches:
    """The handlers. What they raise as Refused is answered in OpenAI's shape."""

    def __init__(self, door: Door, index: BatchIndex) -> None:
        self._door = door
        self._index = index
        self._codec = door.runtime.serde.of(BatchChanged)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/batches", self._create, methods=["POST"]),
            Route("/v1/batches", self._list, methods=["GET"]),
            Route("/v1/batches/{batch_id}", self._show, methods=["GET"]),
            Route("/v1/batches/{batch_id}/cancel", self._cancel, methods=["POST"]),
        ]

    async def _create(self, http: Request) -> Response:
        tenant = self._door.admit(http, KeyRole.PUBLISH).tenant
        body = await read_object(http)
        try:
            new = new_batch(body)
            file = await self._index.file(tenant, new.input_file_id)
        except BadRequest as bad:
            raise not_askable(bad) from bad
        if file.purpose != BATCH:
            message = f"the file's purpose is {file.purpose}, and must be {BATCH}"
            raise Refused(Refusal(400, "invalid_request", message, "input_file_id"))
        now = clock.now()
        state = BatchState(
            batch_id=new_id("batch").replace("-", "_"),
            tenant=tenant,
            endpoint=new.endpoint,
            input_file_id=file.file_id,
            input_parts=file.parts,
            status=BatchStatus.VALIDATING,
            created_at=now,
            expires_at=now + WINDOW,
            output_expires_after_s=new.output_expires_after_s,
            metadata=new.metadata,
        )
        await published(self._door.runtime, await self._record(state, batch_key(tenant, state.batch_id), BatchChanged(state)))
        await self._index.until_known(state.batch_id)
        return self._shown(state)

    async def _list(self, http: Request) -> Response:
        tenant = self._door.admit(http, KeyRole.READ, KeyRole.PUBLISH).tenant
        try:
            wish = wanted(http.query_params, limit=_LISTED, most=_MOST_LISTED)
        except BadRequest as bad:
            raise not_askable(bad) from bad
        batches = await self._index.batches(tenant)
        return JSONResponse(page(batches, lambda each: each.batch_id, self._object, wish))

    async def _show(self, http: Request) -> Response:
        return self._shown(await self._named(http, KeyRole.READ, KeyRole.PUBLISH))

    async def _cancel(self, http: Request) -> Response:
        state = await self._named(http, KeyRole.PUBLISH)
        if self._index.cancel_asked_at(state) is None and state.status is not BatchStatus.CANCELLED:
            if state.status.ended or state.status is BatchStatus.FINALIZING:
                message = f"a batch that is {state.status.value} cannot be cancelled"
                raise Refused(Refusal(409, "batch_not_cancellable", message))
            wish = BatchChanged(cancel=BatchCancel(state.batch_id, state.tenant, clock.now()))
            await published(self._door.runtime, await self._record(state, cancel_key(state.tenant, state.batch_id), wish))
            await self._index.until_cancelled(state)
        return self._shown(await self._named(http, KeyRole.PUBLISH))

    async def _named(self, http: Request, *roles: KeyRole) -> BatchState:
        tenant = self._door.admit(http, *roles).tenant
        return await self._index.batch(tenant, http.path_params["batch_id"])

    async def _record(self, state: BatchState, key: str, changed: BatchChanged) -> Outgoing:
        """A record that stands beside the batch, whatever its own key."""
        partitions = await self._door.runtime.publisher.partitions(topics.BATCHES)
        partition = partition_of(batch_key(state.tenant, state.batch_id), partitions)
        return Outgoing(topics.BATCHES, key, self._codec.encode(changed), partition=partition)

    def _shown(self, state: BatchState) -> Response:
        return JSONResponse(self._object(state))

    def _object(self, state: BatchState) -> dict[str, object]:
        return batch_object(state, self._index.cancel_asked_at(state))
