"""What a program that uses the client may have to act on.

Beside these, settings that cannot work are a SettingsError, and what cannot be a request is a MalformedRecord.
"""

from schemas.errors import PenstockError
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest


class NotAcknowledged(PenstockError):
    """The broker did not acknowledge a request: it may stand in the log or not. Publish `request` again, under the same id."""

    def __init__(self, request: InferenceRequest, why: str) -> None:
        super().__init__(
            f"the broker did not acknowledge {request.tenant}/{request.request_id} ({why}): check it, and publish the same "
            "request again; it is answered and paid once"
        )
        self.request = request


class NotCancelled(PenstockError):
    """The broker did not acknowledge a cancellation: the log may have it or not. Cancel again: twice does what once does."""

    def __init__(self, tenant: str, request_id: str, why: str) -> None:
        super().__init__(
            f"the broker did not acknowledge the cancellation of {tenant}/{request_id} ({why}): check it, and cancel again; "
            "until then the request may go on, and is billed"
        )
        self.tenant, self.request_id = tenant, request_id


class NoAnswer(PenstockError, TimeoutError):
    """No final response came in time. The request stands in the log, and may be answered later."""

    def __init__(self, request: InferenceRequest) -> None:
        super().__init__(
            f"no answer to {request.tenant}/{request.request_id} came in time; it stands in the log: is the pipeline up "
            f"(`penstock doctor`)? `penstock explain {request.request_id}` shows how far it came"
        )
        self.request = request


class SentAgain(PenstockError):
    """The request_id was used before: its final response stands in ai.responses, or another request has the id.

    `notice.status` says which: `duplicate` or `conflict`.
    """

    def __init__(self, notice: InferenceResponse) -> None:
        said = notice.error.message if notice.error else notice.status.value
        super().__init__(f"{notice.tenant}/{notice.request_id} was sent before: {said}")
        self.notice = notice


class RecordsGone(PenstockError):
    """Records that the group had not read were deleted: their time was over. With `allow_gaps` reading goes on behind them."""

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"{topic}[{partition}] has no offset {offset} any more: what stood there was deleted unread; read on with "
            "allow_gaps=True, or begin anew with another group"
        )
        self.topic, self.partition, self.offset = topic, partition, offset
