"""The cases: every module here exports CASES, a list of rows, and none imports another's."""

import importlib
import pkgutil

from tests.fault.case import Case
from tests.fault.results import order


def all_cases() -> list[Case]:
    """Every case, K1 to K10 first. Raises ValueError when two have the same id."""
    found = [
        case
        for module in pkgutil.iter_modules(__path__)
        for case in getattr(importlib.import_module(f"{__name__}.{module.name}"), "CASES", ())
    ]
    ids = [case.id for case in found]
    if twice := sorted({i for i in ids if ids.count(i) > 1}):
        raise ValueError(f"cases with the same id: {', '.join(twice)}")
    return sorted(found, key=lambda case: order(case.id))
