"""What the dispatcher decides about."""

from dataclasses import dataclass

from schemas.calls import CallReported
from schemas.routing import RequestRouted


@dataclass(frozen=True, slots=True)
class Routed:
    """A record of ai.requests.routed; `value` are its bytes, which the changelog keeps while the request is open."""

    record: RequestRouted
    value: bytes


@dataclass(frozen=True, slots=True)
class Reported:
    """A record of ai.attempts."""

    record: CallReported


@dataclass(frozen=True, slots=True)
class RequestDue:
    """A timer of a request: its deadline, the end of its parking, or its hedge."""

    request_key: str


@dataclass(frozen=True, slots=True)
class CallDue:
    """A timer of a started call: with no report by now it is lost."""

    call_id: str


@dataclass(frozen=True, slots=True)
class Advised:
    """What the whole fleet's calls tell about a deployment has changed: it is down, or it is back."""

    deployment: str
    down: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The sender does not want the answer any longer."""

    request_key: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """Time to forget finished requests and adjusted calls that are older than the dedupe horizon, `most` of them at a time."""

    most: int


Event = Routed | Reported | RequestDue | CallDue | Advised | Cancelled | Sweep
