"""What `penstock calibration` shows of what was read."""

from io import StringIO

from rich.console import Console

from processors.classify.calibration import calibrations, learn
from streams.cli.calibrating import as_data, drawn
from streams.decoding import dumps

FOUND = calibrations(learn({}, [(("openai", "gpt"), 100, 150)] * 1_200 + [(("anthropic", "claude"), 100, 90)] * 3)).values()


def test_a_line_a_model_and_no_factor_where_too_few_calls_speak_for_one():
    out = StringIO()
    Console(file=out, width=200).print(drawn(FOUND))
    header, *lines = (line.split() for line in out.getvalue().splitlines())
    assert header == ["provider", "model", "calls", "p5", "p50", "p95", "p99", "factor"]
    assert lines == [
        ["anthropic", "claude", "3", "0.91", "0.91", "0.91", "0.91", "-"],
        ["openai", "gpt", "1,200", "1.51", "1.51", "1.51", "1.51", "1.51"],
    ]


def test_the_same_as_json():
    claude, gpt = as_data(FOUND)["models"]
    assert (claude["calls"], claude["factor"], claude["used"]) == (3, 1.0, False)
    assert (gpt["provider"], gpt["model"], gpt["calls"], gpt["used"]) == ("openai", "gpt", 1_200, True)
    assert gpt["p99"] == gpt["factor"] >= 1.5
    assert dumps(as_data(FOUND))
