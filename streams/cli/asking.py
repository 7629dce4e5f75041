"""One request and the wait for its answer: what `penstock ask` does."""

import asyncio
import sys
import uuid
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from schemas.errors import RecordError, SettingsError
from schemas.outcomes import InferenceResponse, ResponseChunk, ResponseStatus
from schemas.requests import CacheMode, CachePolicy, InferenceRequest, Message, Preferences, Sampling
from schemas.serde import Serde
from streams import clock, topics
from streams.cli import money, screen
from streams.cli.answers import Answered, Answers
from streams.cli.exits import ExitCode
from streams.cli.reading import Reader, broker_errors, open_reader
from streams.cli.start import End
from streams.cli.target import find_target
from streams.cli.wire import open_publisher, open_serde
from streams.publisher import Outgoing

GRACE_S = 2.0
"""How long after its deadline the request's `expired` answer may take."""


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
    show_chunks = question.stream and not as_json
    with broker_errors(target.settings):
        async with AsyncExitStack() as services:
            serde = await open_serde(target.settings, [topics.REQUESTS, topics.RESPONSES, topics.CHUNKS])
            reader = await services.enter_async_context(open_reader(target.settings, [topics.RESPONSES]))
            publisher = await services.enter_async_context(open_publisher(target.settings))
            await reader.seek(End())
            answers = Answers(reader, serde.of(InferenceResponse))
            chunks = None
            if show_chunks:
                chunk_reader = await services.enter_async_context(open_reader(target.settings, [topics.CHUNKS]))
                await chunk_reader.seek(End())
                chunks = Chunks(chunk_reader, serde, request.request_id)
            value = serde.of(InferenceRequest).encode(request)
            answers.expect((request.tenant, request.request_id))
            await publisher.send_all([Outgoing(topics.REQUESTS, request.tenant, value)])
            answered = await _wait(answers, chunks, question.timeout_s + GRACE_S)
    if answered is None:
        screen.say(
            f"penstock: no answer within {question.timeout_s:g} s; is the pipeline up (`penstock doctor`)? "
            f"The request stands in the log as {request.tenant}/{request.request_id}"
        )
        return ExitCode.TIMEOUT
    if as_json:
        screen.put_json(_as_json(answered))
    else:
        _show(answered, already_shown=chunks.text if chunks else "")
    return ExitCode.OK if answered.response.status is ResponseStatus.OK else ExitCode.NO


class Chunks:
    """Prints the pieces of one answer as they come. `text` is what stands on the screen.

    When a call fails on its way and another one begins, its pieces start anew, below a note.
    """

    def __init__(self, reader: Reader, serde: Serde, request_id: str) -> None:
        self._reader = reader
        self._codec = serde.of(ResponseChunk)
        self._request_id = request_id
        self._call_id: str | None = None
        self._next_seq = 0
        self.text = ""

    async def show(self) -> None:
        """Never ends by itself."""
        key = self._request_id.encode()
        async for record in self._reader.follow():
            if record.key != key:
                continue
            try:
                self._put(self._codec.decode(record.value))
            except RecordError:
                continue  # chunks are best-effort: the final answer stands alone

    def _put(self, chunk: ResponseChunk) -> None:
        if chunk.call_id != self._call_id:
            if self.text:
                screen.put("")
                screen.say("(the call failed on its way; another one answers)")
            self._call_id, self._next_seq, self.text = chunk.call_id, 0, ""
        if chunk.seq == self._next_seq and chunk.content:
            screen.put(chunk.content, end="")
            self.text += chunk.content
        self._next_seq = max(self._next_seq, chunk.seq + 1)


async def _wait(answers: Answers, chunks: Chunks | None, timeout_s: float) -> Answered | None:
    """The answer, or None when none came in time."""
    showing = asyncio.create_task(chunks.show()) if chunks else None
    try:
        async with asyncio.timeout(timeout_s), aclosing(answers.arrive()) as arriving:
            return await anext(arriving)
    except TimeoutError:
        return None
    finally:
        if showing is not None:
            showing.cancel()
            await asyncio.gather(showing, return_exceptions=True)


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
