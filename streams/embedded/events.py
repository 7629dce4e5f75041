"""What a stack tells whoever started it: one value for each thing worth a line on a screen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Starting:
    name: str


@dataclass(frozen=True, slots=True)
class Downloading:
    """Only at the first start on a machine, when the jars of Kafka are not there yet."""

    name: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The part answers. `address` is what a client would be given; None for a part that no client calls."""

    name: str
    pid: int
    address: str | None
    took_s: float


@dataclass(frozen=True, slots=True)
class Exited:
    """The part ended although nobody stopped it; it comes back after `restart_in_s`."""

    name: str
    exit_code: int
    restart_in_s: float


@dataclass(frozen=True, slots=True)
class Restarted:
    """The part is ready again. `restarts` counts since the stack was started."""

    name: str
    pid: int
    restarts: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The part is given up: starting it again cannot help until the operator changes something."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    name: str
    exit_code: int


StackEvent = Starting | Downloading | Ready | Exited | Restarted | Failed | Stopped
