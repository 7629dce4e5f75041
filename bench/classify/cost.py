"""What classifying a request costs: CPU time of this process alone, in batches, known words and new ones apart."""

import time
from collections.abc import Callable, Sequence

from processors.classify.decide import decide, judge, read
from processors.embedding import Embedder
from schemas.requests import InferenceRequest

_BATCH = 64
_REPEATS = 7
_LOOPS = 300_000


def cost_of(requests: Sequence[InferenceRequest], embedder: Embedder) -> dict[str, float]:
    """CPU microseconds a request, the least of several rounds: what the machine did besides can only add.

    `loop_us` is what a plain Python loop of 1,000 steps takes in the same minute: a figure to compare runs by.
    """
    sample = requests[:: max(1, len(requests) // 1_024)][:1_024]
    batches = [sample[at : at + _BATCH] for at in range(0, len(sample), _BATCH)]
    readings = [[read(request) for request in batch] for batch in batches]
    for batch in readings:
        judge(batch, embedder)
    texts = [[reading.asked.text for reading in batch] for batch in readings]
    each = 1e6 / len(sample)
    return {
        "requests": len(sample),
        "mean_chars": round(sum(len(text) for batch in texts for text in batch) / len(sample), 1),
        "classify_us": round(each * _least(lambda: [decide(batch, embedder) for batch in batches]), 1),
        "read_us": round(each * _least(lambda: [read(request) for request in sample]), 1),
        "embed_us": round(each * _least(lambda: [embedder.embed(batch) for batch in texts]), 1),
        "loop_us": round(1e3 * 1e6 / _LOOPS * _least(_loop), 1),
    }


def _loop() -> int:
    total = 0
    for number in range(_LOOPS):
        total += number
    return total


def _least(work: Callable[[], object]) -> float:
    took: list[float] = []
    for _ in range(_REPEATS):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)
