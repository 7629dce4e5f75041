"""Exit codes of the command line. Documented: scripts rely on them."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    NO = 1
    """The command worked and the answer is no: a request failed, a line was bad, a check failed, verify is not clean."""
    SETTINGS = 2
    """The operator must change something first: a setting, an option, a broker that is away."""
    TIMEOUT = 3
    """What was waited for did not come in time."""
    INTERRUPTED = 130
    """Ctrl-C."""
