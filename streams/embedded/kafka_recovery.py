"""What must happen between a `kill -9` of the only broker and its next start.

The controller's log still says that the broker lives and leads every partition. A broker that starts from it takes up its
transaction coordinators before its listener is open, and tries to send the markers of transactions that were being
committed. Meanwhile the controller ends the session of its former self, and for a moment all partitions are without a
leader. A marker that is retried in that moment is dropped ("these partitions are likely deleted already and hence can be
skipped"), and if the transaction log still takes it, the transaction is recorded as complete. Its marker is never written:
`read_committed` readers stand still before a transaction that was acknowledged as committed, for ever, restarts included.
With 4.3.1, twelve transactions on their way at each kill, and a plain restart, 4 of 4 runs of three kills dropped markers or
left a partition stuck for good; with what follows none did.

So the controller first runs alone, with a session timeout that ends at once: it fences the former self, and the start after it
finds partitions without a leader, as after an orderly stop. That also ends the need to wait for a session timeout, so that the
only broker can have a very long one: to fence it helps nobody.
"""

from collections.abc import Callable
from pathlib import Path

from streams.embedded.ports import LOOPBACK

FENCED = "fenced=1"
STARTED = "Kafka Server started"
_ALREADY_FENCED_S = 1.0  # the session of 100 ms starts when the controller does


def was_killed(log_dir: Path) -> bool:
    """Whether the data are those of a broker that ran and was not stopped in order."""
    return (log_dir / "__cluster_metadata-0").is_dir() and not (log_dir / ".kafka_cleanshutdown").is_file()


def controller_properties(*, controller_port: int, log_dir: Path) -> dict[str, str]:
    """The properties of the same node as a controller alone, that gives up on its broker at once."""
    return {
        "process.roles": "controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CONTROLLER://{LOOPBACK}:{controller_port}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT",
        "log.dirs": str(log_dir),
        "broker.session.timeout.ms": "100",
        "broker.heartbeat.interval.ms": "50",
    }


class FencingWatch:
    """Reads in the controller's log, from where it stands now, whether the broker is fenced."""

    def __init__(self, log: Path, *, now_s: Callable[[], float]) -> None:
        self._log = log
        self._from_bytes = log.stat().st_size
        self._now_s = now_s
        self._started_s: float | None = None

    async def done(self) -> bool:
        """True once the broker was fenced, or a second after the start: then it had been fenced before the kill."""
        with self._log.open("rb") as file:
            file.seek(self._from_bytes)
            said = file.read().decode(errors="replace")
        activated = said.partition("Performing controller activation")[2]
        if FENCED in activated:
            return True
        if self._started_s is None and STARTED in said:
            self._started_s = self._now_s()
        return self._started_s is not None and self._now_s() - self._started_s > _ALREADY_FENCED_S
