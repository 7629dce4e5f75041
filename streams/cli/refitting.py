"""What `penstock refit` does."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from processors.classify.asked import asked as asked_of
from processors.route.quality import artifact, default
from processors.route.quality.columns import Array
from processors.route.quality.feedback import Asked, Key, outcomes
from processors.route.quality.model import QualityModel
from processors.route.quality.outcomes import Outcome
from processors.route.quality.refit import RefitReport, Refitted, Refused, refit
from schemas.errors import RecordError, SettingsError
from schemas.feedback import FeedbackGiven
from schemas.outcomes import InferenceResponse
from schemas.requests import InferenceRequest
from schemas.routing import RequestRouted
from streams import money, topics
from streams.beginning import Beginning
from streams.cli import screen
from streams.cli.exits import ExitCode
from streams.cli.reading import broker_errors, open_reader
from streams.cli.wire import open_serde
from streams.embedding.wordllama import WordLlama
from streams.settings import Settings
from streams.target import find_target


@dataclass(frozen=True, slots=True)
class Wanted:
    weak: str
    strong: str
    output: Path
    model: Path | None


async def run(wanted: Wanted, bootstrap_servers: str | None, data_dir: Path | None, *, as_json: bool) -> ExitCode:
    """Fit, report, and write the new model if there is one. Raises SettingsError."""
    target = find_target(bootstrap_servers, data_dir)
    model = _load(wanted.model or target.settings.quality_model_file)
    with broker_errors(target.settings):
        rows = await _rows(target.settings, wanted)
    result = refit(model, rows, _vectors(model, rows))
    if isinstance(result, Refitted):
        _write(result.model, wanted.output)
    _tell(result, model, wanted, as_json=as_json)
    return ExitCode.OK if isinstance(result, Refitted) else ExitCode.NO


def _load(path: Path | None) -> QualityModel:
    if path is None:
        return default.shipped()
    try:
        return artifact.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} is no quality model ({error}); name one that `penstock refit` wrote") from error


def _write(model: QualityModel, path: Path) -> None:
    try:
        path.write_bytes(artifact.dumps(model))
    except OSError as error:
        raise SettingsError(f"{path} cannot be written ({error.strerror}); name another by --output") from error


def _vectors(model: QualityModel, rows: list[Outcome]) -> Array:
    if not model.embedder:
        return np.zeros((len(rows), 0))
    embedder = WordLlama()
    if model.embedder != embedder.name:
        raise SettingsError(f"the model {model.version} wants vectors of {model.embedder}, which this installation does not make")
    return embedder.embed([row.text for row in rows]).astype(np.float64)


async def _rows(settings: Settings, wanted: Wanted) -> list[Outcome]:
    names = [topics.FEEDBACK, topics.ROUTED, topics.RESPONSES]
    serde = await open_serde(settings, [*names, topics.REQUESTS])
    requests, routed = serde.of(InferenceRequest), serde.of(RequestRouted)
    responses, feedback = serde.of(InferenceResponse), serde.of(FeedbackGiven)
    asked: dict[Key, Asked] = {}
    answered: dict[Key, str] = {}
    given: list[FeedbackGiven] = []
    async with open_reader(settings, names) as reader:
        ends = await reader.ends()
        await reader.seek(Beginning())
        async for record in reader.until(ends):
            try:
                if record.topic == topics.FEEDBACK:
                    given.append(feedback.decode(record.value))
                elif record.topic == topics.RESPONSES:
                    response = responses.decode(record.value)
                    if response.final and response.deployment is not None:
                        answered[response.tenant, response.request_id] = response.deployment
                else:
                    found = routed.decode(record.value)
                    if found.request:
                        text = asked_of(requests.decode(found.request)).text
                        asked.setdefault((found.tenant, found.request_id), Asked(text, found.task_kind))
            except RecordError as error:
                screen.say(f"{record.topic}-{record.partition}@{record.offset} is left out: {error}")
    full = {key: replace(each, deployment=answered.get(key)) for key, each in asked.items()}
    return outcomes(full, given, weak=wanted.weak, strong=wanted.strong)


def _tell(result: Refitted | Refused, old: QualityModel, wanted: Wanted, *, as_json: bool) -> None:
    report: RefitReport = result.report
    new = result.model.version if isinstance(result, Refitted) else None
    why = result.why if isinstance(result, Refused) else None
    if as_json:
        screen.put_json({"old": old.version, "new": new, "refused": why, "fitted": report.fitted, "held_out": report.held_out})
        return
    screen.put(f"{money.plural(report.fitted, 'judged prompt')} to learn from, {report.held_out:,} held out")
    if why is not None:
        screen.put(f"{old.version} stays: {why}")
        return
    screen.put(f"{old.version} -> {new}, written to {wanted.output}")
    screen.put(f"use it: PENSTOCK_QUALITY_MODEL_FILE={wanted.output}")
