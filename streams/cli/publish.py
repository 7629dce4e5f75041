"""`penstock publish`: requests of a file, a pipe or a recorded trace."""

from pathlib import Path
from typing import Annotated

import typer

from streams.cli.options import AsJson, BootstrapServers, DataDir, Model, Tenant


def publish(
    source: Annotated[str | None, typer.Argument(metavar="FILE|-", help="File of requests, or - for standard input.")] = None,
    *,
    trace: Annotated[
        Path | None, typer.Option("--trace", metavar="CSV", help="Synthesise the requests of a recorded load instead.")
    ] = None,
    speed: Annotated[float, typer.Option("--speed", metavar="X", min=0.001, help="Replay the trace so much faster.")] = 1.0,
    rate: Annotated[float | None, typer.Option("--rate", metavar="N", min=0.001, help="Requests a second.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Publish the first N requests only.")] = None,
    form: Annotated[
        str, typer.Option("--format", metavar="auto|json|text", help="What the lines are; auto looks at the first.")
    ] = "auto",
    tenant: Tenant = "default",
    model: Model = "auto",
    wait: Annotated[bool, typer.Option("--wait", help="Read the answers, and sum them up.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="With --wait: write each response as a JSON line.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0.1, help="With --wait: give up after so long without an answer.")
    ] = 660.0,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad line.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every line; publish nothing.")] = False,
    acknowledged_log: Annotated[
        Path | None,
        typer.Option(
            "--acknowledged-log", metavar="FILE", help="Append a JSON line, synced to the disk, for each acknowledged request."
        ),
    ] = None,
    bootstrap_servers: BootstrapServers = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Publish requests: OpenAI batch lines, our own JSON lines, or plain text; or a recorded trace.

    Three kinds of lines, told by the first one:

    - OpenAI batch: {"custom_id": "a1", "method": "POST", "url": "/v1/chat/completions", "body": {...}}; also /v1/completions
      and /v1/embeddings. `custom_id` becomes the request_id.

    - Ours: the fields of InferenceRequest by name, e.g. {"tenant": "acme", "user": "ann", "operation": "chat", "messages":
      [{"role": "user", "content": "Hi"}], "sampling": {"max_output_tokens": 50}, "preferences": {"provider": "openai"},
      "stream": true}. Fields: request_id, tenant, user, session, operation (chat, text_completion, embeddings,
      classification), model, messages, input, labels, sampling, tools, tool_choice, response_format, extra, preferences,
      cache, stream, deadline, metadata. `tools` and the like may be JSON, or JSON text under `tools_json`.

    - Plain text: every line is a prompt.

    A bad line is named by its number, and the rest go on (--strict stops instead).

    Publishing the same file twice is answered, and paid, once: a line without an id of its own gets one made of the file's
    digest, the options and its number. Lines of standard input get new ids each time.

    A trace is a CSV with the columns TIMESTAMP, ContextTokens, GeneratedTokens. Requests are sent at their recorded times,
    whatever became of the earlier ones; how late that ran is said at the end.

    Exit codes: 0 all published (and with --wait, answered), 1 a line was bad or a request failed, 2 settings, 3 no answer for
    --timeout seconds.
    """
    import asyncio  # noqa: PLC0415

    from streams.cli.publishing import run  # noqa: PLC0415
    from streams.cli.work import Job  # noqa: PLC0415

    job = Job(
        source=source,
        trace=trace,
        speed=speed,
        rate=rate,
        limit=limit,
        form=form,
        tenant=tenant,
        model=model,
        wait=wait,
        output=output,
        timeout_s=timeout_s,
        strict=strict,
        dry_run=dry_run,
        acknowledged_log=acknowledged_log,
    )
    raise typer.Exit(asyncio.run(run(job, bootstrap_servers, data_dir, as_json=as_json)))
