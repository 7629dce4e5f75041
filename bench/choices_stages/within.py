"""Whether providers were called more often than their limits allow, by their own log."""

from collections.abc import Callable, Iterable, Mapping

from choices_stages.figures import Figure, at_most, told
from choices_stages.windows import fullest
from streams.simulator.call_log import Call

MINUTE_S = 60.0
_WEIGHTS: Mapping[str, Callable[[Call], int]] = {
    "requests_per_minute": lambda _: 1,
    "tokens_per_minute": lambda call: call.input_tokens + call.output_tokens,
}


def within_limits(name: str, calls: Iterable[Call], limits: Mapping[str, Mapping[str, int]]) -> list[Figure]:
    """The fullest minute of each provider, wherever it begins, against each of its limits; tokens are those that it billed."""
    made: dict[str, list[Call]] = {provider: [] for provider in limits}
    for call in calls:
        made[call.provider].append(call)
    figures = []
    for provider, bounds in limits.items():
        figures.append(told(f"{name}_{provider}_calls", len(made[provider])))
        for bound, most in bounds.items():
            found = fullest(((call.t_in, _WEIGHTS[bound](call)) for call in made[provider]), MINUTE_S)
            figures.append(at_most(f"{name}_{provider}_{bound}", found, most))
    return figures
