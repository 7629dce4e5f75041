"""Which metrics and labels a PromQL expression names: enough of its grammar to find a name that nothing exports."""

import re

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)?\s*\{([^}]*)\}")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME = re.compile(r"(?<![\w.$])([a-zA-Z_:][\w:]*)(?![\w:]|\s*\()")
_WORDS = {"and", "or", "unless", "offset", "by", "without", "on", "ignoring", "group_left", "group_right", "bool", "inf", "nan"}


def metrics(expression: str) -> set[str]:
    """Names of the time series that are read.

    >>> sorted(metrics('sum by (le) (rate(a_bucket{status="x"}[5m])) / ignoring (tier) group_left b_total offset 15m > 1e9'))
    ['a_bucket', 'b_total']
    """
    bare = _GROUPING.sub(" ", re.sub(r"\[[^]]*\]", "", _SELECTOR.sub(r"\1 ", _TEXT.sub('""', expression))))
    return {name for name in _NAME.findall(bare) if name.lower() not in _WORDS and not _is_duration(name)}


def matched(expression: str) -> set[tuple[str, str]]:
    """Metric and label of every matcher.

    >>> sorted(matched('a{x="1",y=~"2,3"} + b{z!="4"}'))
    [('a', 'x'), ('a', 'y'), ('b', 'z')]
    """
    found = set()
    for name, matchers in _SELECTOR.findall(_TEXT.sub('""', expression)):
        found |= {(name, re.split(r"[=!]", matcher)[0].strip()) for matcher in matchers.split(",") if matcher.strip()}
    return found


def grouped(expression: str) -> set[str]:
    """Labels that are grouped or joined by.

    >>> sorted(grouped('sum by (le, x) (a) / on (y) b'))
    ['le', 'x', 'y']
    """
    return {label.strip() for labels in _GROUPING.findall(expression) for label in labels.split(",") if label.strip()}


def _is_duration(name: str) -> bool:
    return re.fullmatch(r"(?:ms|[smhdwy])", name) is not None
