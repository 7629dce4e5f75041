"""OpenAI's paths for files: uploaded into the log, listed, read back, deleted."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from processors.api import files_shape as shape
from processors.api.bad_request import BadRequest
from processors.api.batch_page import page, wanted
from processors.api.batch_tally import MAX_PART_BYTES
from processors.api.files_form import Field, FileBegins, FileData, Form, boundary_of
from processors.api.refusals import RETRY_AFTER_S, Refusal
from schemas.batches import BatchChanged
from schemas.files import StoredFile
from schemas.keys import KeyRole
from streams import clock, topics
from streams.edge.answering import not_askable
from streams.edge.batch_index import BatchIndex
from streams.edge.body import parts
from streams.edge.door import Door
from streams.edge.files_log import FileIncomplete, FileLog, file_key
from streams.edge.principal import Refused
from streams.ids import new_id
from streams.publisher import Outgoing
from streams.runtime import Runtime

log = structlog.get_logger(__name__)
logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # what is wrong with a body is told to its sender

_MOST_LISTED = 10_000
_PUBLISH_WITHIN_S = 20.0
_WITHIN_S = 900.0
"""The largest file comes in this time over two megabits a second."""
_MAX_FIELDS = 16
_OVERHEAD_BYTES = 1_000_000
"""What a form takes besides its file, at most."""


@dataclass(slots=True)
class _Upload:
    """One file on its way into the log: no more than a piece of it is held."""

    runtime: Runtime
    files: FileLog
    tenant: str
    file_id: str
    fields: dict[str, str] = field(default_factory=dict)
    filename: str | None = None
    size: int = 0
    parts: int = 0
    _held: bytearray = field(default_factory=bytearray)

    async def take(self, piece: Field | FileBegins | FileData) -> None:
        """Raises BadRequest, and Refused when the file is too large or the log takes nothing."""
        if isinstance(piece, Field):
            self.fields[piece.name] = piece.value
            if len(self.fields) > _MAX_FIELDS:
                raise BadRequest("the body has too many fields: send `file` and `purpose`")
        elif isinstance(piece, FileBegins):
            if self.filename is not None or piece.name != "file":
                raise BadRequest("the body must have one file, in the field `file`", "file")
            self.filename = shape.name_of(piece.filename)
        else:
            self.size += len(piece.data)
            if self.size > shape.MAX_FILE_BYTES:
                raise Refused(_too_large())
            self._held += piece.data
            while len(self._held) >= MAX_PART_BYTES:
                await self._publish(MAX_PART_BYTES)

    async def stored(self) -> StoredFile:
        """The file, once all its pieces are in the log. Raises BadRequest for a form that lacks something."""
        purpose, kept_for = shape.purpose_of(self.fields), shape.kept_for(self.fields)
        if self.filename is None:
            raise BadRequest("the field `file` is missing, or is no file", "file")
        if self._held:
            await self._publish(len(self._held))
        now = clock.now()
        return StoredFile(
            self.file_id, self.tenant, self.filename, purpose, self.size, self.parts, created_at=now, expires_at=now + kept_for
        )

    async def _publish(self, size: int) -> None:
        data = bytes(self._held[:size])
        del self._held[:size]
        await published(self.runtime, self.files.piece(self.tenant, self.file_id, self.parts, data))
        self.parts += 1


class Files:
    """The handlers. What they raise as Refused is answered in OpenAI's shape."""

    def __init__(self, door: Door, index: BatchIndex, files: FileLog) -> None:
        self._door = door
        self._index = index
        self._files = files
        self._codec = door.runtime.serde.of(BatchChanged)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/files", self._upload, methods=["POST"]),
            Route("/v1/files", self._list, methods=["GET"]),
            Route("/v1/files/{file_id}", self._show, methods=["GET"]),
            Route("/v1/files/{file_id}", self._delete, methods=["DELETE"]),
            Route("/v1/files/{file_id}/content", self._content, methods=["GET"]),
        ]

    async def _upload(self, http: Request) -> Response:
        principal = self._door.admit(http, KeyRole.PUBLISH)
        upload = _Upload(self._door.runtime, self._files, principal.tenant, new_id("file"))
        try:
            form = Form(boundary_of(http.headers.get("content-type", "")))
            async for data in parts(http, most=shape.MAX_FILE_BYTES + _OVERHEAD_BYTES, within_s=_WITHIN_S):
                for piece in form.feed(data):
                    await upload.take(piece)
            form.end()
            file = await upload.stored()
        except BadRequest as bad:
            raise not_askable(bad) from bad
        key, value = file_key(file.tenant, file.file_id), self._codec.encode(BatchChanged(file=file))
        await published(self._door.runtime, Outgoing(topics.BATCHES, key, value))
        await self._index.until_known(file.file_id)
        return JSONResponse(shape.file_object(file))

    async def _list(self, http: Request) -> Response:
        tenant, purpose = self._reader(http), http.query_params.get("purpose")
        try:
            wish = wanted(http.query_params, limit=_MOST_LISTED, most=_MOST_LISTED)
        except BadRequest as bad:
            raise not_askable(bad) from bad
        files = [each for each in await self._index.files(tenant) if purpose in {None, each.purpose}]
        return JSONResponse(page(files, lambda each: each.file_id, shape.file_object, wish))

    async def _show(self, http: Request) -> Response:
        return JSONResponse(shape.file_object(await self._named(http, self._reader(http))))

    async def _delete(self, http: Request) -> Response:
        file = await self._named(http, self._door.admit(http, KeyRole.PUBLISH).tenant)
        await published(self._door.runtime, Outgoing(topics.BATCHES, file_key(file.tenant, file.file_id), None))
        await self._index.until_gone(file)
        return JSONResponse({"id": file.file_id, "object": "file", "deleted": True})

    async def _content(self, http: Request) -> Response:
        """The first piece decides the status; a later failure breaks the connection off."""
        file = await self._named(http, self._reader(http))
        pieces = self._files.pieces(file.tenant, file.file_id, file.parts)
        try:
            first = await anext(pieces, b"")
        except FileIncomplete as error:
            log.warning("edge_file_incomplete", tenant=file.tenant, error=str(error), next_step="check the retention of ai.files")
            raise Refused(Refusal(500, "file_incomplete", "the log no longer has this file's bytes: upload it again")) from error

        async def body() -> AsyncIterator[bytes]:
            yield first
            async for data in pieces:
                yield data

        headers = {"content-length": str(file.size_bytes), "content-disposition": "attachment"}
        return StreamingResponse(body(), media_type="application/octet-stream", headers=headers)

    def _reader(self, http: Request) -> str:
        return self._door.admit(http, KeyRole.READ, KeyRole.PUBLISH).tenant

    async def _named(self, http: Request, tenant: str) -> StoredFile:
        return await self._index.file(tenant, http.path_params["file_id"])


async def published(runtime: Runtime, record: Outgoing) -> None:
    """Return when the broker has it. Raises Refused while Kafka is away."""
    try:
        async with asyncio.timeout(_PUBLISH_WITHIN_S):
            await runtime.publisher.send_all([record])
    except (KafkaError, TimeoutError) as error:
        log.warning("edge_publish_failed", error=type(error).__name__, next_step="check the broker")
        message = "the log did not take it in time: try again"
        raise Refused(Refusal(503, "log_unavailable", message, retry_after_s=RETRY_AFTER_S)) from error


def _too_large() -> Refusal:
    return Refusal(413, "request_too_large", f"a file may have {shape.MAX_FILE_BYTES:,} bytes: split it", "file")
