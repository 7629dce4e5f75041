"""The adapters under the contract, and their recorded replies."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from processors.providers.build import build
from processors.providers.contract import Adapter
from schemas.deployments import Provider, ProviderKind

RECORDED = Path(__file__).parent / "recorded"
KEY = "sk-SECRET-KEY"
TEXT = "Grüße – it is 21 °C 🌦"  # noqa: RUF001 - characters of two, three and four bytes


@dataclass(frozen=True)
class Spoken:
    """One adapter: `cached`, `written`, `thought` are the parts of usage that its wire can tell."""

    name: str
    kind: ProviderKind
    path: str = ""
    stream_type: str = "text/event-stream"
    stream_ending: str = "sse"
    cached: int = 4
    written: int = 0
    thought: int = 2
    embeds: bool = True

    def recorded(self, name: str) -> bytes:
        folder = RECORDED / self.kind.value
        if (streamed := folder / f"{name}.{self.stream_ending}").exists() and not (folder / f"{name}.json").exists():
            return streamed.read_bytes()
        return (folder / f"{name}.json").read_bytes()

    def stream(self, name: str) -> bytes:
        return (RECORDED / self.kind.value / f"{name}.{self.stream_ending}").read_bytes()

    def adapter(self, address: str) -> Adapter:
        provider = Provider(self.name, self.kind, address + self.path, key_env="THE_KEY")
        return build(provider, api_key=KEY + "\n", connections=8)


SPOKEN = (
    Spoken("openai", ProviderKind.OPENAI, "/v1"),
    Spoken("anthropic", ProviderKind.ANTHROPIC, written=3, embeds=False),
    Spoken("google", ProviderKind.GOOGLE, "/v1beta"),
    Spoken("ollama", ProviderKind.OLLAMA, stream_type="application/x-ndjson", stream_ending="ndjson", cached=0, thought=0),
)
EVERY = pytest.mark.parametrize("spoken", SPOKEN, ids=lambda s: s.name)
