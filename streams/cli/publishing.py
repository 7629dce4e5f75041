"""Publishes the requests of a job and, if wanted, waits for their answers: what `penstock publish` does."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

from aiokafka.errors import KafkaError

from processors.api.bad_request import BadRequest
from schemas.errors import MalformedRecord
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from streams import topics
from streams.beginning import End
from streams.cli import screen
from streams.cli.answers import Answered, Answers, Identity, Summary
from streams.cli.exits import ExitCode
from streams.cli.output import Output
from streams.cli.progress import Progress
from streams.cli.reading import broker_errors, open_reader
from streams.cli.report import Report, show
from streams.cli.sending import Pace, Sender, open_log
from streams.cli.wire import open_publisher, open_serde
from streams.cli.work import Item, Job, count_of, items_of
from streams.settings import Settings
from streams.target import find_target


class _Strict(Exception):
    """Ends the job at the first bad line."""


async def run(job: Job, bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Publish, wait, print, and say how it went."""
    job.check()
    if job.dry_run:
        report = await _dry_run(job)
    else:
        target = find_target(bootstrap_servers, data_dir)
        with broker_errors(target.settings):
            report = await publish(job, target.settings, show_progress=not as_json)
    if as_json:
        screen.put_json(report.as_json())
    else:
        show(report, dry_run=job.dry_run)
    return report.exit_code


async def publish(
    job: Job, settings: Settings, *, show_progress: bool, on_answer: Callable[[Answered], None] = lambda _: None
) -> Report:
    """Publish the job's requests; with `wait`, until all are answered. Raises SettingsError when a source or Kafka is away."""
    report = Report(answers=Summary() if job.wait else None)
    names = [topics.REQUESTS, topics.RESPONSES]
    async with AsyncExitStack() as services:
        serde = await open_serde(settings, names)
        log = await services.enter_async_context(open_log(job.acknowledged_log))
        output = services.enter_context(Output(job.output, serde))
        total = count_of(job)
        publisher = await services.enter_async_context(open_publisher(settings))
        answers = None
        if job.wait:
            reader = await services.enter_async_context(open_reader(settings, [topics.RESPONSES]))
            await reader.seek(End())
            answers = Answers(reader, serde.of(InferenceResponse))
        progress = services.enter_context(Progress(total, shown=show_progress, answers=job.wait))
        sender = Sender(
            publisher,
            serde.of(InferenceRequest),
            log=log,
            on_acknowledged=lambda _: progress.published(),
            on_lost=lambda request: answers.forget(_identity(request)) if answers else None,
        )

        def take(answered: Answered) -> None:
            if report.answers is not None:
                report.answers.add(answered)
            output.write(answered.response)
            progress.answered()
            on_answer(answered)

        sending = asyncio.create_task(_Sending(job, sender, answers, report).run(), name="sending")
        try:
            if answers is not None:
                report.unanswered = await _collect(answers, sending, take, timeout_s=job.timeout_s)
            await sending
        except asyncio.CancelledError:
            screen.say(f"interrupted; {sender.acknowledged:,} acknowledged. The same file again is not paid twice")
            raise
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            report.published = sender.acknowledged
    return report


class _Sending:
    """Sends the items of a job, at their times, and reports."""

    def __init__(self, job: Job, sender: Sender, answers: Answers | None, report: Report) -> None:
        self._job = job
        self._sender = sender
        self._answers = answers
        self._report = report
        self._pace = Pace()
        self._seen: set[Identity] = set()

    async def run(self) -> None:
        """Return when everything is acknowledged, or the broker takes no more."""
        report, sender = self._report, self._sender
        try:
            async for item in items_of(self._job):
                await self._send(item)
        except _Strict:
            pass
        except KafkaError as error:
            report.error = f"the broker took no more ({type(error).__name__})"
        await sender.drain()
        if sender.error is not None:
            report.error = f"the broker did not acknowledge everything ({type(sender.error).__name__})"
        report.late_ms = self._pace.late_ms()

    async def _send(self, item: Item) -> None:
        request = item.request
        if isinstance(request, BadRequest):
            return _bad(self._report, self._job, item.number, str(request))
        try:
            record = self._sender.encode(request)
        except MalformedRecord as error:
            return _bad(self._report, self._job, item.number, str(error))
        if item.due_s is not None:
            await self._pace.until(item.due_s)
        if self._answers is not None:
            self._expect(self._answers, _identity(request))
        await self._sender.send(request, record)
        return None

    def _expect(self, answers: Answers, identity: Identity) -> None:
        """One answer is waited for an id, however often it stands in the source."""
        if identity in self._seen:
            self._report.repeated += 1
        else:
            self._seen.add(identity)
            answers.expect(identity)


def _bad(report: Report, job: Job, number: int, why: str) -> None:
    report.add_bad(number, why)
    screen.say(f"line {number}: {why}")
    if job.strict:
        raise _Strict


async def _collect(answers: Answers, sending: "asyncio.Task[None]", take: Callable[[Answered], None], *, timeout_s: float) -> int:
    """Take answers until all that was sent is answered; how many never came within `timeout_s` of the last one."""
    loop = asyncio.get_running_loop()
    last_s = loop.time()
    async with aclosing(answers.arrive()) as arriving:
        next_answer = asyncio.ensure_future(anext(arriving))
        try:
            while not sending.done() or len(answers):
                waits = {next_answer} if sending.done() else {next_answer, sending}
                left_s = timeout_s - (loop.time() - last_s) if sending.done() else None
                if left_s is not None and left_s <= 0:
                    return len(answers)
                await asyncio.wait(waits, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                if next_answer.done():
                    take(next_answer.result())
                    last_s = loop.time()
                    next_answer = asyncio.ensure_future(anext(arriving))
                elif sending.done() and waits != {next_answer}:
                    last_s = loop.time()
                    sending.result()
        finally:
            next_answer.cancel()
            await asyncio.gather(next_answer, return_exceptions=True)
    return 0


async def _dry_run(job: Job) -> Report:
    """Check every line as publishing would."""
    from schemas.serde import Serde  # noqa: PLC0415

    report, codec = Report(), Serde().of(InferenceRequest)
    try:
        async for item in items_of(job):
            if isinstance(item.request, BadRequest):
                _bad(report, job, item.number, str(item.request))
                continue
            try:
                codec.encode(item.request)
                report.published += 1
            except MalformedRecord as error:
                _bad(report, job, item.number, str(error))
    except _Strict:
        pass
    return report


def _identity(request: InferenceRequest) -> Identity:
    return (request.tenant, request.request_id)
