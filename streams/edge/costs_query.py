"""What `GET /v1/costs` was asked, and its answer out of the totals: exact sums, by name and by the hour or the day. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from processors.api.refusals import Refusal
from schemas.errors import SettingsError
from schemas.keys import KeyRole
from schemas.ledger import CostTotal
from streams import money
from streams.beginning import parse_time
from streams.edge.principal import Principal, Refused
from streams.sums import BY, Sums

TIMES = ("hour", "day")
_NAMES = tuple(name for name in BY if name not in TIMES)
_PARAMETERS = frozenset({"by", "per", "from", "to", "cumulative", "tenant"})
_WORDS = {"true": True, "1": True, "false": False, "0": False}
_FIELDS = tuple(field.name for field in fields(Sums))

_Cell = tuple[str, str]
"""When, and whose; each empty where it was not asked for."""


@dataclass(frozen=True, slots=True)
class CostQuery:
    """`by` is a name or a time, `per` a time beside a name; `tenant` None: all tenants."""

    by: str
    per: str | None
    since: datetime | None
    until: datetime | None
    cumulative: bool
    tenant: str | None

    @classmethod
    def of(cls, given: Mapping[str, str], principal: Principal) -> "CostQuery":
        """The query of a request's parameters. Raises Refused, 400 for one that is wrong and 403 for another's tenant."""
        if unknown := given.keys() - _PARAMETERS:
            raise _bad(f"there is no parameter {min(unknown)[:60]!r}; there are {', '.join(sorted(_PARAMETERS))}")
        by, per = given.get("by", "model"), given.get("per")
        if by not in BY:
            raise _bad(f"`by` must be one of {', '.join(BY)}", "by")
        if per is not None and (per not in TIMES or by in TIMES):
            raise _bad(f"`per` must be {' or '.join(TIMES)}, beside a `by` of {', '.join(_NAMES)}", "per")
        cumulative = _WORDS.get(given.get("cumulative", "false").lower())
        if cumulative is None:
            raise _bad("`cumulative` must be true or false", "cumulative")
        if cumulative and per is None and by not in TIMES:
            raise _bad("`cumulative` adds up over time: give `by` or `per` as hour or day", "cumulative")
        since, until = (_time(given, name) for name in ("from", "to"))
        if since is not None and until is not None and until <= since:
            raise _bad("`to` must be later than `from`", "to")
        return cls(by, per, since, until, cumulative, tenant_of(given, principal))

    def answer(self, totals: Iterable[CostTotal]) -> dict[str, Any]:
        """The rows: names by their cost, the dearest first; times in their order; and the sum of all."""
        cells: dict[_Cell, Sums] = {}
        whole = Sums()
        for total in totals:
            if self._takes(total):
                cells.setdefault(self._cell(total), Sums()).add(total)
                whole.add(total)
        ordered = sorted(cells.items(), key=lambda item: (item[0][0], -item[1].cost_nanousd, item[0][1]))
        if self.cumulative:
            ordered = _added_up(ordered)
        rows = [{**self._named(cell), **priced(sums)} for cell, sums in ordered]
        asked = {"by": self.by, "per": self.per, "from": self.since, "to": self.until}
        return {**asked, "cumulative": self.cumulative, "tenant": self.tenant, "rows": rows, "total": priced(whole)}

    def _takes(self, total: CostTotal) -> bool:
        """Totals are of whole hours: that of `from` is in, and so is that of `to` unless it begins then."""
        since = self.since and self.since.replace(minute=0, second=0, microsecond=0)
        return (
            (self.tenant is None or total.tenant == self.tenant)
            and (since is None or total.hour >= since)
            and (self.until is None or total.hour < self.until)
        )

    def _cell(self, total: CostTotal) -> _Cell:
        if self.by in TIMES:
            return BY[self.by](total), ""
        return BY[self.per](total) if self.per else "", BY[self.by](total)

    def _named(self, cell: _Cell) -> dict[str, str]:
        when, name = cell
        if self.by in TIMES:
            return {self.by: when}
        return {**({self.per: when} if self.per else {}), self.by: name}


def tenant_of(given: Mapping[str, str], principal: Principal) -> str | None:
    """Whose figures are asked for: the key's own, or for `admin` those of `tenant`, None being all. Raises Refused, 403."""
    asked = given.get("tenant")
    if principal.may(KeyRole.ADMIN):
        return asked
    if asked is not None and asked != principal.tenant:
        message = "this key reads the figures of its own tenant alone; one with the role `admin` reads all"
        raise Refused(Refusal(403, "permission_denied", message))
    return principal.tenant


def priced(sums: Sums) -> dict[str, Any]:
    """The sums, money as exact integers of 10⁻⁹ dollars and as text."""
    return {**sums.as_json(), "cost": money.dollars(sums.cost_nanousd), "avoided": money.dollars(sums.avoided_nanousd)}


def _added_up(ordered: Iterable[tuple[_Cell, Sums]]) -> list[tuple[_Cell, Sums]]:
    """Each row with all earlier ones of its name in it."""
    so_far: dict[str, Sums] = {}
    rows = []
    for (when, name), sums in ordered:
        before = so_far.get(name, Sums())
        so_far[name] = Sums(**{field: getattr(before, field) + getattr(sums, field) for field in _FIELDS})
        rows.append(((when, name), so_far[name]))
    return rows


def _time(given: Mapping[str, str], name: str) -> datetime | None:
    if (text := given.get(name)) is None:
        return None
    advice = f"`{name}` takes a time such as 2026-01-31T15:00Z"
    try:
        # In a query `+` is a space.
        time = parse_time(text.replace(" ", "+"), advice)
    except SettingsError as error:
        raise _bad(f"{text[:60]!r} is no time: {advice}", name) from error
    try:
        return time.astimezone(UTC)
    except OverflowError as error:
        raise _bad(f"{text[:60]!r} is too far away: {advice}", name) from error


def _bad(message: str, parameter: str | None = None) -> Refused:
    return Refused(Refusal(400, "invalid_request", message, parameter))
