"""One request to be routed, with all that its decision may depend on."""

from datetime import datetime
from typing import NamedTuple

from processors.classify.decide import Classified
from processors.route.contenders import View
from processors.route.plan import Chosen, Plan


class Case(NamedTuple):
    request: Classified
    by: Plan
    chosen: Chosen
    view: View
    now: datetime
