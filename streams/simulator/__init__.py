"""The provider simulator: OpenAI, Anthropic, Google and Ollama on one port, with faults on order and a log of every call.

    from streams.simulator.running import serve
    from streams.simulator.settings import SimulatorSettings

    running = await serve(SimulatorSettings(call_log=Path("calls.jsonl")))
    client = AsyncOpenAI(base_url=f"{running.url}/openai/v1", api_key="simulated")

It keeps no conversation and runs no model: the same request gives the same answer. Its limits: one choice per reply, Google's
streams are always SSE, keys are not checked, and DNS and TLS errors are for the client's address to provoke.
"""
