"""A streamed answer as the events of a `response`: numbered, one output item after the other.

Source of the shapes: OpenAI's API reference, "Streaming events"; `openai.types.responses.ResponseStreamEvent` of its SDK.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from processors.api.refusals import Refusal
from processors.api.responses_response import Answering, call_item, message_item, reasoning_item, text_part
from processors.api.sse import sse
from processors.api.tool_deltas import Calls, Growing
from schemas.outcomes import InferenceResponse


@dataclass(slots=True)
class _Open:
    """The item that grows: `kind` is reasoning, message or the place of a tool call.

    `parts` are those of a message that are whole; `begun` says that another one grows, `text` is what it has so far.
    """

    kind: str
    id: str
    text: str = ""
    parts: list[dict[str, Any]] = field(default_factory=list)
    begun: bool = False
    refusing: bool = False


@dataclass(slots=True)
class ResponsesStream:
    """A Stream. `output` holds the items that are whole.

    Strategy, the same as for Anthropic's blocks: one item is open at a time, and the pieces of a later tool call wait until the
    arguments of the one before are whole, or the answer ends.
    """

    answering: Answering
    output: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _open: _Open | None = None
    _calls: Calls = field(default_factory=Calls)
    _turn: int = 0

    def opening(self) -> bytes:
        begun = self.answering.begun()
        return self._event("response.created", response=begun) + self._event("response.in_progress", response=begun)

    def reasoning(self, content: str) -> bytes:
        before, item = self._in("reasoning", "rs")
        part = b""
        if not item.begun:
            item.begun = True
            part = self._of(item, "response.content_part.added", content_index=0, part={"type": "reasoning_text", "text": ""})
        item.text += content
        return before + part + self._of(item, "response.reasoning_text.delta", content_index=0, delta=content)

    def text(self, content: str) -> bytes:
        return self._say(content, refusing=False)

    def refusal(self, content: str) -> bytes:
        return self._say(content, refusing=True)

    def tool_deltas(self, deltas: list[dict[str, Any]]) -> bytes:
        for delta in deltas:
            self._calls.add(delta)
        return self._tools(ended=False)

    def closing(self, response: InferenceResponse) -> Iterator[bytes]:
        yield self._tools(ended=True) + self._close()
        if not self.output:  # an answer of nothing is a message without words
            yield self._say("", refusing=False) + self._close()
        whole = self.answering.ended(response, self.output)
        yield self._event(f"response.{whole['status']}", response=whole)

    def failing(self, refusal: Refusal) -> bytes:
        unfinished = self._close(status="incomplete")
        return unfinished + self._event("response.failed", response=self.answering.failed(refusal, self.output))

    def _say(self, content: str, *, refusing: bool) -> bytes:
        events, item = self._in("message", "msg")
        if item.refusing != refusing:
            events += self._part_done(item)
            item.refusing = refusing
        word = "refusal" if refusing else "output_text"
        if not item.begun:
            item.begun = True
            part = {"type": "refusal", "refusal": ""} if refusing else text_part("")
            events += self._of(item, "response.content_part.added", content_index=len(item.parts), part=part)
        item.text += content
        logprobs: dict[str, Any] = {} if refusing else {"logprobs": []}
        delta = (
            self._of(item, f"response.{word}.delta", content_index=len(item.parts), delta=content, **logprobs) if content else b""
        )
        return events + delta

    def _tools(self, *, ended: bool) -> bytes:
        events = b""
        while (call := self._calls.at(self._turn)) is not None:
            before, item = self._in(f"call {self._turn}", "fc", call)
            events += before
            if new := call.unsent():
                item.text += new
                events += self._of(item, "response.function_call_arguments.delta", delta=new)
            if not (ended or (self._turn + 1 < len(self._calls) and call.whole)):
                break
            self._turn += 1
        return events

    def _in(self, kind: str, prefix: str, call: Growing | None = None) -> tuple[bytes, _Open]:
        """The open item, if it is of the kind, else a new one after the old one's end."""
        if self._open is not None and self._open.kind == kind:
            return b"", self._open
        before = (self._tools(ended=True) if call is None else b"") + self._close()
        item = self._open = _Open(kind, self.answering.item_id(prefix, len(self.output)))
        return before + self._added(item, call), item

    def _added(self, item: _Open, call: Growing | None) -> bytes:
        if call is not None:
            new = call_item(item.id, call.id, call.name, "", "in_progress")
        elif item.kind == "reasoning":
            new = reasoning_item(item.id, "", "in_progress")
        else:
            new = message_item(item.id, [], "in_progress")
        return self._event("response.output_item.added", output_index=len(self.output), item=new)

    def _close(self, status: str = "completed") -> bytes:
        """The end of the open item, which goes to `output`."""
        if (item := self._open) is None:
            return b""
        if item.kind == "reasoning":
            whole, events = reasoning_item(item.id, item.text, status), self._thought(item)
        elif item.kind == "message":
            events = self._part_done(item)
            whole = message_item(item.id, item.parts, status)
        else:
            call = self._calls.at(int(item.kind.removeprefix("call "))) or Growing()
            whole = call_item(item.id, call.id, call.name, item.text, status)
            events = self._of(item, "response.function_call_arguments.done", arguments=item.text, name=call.name)
        events += self._event("response.output_item.done", output_index=len(self.output), item=whole)
        self.output.append(whole)
        self._open = None
        return events

    def _thought(self, item: _Open) -> bytes:
        part = {"type": "reasoning_text", "text": item.text}
        done = self._of(item, "response.reasoning_text.done", content_index=0, text=item.text)
        return done + self._of(item, "response.content_part.done", content_index=0, part=part)

    def _part_done(self, item: _Open) -> bytes:
        """The end of the part that grows; nothing when none has begun."""
        if not item.begun:
            return b""
        index, text = len(item.parts), item.text
        if item.refusing:
            part: dict[str, Any] = {"type": "refusal", "refusal": text}
            done = self._of(item, "response.refusal.done", content_index=index, refusal=text)
        else:
            part = text_part(text)
            done = self._of(item, "response.output_text.done", content_index=index, text=text, logprobs=[])
        item.parts.append(part)
        item.text, item.begun = "", False
        return done + self._of(item, "response.content_part.done", content_index=index, part=part)

    def _of(self, item: _Open, name: str, /, **about: Any) -> bytes:
        return self._event(name, item_id=item.id, output_index=len(self.output), **about)

    def _event(self, name: str, /, **about: Any) -> bytes:
        event = {"type": name, "sequence_number": self._number, **about}
        self._number += 1
        return sse(event, name)
