"""The progress bar of publishing and answering, on standard error; nothing at all when nobody looks."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars


class Progress:
    """Counts what was published and answered. `total` None: the end is not known."""

    def __init__(self, total: int | None, *, shown: bool, answers: bool) -> None:
        self._bars: Bars | None = None
        if not shown or not sys.stderr.isatty():
            return
        self._bars = _bars()
        self._published = self._bars.add_task("published", total=total)
        self._answered = self._bars.add_task("answered", total=total) if answers else None

    def __enter__(self) -> "Progress":
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def published(self) -> None:
        if self._bars is not None:
            self._bars.advance(self._published)

    def answered(self) -> None:
        if self._bars is not None and self._answered is not None:
            self._bars.advance(self._answered)


def _bars() -> "Bars":
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.progress import Progress as Bars  # noqa: PLC0415

    from streams.cli.screen import console  # noqa: PLC0415

    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Bars(*columns, console=console(stderr=True), transient=True, refresh_per_second=5)
