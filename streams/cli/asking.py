"""One request and the wait for its answer: what `penstock ask` does."""

import asyncio
import sys
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schemas.errors import SettingsError
from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences, Sampling
from streams import clock, money
from streams.cli import screen
from streams.cli.answers import Answered
from streams.cli.exits import ExitCode
from streams.cli.reading import broker_errors
from streams.client import NoAnswer, Penstock, Voided
from streams.target import find_target


@dataclass(frozen=True, slots=True)
class Question:
    prompt: str
    model: str = "auto"
    tenant: str = "default"
    provider: str | None = None
    system: str | None = None
    max_output_tokens: int | None = None
    stream: bool = False
    use_cache: bool = True
    timeout_s: float = 60.0

    def request(self) -> InferenceRequest:
        """The record to publish, under a new id."""
        prompt = sys.stdin.read() if self.prompt == "-" else self.prompt
        if not prompt.strip():
            raise SettingsError('the question is empty: penstock ask "Why is the sky blue?"')
        system = (Message("system", self.system),) if self.system else ()
        return InferenceRequest(
            request_id=f"ask-{uuid.uuid4().hex}",
            tenant=self.tenant,
            model=self.model,
            messages=(*system, Message("user", prompt)),
            sampling=Sampling(max_output_tokens=self.max_output_tokens),
            preferences=Preferences(provider=self.provider),
            cache=CachePolicy(CacheMode.DEFAULT if self.use_cache else CacheMode.OFF),
            stream=self.stream,
            deadline=clock.now() + timedelta(seconds=self.timeout_s),
        )


async def run(question: Question, bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Ask, print, and say how it went."""
    target = find_target(bootstrap_servers, data_dir)
    if question.provider is not None and target.stack is not None and question.provider not in target.stack.providers:
        raise SettingsError(f"this stack has no provider {question.provider!r}; it has {', '.join(target.stack.providers)}")
    request = question.request()
    chunks = Chunks() if question.stream and not as_json else None
    with broker_errors(target.settings):
        async with Penstock(target.settings) as client:
            await client.listen(chunks=chunks is not None)
            began_s = _now_s()
            try:
                response = await client.ask(request) if chunks is None else await chunks.show(client, request)
            except NoAnswer:
                screen.say(
                    f"penstock: no answer within {question.timeout_s:g} s; is the pipeline up (`penstock doctor`)? "
                    f"The request stands in the log as {request.tenant}/{request.request_id}"
                )
                return ExitCode.TIMEOUT
            answered = Answered(response, (_now_s() - began_s) * 1000)
    if as_json:
        screen.put_json(_as_json(answered))
    else:
        _show(answered, already_shown=chunks.text if chunks else "")
    return ExitCode.OK if answered.response.status is ResponseStatus.OK else ExitCode.NO


class Chunks:
    """Prints the pieces of one answer as they come. `text` is what stands on the screen.

    When a call fails on its way and another one begins, its pieces start anew, below a note.
    """

    def __init__(self) -> None:
        self._void = False
        self.text = ""

    async def show(self, client: Penstock, request: InferenceRequest) -> InferenceResponse:
        """The final response. Raises NoAnswer."""
        async with aclosing(client.stream(request)) as pieces:
            async for piece in pieces:
                match piece:
                    case ResponseChunk():
                        self._put(piece)
                    case Voided():
                        self._void = True
                    case InferenceResponse():
                        return piece
        raise NoAnswer(request)

    def _put(self, chunk: ResponseChunk) -> None:
        if self._void and self.text:
            screen.put("")
            screen.say("(the call failed on its way; another one answers)")
            self.text = ""
        self._void = False
        if chunk.content:
            screen.put(chunk.content, end="")
            self.text += chunk.content


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _show(answered: Answered, *, already_shown: str) -> None:
    response = answered.response
    if response.status is not ResponseStatus.OK:
        kind, message = (response.error.kind, response.error.message) if response.error else ("error", "no reason was given")
        screen.say(f"penstock: {response.status.value}: {kind}: {message}")
    else:
        text = _text(response)
        if already_shown and text.startswith(already_shown):
            screen.put(text[len(already_shown) :])
        else:
            screen.put(f"\n{text}" if already_shown else text)
    screen.say(f"-- {_footer(answered)}")


def _text(response: InferenceResponse) -> str:
    output = response.output
    if output is None:
        return ""
    calls = "\n".join(f"{call.name}({call.arguments_json})" for call in output.tool_calls)
    return "\n".join(part for part in (output.content or output.refusal or output.label, calls) if part)


def _footer(answered: Answered) -> str:
    response = answered.response
    parts = []
    if response.provider is not None:
        parts.append(f"{response.provider}/{response.response_model or response.deployment}")
    if response.cache.served:
        parts.append("from the cache")
    parts.append(money.duration(answered.latency_ms))
    if response.usage is not None:
        parts.append(f"{response.usage.input_tokens:,} tokens in, {response.usage.output_tokens:,} out")
    if response.attempts > 1:
        parts.append(money.plural(response.attempts, "attempt"))
    parts.append(money.cost(response.cost_nanousd))
    return " · ".join(parts)


def _as_json(answered: Answered) -> dict[str, object]:
    response = answered.response
    return {
        **{name: getattr(response, name) for name in response.__dataclass_fields__},
        "round_trip_ms": round(answered.latency_ms, 1),
    }
