"""How often the kind is right, and what a stated confidence is worth, on prompts of others that the head never saw.

python -m bench.classify.evaluate --data mt_bench_questions.jsonl --data routing_outcomes.jsonl

A file of two-turn prompts (`category`, `turns`) is judged turn by turn, the second with the first before it. A file of exam
questions (`source`, `subject`, `prompt`) is judged by the table below. bench/results/classify.json holds figures, no prompts.
`corpus_lines_alike` says how many lines of the corpus come near to a judged prompt: there should be none.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.classify.corpus import examples
from bench.classify.cost import cost_of
from processors.classify.decide import CLASSIFIER, Classified, decide
from processors.classify.kinds import TaskKind
from processors.embedding import Embedder
from schemas.requests import InferenceRequest, Message
from streams.embedding.wordllama import WordLlama

RESULTS = Path(__file__).parents[1] / "results" / "classify.json"
_MATH = (
    "abstract_algebra college_mathematics elementary_mathematics high_school_mathematics high_school_statistics grade_school_math"
)
_REASONING = "formal_logic logical_fallacies"
_CODING = "college_computer_science high_school_computer_science"
_STEM = (
    "anatomy astronomy clinical_knowledge college_biology college_chemistry college_medicine college_physics computer_security "
    "conceptual_physics electrical_engineering high_school_biology high_school_chemistry high_school_physics human_aging "
    "machine_learning medical_genetics nutrition professional_medicine virology"
)
_HUMANITIES = (
    "business_ethics econometrics high_school_european_history high_school_geography "
    "high_school_government_and_politics high_school_macroeconomics high_school_microeconomics high_school_psychology "
    "high_school_us_history high_school_world_history "
    "human_sexuality international_law jurisprudence management marketing moral_disputes moral_scenarios philosophy prehistory "
    "professional_law professional_psychology public_relations security_studies sociology us_foreign_policy world_religions"
)
KIND_OF_SUBJECT = {
    subject: kind
    for kind, subjects in (
        (TaskKind.MATH, _MATH),
        (TaskKind.REASONING, _REASONING),
        (TaskKind.CODING, _CODING),
        (TaskKind.STEM, _STEM),
        (TaskKind.HUMANITIES, _HUMANITIES),
    )
    for subject in subjects.split()
}
"""MMLU's own grouping: its social sciences are `humanities`, its medicine is `stem`. `miscellaneous`, `global_facts` and
`professional_accounting` are of no one kind and are left out."""
_BATCH = 64
_ALIKE = 0.8
"""The cosine from which two texts ask much the same."""


@dataclass(frozen=True, slots=True)
class Case:
    request: InferenceRequest
    kind: TaskKind
    part: str


def cases_of(path: Path) -> Iterator[Case]:
    """The judged prompts of a file; its rows without a kind are left out."""
    for line in path.read_text(encoding="utf-8").strip().split("\n"):
        row = json.loads(line)
        if "turns" in row:
            said: list[Message] = []
            for number, turn in enumerate(row["turns"], 1):
                said += [Message("user", turn)]
                yield Case(_request(said), TaskKind(row["category"]), f"turn {number}")
                said += [Message("assistant", "")]
        elif (kind := KIND_OF_SUBJECT.get(row["subject"])) is not None:
            yield Case(_request([Message("user", row["prompt"])]), kind, row["source"])


def _request(messages: Sequence[Message]) -> InferenceRequest:
    return InferenceRequest("r", "t", "auto", messages=tuple(messages))


def report(cases: Sequence[Case], found: Sequence[Classified]) -> dict[str, object]:
    right = [case.kind is answer.task_kind for case, answer in zip(cases, found, strict=True)]
    parts = sorted({case.part for case in cases})
    kinds = [kind for kind in TaskKind if any(case.kind is kind for case in cases)]
    mistaken = Counter(
        f"{case.kind} as {answer.task_kind}" for case, answer, ok in zip(cases, found, right, strict=True) if not ok
    )
    return {
        "requests": len(cases),
        "accuracy": _share(right),
        "accuracy_by_part": {
            part: _share([ok for case, ok in zip(cases, right, strict=True) if case.part == part]) for part in parts
        },
        "recall": {kind: _share([ok for case, ok in zip(cases, right, strict=True) if case.kind is kind]) for kind in kinds},
        "other_share": _share([answer.task_kind is TaskKind.OTHER for answer in found]),
        "mistaken": dict(mistaken.most_common(12)),
        "reliability": reliability([answer.confidence for answer in found], right),
    }


def alike(cases: Sequence[Case], embedder: Embedder) -> int:
    """How many texts of the corpus lie near to a judged prompt."""
    judged = embedder.embed([case.request.messages[-1].content or "" for case in cases])
    corpus = embedder.embed(sorted({example.text for example in examples()}))
    return int(((corpus @ judged.T).max(axis=1) >= _ALIKE).sum())


def reliability(stated: Sequence[float], right: Sequence[bool]) -> list[dict[str, float]]:
    """For each tenth of stated confidence: how many, what was stated, and how often it was right."""
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, ok in zip(stated, right, strict=True):
        bins.setdefault(min(9, int(confidence * 10)), []).append((confidence, ok))
    return [
        {
            "from": tenth / 10,
            "requests": len(found),
            "stated": round(sum(confidence for confidence, _ in found) / len(found), 3),
            "right": _share([ok for _, ok in found]),
        }
        for tenth, found in sorted(bins.items())
    ]


def _share(of: Sequence[bool]) -> float:
    return round(sum(of) / len(of), 4) if of else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="a file of prompts; may be given more than once"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    embedder = WordLlama()
    results: dict[str, object] = {"classifier": CLASSIFIER, "embedder": embedder.name}
    every: list[InferenceRequest] = []
    for path in options.data:
        cases = list(cases_of(path))
        requests = [case.request for case in cases]
        found = [one for at in range(0, len(requests), _BATCH) for one in decide(requests[at : at + _BATCH], embedder)]
        results[path.name] = report(cases, found) | {"corpus_lines_alike": alike(cases, embedder)}
        every += requests
    results["cost"] = cost_of(every, embedder)
    options.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    json.dump(results, sys.stdout, indent=2)


if __name__ == "__main__":
    main()
