"""How little of the strong model keeps its quality: the router on rows and subjects that it was not fitted on.

python -m bench.routing.evaluate --data FILE              every subject and every row left out once, several times
python -m bench.routing.evaluate --data ALL --fit-on FILE fitted on FILE, reported on what ALL holds besides
python -m bench.routing.evaluate --data FILE --ship PATH  writes the model of all rows
"""

import argparse
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.machine import described
from bench.routing import data, figures, plot
from bench.routing.routers import ROUTERS, gains
from processors.embedding import Embedder
from processors.route.quality import features
from processors.route.quality.artifact import dumps
from processors.route.quality.columns import Array, Judged, judged
from processors.route.quality.curve import Curve, measure
from processors.route.quality.fit import Table, fit
from processors.route.quality.model import QualityModel, predict, predictor, threshold_for
from processors.route.quality.outcomes import Outcome, digest

RESULTS = Path(__file__).parent.parent / "results"
TARGET = 0.95
_EMBEDDERS = {"wordllama": ("WordLlama", "wordllama-l2_supercat_256"), "minilm": ("MiniLM", "minilm-all-l6-v2")}
"""The module's class, and the name that its vectors go by: a model that wants them is refused where they have another."""
_HEADLINE = "saved_accuracy_95: how much less goes to the strong model than a random mix must send, for 95 % of its accuracy"


