"""Why an answer ended, in one set of words whatever its provider called it."""

from schemas.calls import Output

_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
_LENGTH = frozenset({"max_tokens", "MAX_TOKENS", "max_output_tokens"})
_FILTERED = frozenset({"refusal", "SAFETY", "RECITATION"})


def finish_of(output: Output) -> str:
    """`stop`, `length`, `tool_calls` or `content_filter`.

    >>> finish_of(Output(finish_reason="end_turn")), finish_of(Output(finish_reason="max_tokens"))
    ('stop', 'length')
    """
    reason = output.finish_reason or "stop"
    if reason in _FINISHES and not (reason == "stop" and output.tool_calls):
        return reason
    if reason in _LENGTH:
        return "length"
    if reason in _FILTERED:
        return "content_filter"
    return "tool_calls" if output.tool_calls else "stop"
