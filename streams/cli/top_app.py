"""The terminal's screen of the live view."""

from typing import ClassVar

import aiohttp
from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.css.query import NoMatches
from textual.widgets import DataTable, Footer, Static

from streams.cli import top_drawn as drawn
from streams.cli.top_board import Board
from streams.cli.top_feed import Feed, Lost, Refused, Told, in_words

_ROWS = 100
"""As many of the last requests are listed: what nobody scrolls to is not worth measuring every second."""


class TopApp(App[None]):
    """Shows what the feed tells, and a chosen request's lineage. `state` is what the first line says of the connection."""

    TITLE = "Penstock"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (130, "-wide")]  # noqa: RUF012 - textual declares it so
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("s", "spend", "Spend by"),
        Binding("d", "letters", "Dead letters"),
        Binding("p", "pause", "Pause"),
        Binding("escape", "close", "Close"),
    ]
    CSS = """
    #state { height: 1; padding: 0 1; }
    #state.lost { background: $error; color: $text; }
    #figures { height: auto; padding: 0 1 1 1; }
    #side { width: 64; height: 1fr; padding: 0 1; }
    #side Static { height: auto; padding-bottom: 1; }
    #main { height: 1fr; }
    #requests, #letters { height: 1fr; }
    #letters, #lineage { display: none; }
    #lineage { height: 1fr; border-top: solid $primary; padding: 0 1; }
    .-narrow #body { layout: vertical; }
    .-narrow #side { width: 100%; height: auto; max-height: 35%; }
    """

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self.board = Board()
        self.state = "connecting"
        self.paused = False
        self._by = 0
        self._shown: tuple[list[int], list[int]] = ([], [])

    @property
    def by(self) -> str:
        """What the spend is shown by."""
        return drawn.BY[self._by]

    def compose(self) -> ComposeResult:
        yield Static(id="state", markup=False)
        yield Static(id="figures")
        with Horizontal(id="body"):
            with VerticalScroll(id="side"):
                for name in ("spend", "health", "lag"):
                    yield Static(id=name)
            with Vertical(id="main"):
                yield DataTable(id="requests", cursor_type="row", zebra_stripes=True)
                yield DataTable(id="letters", cursor_type="row", zebra_stripes=True)
                with VerticalScroll(id="lineage"):
                    yield Static(id="lineage-text", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        for name, columns in (("requests", drawn.REQUEST_COLUMNS), ("letters", drawn.LETTER_COLUMNS)):
            self._table(name).add_columns(*columns)
        self._table("requests").focus()
        self._say(f"connecting to {self._feed.url}")
        self._follow()

    @work(exclusive=True, group="feed")
    async def _follow(self) -> None:
        async for told in self._feed.follow():
            try:
                if isinstance(told, Lost):
                    self._say(f"connection lost: {told.why}; again in {told.again_s:g} s", lost=True)
                else:
                    self._take(told)
            except NoMatches:
                return  # the screen is being taken down

    def _take(self, told: Told) -> None:
        try:
            self.board.take(told.name, told.data)
            self._draw()
        except (KeyError, TypeError, ValueError) as error:
            self._say(f"what the edge tells cannot be shown ({type(error).__name__}): is it of another version?", lost=True)
            return
        whose = self.board.fields.get("tenant")
        told_of = "all tenants" if whose is None else f"tenant {whose}"
        self._say(f"{self._feed.url}  {told_of}  {self.board.fields.get('at', '')[:19]}Z" + ("  paused" if self.paused else ""))

    def _draw(self) -> None:
        self.query_one("#figures", Static).update(drawn.figures(self.board, self.size.width - 2))
        titled = {
            "spend": (f"Spend by {self.by}", drawn.spend(self.board, self.by)),
            "health": ("Providers", drawn.health(self.board, brief=True)),
            "lag": ("Lag", drawn.lag(self.board)),
        }
        for name, (title, body) in titled.items():
            self.query_one(f"#{name}", Static).update(drawn.titled(title, body))
        if not self.paused:
            self._fill()

    def _fill(self) -> None:
        """The lists anew, the newest first. The cursor stays on its row, or at the top, where it follows."""
        lists = (self.board.list_of("requests"), self.board.list_of("dead_letters"))
        shown = ([entry["n"] for entry in lists[0]], [entry["n"] for entry in lists[1]])
        if shown == self._shown:
            return
        self._shown = shown
        for name, entries, row in zip(("requests", "letters"), lists, (drawn.request_row, drawn.letter_row), strict=True):
            table = self._table(name)
            at = table.cursor_row
            held = table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value if table.row_count and at else None
            table.clear()
            for entry in reversed(entries[-_ROWS:]):
                table.add_row(*row(entry), key=str(entry["n"]))
            if held is not None and held in table.rows:
                table.move_cursor(row=table.get_row_index(held), animate=False)

    def on_data_table_row_selected(self, chosen: "DataTable.RowSelected") -> None:
        name = "requests" if chosen.data_table.id == "requests" else "dead_letters"
        number = chosen.row_key.value
        entry = next((entry for entry in self.board.list_of(name) if str(entry["n"]) == number), None)
        if entry is not None and entry.get("request_id"):
            self._explain(str(entry["request_id"]))

    @work(exclusive=True, group="lineage")
    async def _explain(self, request_id: str) -> None:
        text = self.query_one("#lineage-text", Static)
        text.update(f"{request_id}: looking it up")
        self.query_one("#lineage").display = True
        try:
            found = drawn.lineage(await self._feed.request(request_id))
        except (Refused, aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            found = Text(f"{request_id}: {in_words(error)}")
        text.update(found)

    def action_close(self) -> None:
        self.query_one("#lineage").display = False

    def action_spend(self) -> None:
        self._by = (self._by + 1) % len(drawn.BY)
        self._draw()

    def action_pause(self) -> None:
        self.paused = not self.paused
        self._draw()

    def action_letters(self) -> None:
        requests, letters = self._table("requests"), self._table("letters")
        requests.display, letters.display = letters.display, requests.display
        (requests if requests.display else letters).focus()

    def _table(self, name: str) -> "DataTable[Text]":
        return self.query_one(f"#{name}", DataTable)

    def _say(self, state: str, *, lost: bool = False) -> None:
        self.state = state
        line = self.query_one("#state", Static)
        line.update(state)
        line.set_class(lost, "lost")
