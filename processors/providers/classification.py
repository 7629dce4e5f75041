"""Classification by a chat model: a chat that must answer with one of the labels."""

from collections.abc import Sequence
from dataclasses import replace

from processors.providers.contract import Completion, Failed
from processors.providers.failures import malformed
from processors.providers.prompts import Unaskable, prompt_of
from schemas.calls import Billing
from schemas.requests import InferenceRequest, Message, Operation

_RULE = "Classify the user's text. Answer with exactly one of these labels, and nothing else:\n{labels}"


def as_chat(request: InferenceRequest) -> InferenceRequest:
    """The chat to hold. Messages of the request stay, examples for instance; its texts follow as one user message.

    Raises Unaskable when there are no labels.
    """
    if not request.labels:
        raise Unaskable("a classification needs `labels` to choose from")
    rule = Message("system", _RULE.format(labels="\n".join(f"- {label}" for label in request.labels)))
    asked = (Message("user", prompt_of(request)),) if request.input else ()
    return replace(request, operation=Operation.CHAT, messages=(rule, *request.messages, *asked), input=())


def label_of(content: str | None, labels: Sequence[str]) -> str | None:
    r"""The label that the answer is: to the letter, else trimmed, else in whatever case; None when it is none, or not clear.

    >>> label_of(" Spam\n", ["spam", "ham"]), label_of("It is spam.", ["spam", "ham"]), label_of("A", ["a", "A"])
    ('spam', None, 'A')
    """
    if content is None or content in labels:
        return content
    trimmed = content.strip()
    if trimmed in labels:
        return trimmed
    alike = [label for label in labels if label.strip().casefold() == trimmed.casefold()]
    return alike[0] if len(alike) == 1 else None


def settle(provider: str, answer: Completion | Failed, labels: Sequence[str]) -> Completion | Failed:
    """The answer with its label, or the Failure of an answer that is no label. It was billed all the same."""
    if isinstance(answer, Failed):
        return answer
    label = label_of(answer.output.content, labels)
    if label is None:
        return Failed(malformed(provider, "the answer is none of the labels", billing=Billing.BILLED), answer.usage)
    return replace(answer, output=replace(answer.output, label=label))
