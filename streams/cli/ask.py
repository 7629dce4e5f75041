"""`penstock ask`: one request, its answer, and what it cost."""

from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir, Model, Tenant


def ask(
    prompt: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    *,
    model: Model = "auto",
    tenant: Tenant = "default",
    provider: Annotated[str | None, typer.Option("--provider", metavar="NAME", help="Ask this provider only.")] = None,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="A system message before the prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Output tokens at most.")] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer while it comes.")] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Neither read nor fill the answer cache.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="Deadline of the request.")] = 60.0,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Ask one question and print its answer.

    The answer goes to standard output; who answered, how fast and for how much, to standard error. With --json one object:
    the InferenceResponse record and `round_trip_ms`.

    Exit codes: 0 answered, 1 the request failed, 2 settings, 3 no answer in time.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.asking import Question, run  # noqa: PLC0415 - Kafka clients take their time to import

    question = Question(
        prompt=prompt,
        model=model,
        tenant=tenant,
        provider=provider,
        system=system,
        max_output_tokens=max_tokens,
        stream=stream,
        use_cache=not no_cache,
        timeout_s=timeout_s,
    )
    raise typer.Exit(asyncio.run(run(question, bootstrap_servers, data_dir, as_json=as_json)))
