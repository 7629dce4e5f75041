"""What the OpenAPI document says of files and batches."""

from collections.abc import Mapping

from processors.api.batch_lines import ENDPOINTS
from processors.api.openapi import Answer, Described, Errors, Parameter
from processors.api.openapi_schemas import COUNT, FLAG, MAYBE_TEXT, OBJECTS, TEXT, Schema, a_list, an_object
from schemas.batches import BatchStatus

_PUBLISH, _EITHER = ("publish",), ("read", "publish")
_SECOND: Schema = {"type": ["integer", "null"], "description": "Seconds since 1970."}
_TIMES = (
    "in_progress_at",
    "expires_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)
_METADATA: Schema = {
    "type": ["object", "null"],
    "maxProperties": 16,
    "additionalProperties": {"type": "string", "maxLength": 512},
}
_EXPIRY = an_object(
    "anchor seconds",
    anchor={"enum": ["created_at"]},
    seconds={"type": "integer", "minimum": 3_600, "maximum": 2_592_000},
)
_LISTED: Mapping[str, Schema] = {"first_id": MAYBE_TEXT, "last_id": MAYBE_TEXT, "has_more": FLAG}
_AFTER = Parameter("after", "The id of the last one of the page before.", {"type": "string"})
_ORDER = Parameter("order", "By the time they were made.", {"enum": ["asc", "desc"]})
_UPLOAD = an_object("file purpose", file={"type": "string", "format": "binary"}, purpose={"enum": ["batch"]})

SCHEMAS: Mapping[str, Schema] = {
    "File": an_object(
        "id object bytes created_at filename purpose status",
        id=TEXT,
        object={"enum": ["file"]},
        bytes=COUNT,
        created_at=COUNT,
        expires_at=_SECOND,
        filename=TEXT,
        purpose={"enum": ["batch", "batch_output"]},
        status={"enum": ["processed"]},
    ),
    "Files": an_object("object data has_more", object={"enum": ["list"]}, data=a_list("File"), **_LISTED),
    "FileDeleted": an_object("id object deleted", id=TEXT, object={"enum": ["file"]}, deleted={"type": "boolean"}),
    "BatchRequest": an_object(
        "input_file_id endpoint completion_window",
        input_file_id=TEXT,
        endpoint={"enum": list(ENDPOINTS)},
        completion_window={"enum": ["24h"]},
        metadata=_METADATA,
        output_expires_after=_EXPIRY,
    ),
    "Batch": an_object(
        "id object endpoint input_file_id completion_window status created_at",
        id=TEXT,
        object={"enum": ["batch"]},
        endpoint=TEXT,
        input_file_id=TEXT,
        completion_window=TEXT,
        status={"enum": [each.value for each in BatchStatus if each is not BatchStatus.UNKNOWN]},
        output_file_id=MAYBE_TEXT,
        error_file_id=MAYBE_TEXT,
        errors={"type": ["object", "null"], "properties": {"data": OBJECTS}},
        created_at=COUNT,
        **dict.fromkeys(_TIMES, _SECOND),
        request_counts=an_object("total completed failed", total=COUNT, completed=COUNT, failed=COUNT),
        usage={"type": ["object", "null"]},
        metadata=_METADATA,
    ),
    "Batches": an_object("object data has_more", object={"enum": ["list"]}, data=a_list("Batch"), **_LISTED),
}


def _limit(most: int) -> Parameter:
    return Parameter("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": most})


def _of(method: str, path: str, summary: str, answer: Answer, *statuses: int, roles: tuple[str, ...] = _EITHER) -> Described:
    return Described(method, path, "OpenAI", summary, answer, Errors.OPENAI, statuses, roles)


TABLE = (
    Described(
        "POST",
        "/v1/files",
        "OpenAI",
        "Uploads a file of batch lines, of 200 MB at most.",
        Answer("It stands in the log.", "File"),
        Errors.OPENAI,
        (503,),
        _PUBLISH,
        _UPLOAD,
        "multipart/form-data",
    ),
    Described(
        "GET",
        "/v1/files",
        "OpenAI",
        "Lists the tenant's files.",
        Answer("A page of them.", "Files"),
        Errors.OPENAI,
        (400, 503),
        _EITHER,
        parameters=(Parameter("purpose", "Only those of this purpose.", {"type": "string"}), _limit(10_000), _AFTER, _ORDER),
    ),
    _of("GET", "/v1/files/{file_id}", "One file.", Answer("It is there.", "File"), 404, 503),
    _of("DELETE", "/v1/files/{file_id}", "Deletes a file.", Answer("It is gone.", "FileDeleted"), 404, 503, roles=_PUBLISH),
    _of(
        "GET",
        "/v1/files/{file_id}/content",
        "The bytes of a file.",
        Answer("All of them.", {"type": "string"}, ("application/octet-stream",)),
        404,
        503,
    ),
    Described(
        "POST",
        "/v1/batches",
        "OpenAI",
        "Has every line of a file asked, within 24 hours.",
        Answer("It stands in the log.", "Batch"),
        Errors.OPENAI,
        (404, 503),
        _PUBLISH,
        "BatchRequest",
    ),
    Described(
        "GET",
        "/v1/batches",
        "OpenAI",
        "Lists the tenant's batches, the latest first.",
        Answer("A page of them.", "Batches"),
        Errors.OPENAI,
        (400, 503),
        _EITHER,
        parameters=(_limit(100), _AFTER),
    ),
    _of("GET", "/v1/batches/{batch_id}", "How far a batch has come.", Answer("The batch.", "Batch"), 404, 503),
    _of(
        "POST",
        "/v1/batches/{batch_id}/cancel",
        "Asks no more lines of a batch, and cancels those under way.",
        Answer("The batch.", "Batch"),
        404,
        409,
        503,
        roles=_PUBLISH,
    ),
)
