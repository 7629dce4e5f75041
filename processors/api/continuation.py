"""What of a streamed answer a client may still be sent, when calls fail on the way and another one answers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Continuation:
    """The text of one answer over several calls. A client cannot take back what it has got: it sees one text, or an error.

    `sent` is what has gone out. A later call's text goes on where `sent` ends as long as it begins with the same. Pieces of
    tool calls cannot be compared: those of one call alone go out, and only as long as none is missing. So do thoughts.
    """

    sent: str = ""
    tools_of: str | None = None
    thoughts_of: str | None = None
    _call_id: str | None = None
    _next_seq: int = 0
    _said: str = ""
    _gap: bool = False

    def takes(self, call_id: str, seq: int) -> bool:
        """Whether a piece is the next one of its call; False for one that came twice, or after one that is missing."""
        if call_id != self._call_id:
            self._call_id, self._next_seq, self._said, self._gap = call_id, 0, "", False
        if self._gap or seq != self._next_seq:
            self._gap = self._gap or seq > self._next_seq  # the final response holds what is missing
            return False
        self._next_seq = seq + 1
        return True

    def text(self, content: str) -> str:
        """What of a taken piece's text is new to the client."""
        self._said += content
        if not self._said.startswith(self.sent):
            return ""  # another text, or the beginning of the same: the end decides
        new = self._said[len(self.sent) :]
        self.sent = self._said
        return new

    def tools(self) -> bool:
        """Whether a taken piece of a tool call may go out."""
        self.tools_of = self.tools_of or self._call_id
        return self.tools_of == self._call_id

    def thoughts(self) -> bool:
        """Whether a taken piece of what the model thought may go out."""
        self.thoughts_of = self.thoughts_of or self._call_id
        return self.thoughts_of == self._call_id

    def rest(self, content: str) -> str | None:
        """What the whole answer has beyond what was sent; None when it is another text than the client has begun to read."""
        return content[len(self.sent) :] if content.startswith(self.sent) else None

    def tools_are_whole(self, call_id: str | None) -> bool:
        """Whether the tool calls that went out are those of the call that answered, all of them."""
        return self.tools_of == call_id and self._call_id == call_id and not self._gap