def _by_part() -> dict[str, Any]:
    return defaultdict(lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each part and router: the figures and the curve of each repeat; `apart`: the figures of each model on what it left out.

    A repeat ranks the predictions of many models together, which is the harder task: their scales differ a little.
    """

    figures: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=_by_part)
    curves: dict[str, dict[str, list[Curve]]] = field(default_factory=_by_part)
    apart: dict[str, dict[str, list[dict[str, float]]]] = field(default_factory=_by_part)
    models: list[QualityModel] = field(default_factory=list)


def main() -> None:
    options = _options()
    rows, sources = data.read(options.data)
    if options.fit_on is None:
        every, repeats = rows, data.within(rows, sources, options.repeats)
    else:
        fitted, _ = data.read(options.fit_on)
        every, repeats = [*fitted, *rows], iter([data.beside(rows, sources, fitted)])
    vectors = np.load(options.vectors) if options.vectors else _vectors(every, options.embedder)
    _, embedder = _EMBEDDERS[options.embedder]
    if options.ship is not None:
        options.ship.write_bytes(dumps(fit(every, vectors, embedder=embedder)))
    table = Table(
        tuple(every), np.array([features.of(row.text) for row in every]), np.asarray(vectors, np.float64), judged(every)
    )
    measured = Measured()
    for repeat in repeats:
        _measure(repeat, table, embedder, measured)
        print(f"{len(measured.models)} models fitted", flush=True)
    report = _report(options, measured, every, vectors)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    options.output.with_suffix(".svg").write_text(plot.svg(_means(measured)))
    _print(report)


def _measure(repeat: data.Repeat, table: Table, embedder: str, into: Measured) -> None:
    found = {way: _unseen(folds, table, embedder, into.models) for way, folds in repeat.folds.items()}
    for part, (way, indices) in repeat.parts.items():
        predicted, sent = found[way]
        outcomes = _taken(table, indices).outcomes
        for router, gain in predicted.items():
            curve = measure(gain[indices], outcomes)
            into.curves[part][router].append(curve)
            kept = _kept(sent[indices], outcomes) if router == "ours" else {}
            into.figures[part][router].append({**figures.of(curve), **kept})
            into.apart[part][router].extend(_apart(gain, repeat.folds[way], indices, table))


def _apart(gain: Array, folds: Sequence[data.Fold], indices: data.Indices, table: Table) -> list[dict[str, float]]:
    """One model at a time, on what it left out."""
    tested = [np.intersect1d(each.tested, indices) for each in folds]
    return [figures.of(measure(gain[at], _taken(table, at).outcomes)) for at in tested if len(at)]


def _unseen(
    folds: Sequence[data.Fold], table: Table, embedder: str, models: list[QualityModel]
) -> tuple[dict[str, Array], NDArray[np.bool_]]:
    """Each router's gains of the rows tested, each by a fit without them; and which our knob sends to the strong model."""
    found = {router: np.zeros(len(table.rows)) for router in ROUTERS}
    sent = np.zeros(len(table.rows), bool)
    for each in folds:
        predicted, model = gains(_sorted(table, each.train), _taken(table, each.tested), embedder=embedder)
        models.append(model)
        for router, values in predicted.items():
            found[router][each.tested] = values
        sent[each.tested] = predicted["ours"] >= threshold_for(model, TARGET)
    return found, sent


def _kept(sent: NDArray[np.bool_], outcomes: Judged) -> dict[str, float]:
    """What the knob gives: thresholds are of the training parts, quality and share of the rows not fitted."""
    quality = float(np.where(sent, outcomes.strong, outcomes.weak).mean() / outcomes.strong.mean())
    return {"knob_quality": quality, "knob_share": float(sent.mean())}


def _means(measured: Measured) -> dict[str, dict[str, Array]]:
    means = {}
    for part, of in measured.curves.items():
        ours = figures.mean_curve(of["ours"])
        means[part] = {"random": np.linspace(ours[0], ours[-1], len(figures.GRID)), "ours": ours}
        means[part] |= {router: figures.mean_curve(of[router]) for router in ("knn", "oracle")}
    return means


def _report(options: argparse.Namespace, measured: Measured, rows: Sequence[Outcome], vectors: Array) -> dict[str, Any]:
    means = _means(measured)
    return {
        "data": options.data.name,
        "fitted_on": options.fit_on.name if options.fit_on else "parts of the same file",
        "rows": len(rows),
        "embedder": options.embedder,
        "repeats": options.repeats if options.fit_on is None else 1,
        "headline": _HEADLINE,
        "decision_us_cpu": _decision_us(measured.models[-1], rows, vectors),
        "shapes": _shapes(measured.models),
        "measured_on": described(),
        "parts": {
            part: {
                "best_single": {name: round(float(means[part]["random"][end]), 4) for name, end in (("weak", 0), ("strong", -1))},
                "routers": {router: figures.summary(of) for router, of in routers.items()},
                "one_model_at_a_time": {router: figures.summary(of) for router, of in measured.apart[part].items()},
                "curve": {"share": figures.GRID.tolist(), **{router: of.round(4).tolist() for router, of in means[part].items()}},
            }
            for part, routers in measured.figures.items()
        },
    }


def _shapes(models: Sequence[QualityModel]) -> list[dict[str, float]]:
    """How often the fits chose which shape."""
    chosen = Counter(model.design.shape for model in models)
    return [{**asdict(shape), "times": times} for shape, times in chosen.most_common()]


def _print(report: dict[str, Any]) -> None:
    for part, of_part in report["parts"].items():
        apart = of_part["one_model_at_a_time"]["ours"]
        saved = apart["saved_accuracy_95"]
        print(f"{part:30} one model at a time: APGR {apart['apgr']['median']:.3f}, saved {saved['median']:.1%}", end=" ")
        print(f"({saved['q25']:.1%} to {saved['q75']:.1%})")
        for router, of in of_part["routers"].items():
            saved, share, gap = of["saved_accuracy_95"], of["share_accuracy_95"], of["saved_gap_95"]
            print(
                f"{part:30} {router:7} APGR {of['apgr']['median']:.3f}; 95 % of the accuracy at {share['median']:.3f},", end=" "
            )
            print(
                f"saved {saved['median']:.1%} ({saved['q25']:.1%} to {saved['q75']:.1%}); 95 % of the gap: {gap['median']:.1%}",
                end="",
            )
            knob = of.get("knob_quality")
            print("" if knob is None else f"; knob {TARGET}: {knob['median']:.3f} at {of['knob_share']['median']:.3f}")
    print(f"a decision: {report['decision_us_cpu']} us of CPU")


def _decision_us(model: QualityModel, rows: Sequence[Outcome], vectors: Array) -> float:
    """CPU of one decision without the embedding, the mean over a sample of the prompts, the best of forty rounds."""
    by = predictor(model)
    sample = list(range(0, len(rows), max(1, len(rows) // 100)))
    single = np.asarray(vectors, np.float32)
    best = float("inf")
    for _ in range(40):
        began = time.process_time()
        for i in sample:
            predict(by, rows[i].text, single[i])
        best = min(best, (time.process_time() - began) / len(sample))
    return round(best * 1e6, 1)


def _taken(table: Table, at: data.Indices) -> Table:
    outcomes = Judged(table.outcomes.weak[at], table.outcomes.strong[at])
    return Table(tuple(table.rows[i] for i in at), table.inputs[at], table.vectors[at], outcomes)


def _sorted(table: Table, at: data.Indices) -> Table:
    """In the order of the digests, as `fit` has them: the landmarks are the first ones."""
    return _taken(table, np.array(sorted(at, key=lambda i: digest(table.rows[i]))))


def _vectors(rows: Sequence[Outcome], embedder: str) -> Array:
    build: Callable[[], Embedder] = getattr(import_module(f"streams.embedding.{embedder}"), _EMBEDDERS[embedder][0])
    return np.asarray(build().embed([row.text for row in rows]), np.float64)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, required=True, help="JSON lines: source, subject, prompt, weak_correct, strong_correct"
    )
    parser.add_argument("--fit-on", type=Path, help="fit on all of this file instead; report on what --data holds besides")
    parser.add_argument("--embedder", choices=tuple(_EMBEDDERS), default="wordllama")
    parser.add_argument("--vectors", type=Path, help="a .npy of the prompts' vectors, instead of embedding them")
    parser.add_argument("--repeats", type=int, default=4)
    parser.add_argument("--ship", type=Path, help="write the model of all rows here")
    parser.add_argument("--output", type=Path, default=RESULTS / "routing.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
