"""What a client sent and cannot be asked."""


class BadRequest(Exception):
    """The message says what is wrong and quotes no prompt; `parameter` names the field where one is at fault."""

    def __init__(self, message: str, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter
