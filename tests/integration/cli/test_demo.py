"""The whole demonstration, as `make demo` runs it."""

import psutil
import pytest

from tests.integration.cli.command import CHECKOUT, Penstock

pytestmark = pytest.mark.timeout(300)


def test_the_demo_is_clean_and_leaves_nothing(tmp_path, monkeypatch):
    # What stands in the user's directory and environment is meant for other runs.
    (tmp_path / ".env").write_text("PENSTOCK_BOOTSTRAP_SERVERS=nowhere:9092\nSCHEMA_REGISTRY_URL=http://nowhere:8081\n")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    variables = (("TMPDIR", str(temporary)), ("REDIS_URL", "redis://nowhere:6379"), ("OPENAI_API_KEY", "sk-must-not-be-used"))
    examples = CHECKOUT / "examples" / "requests.jsonl"

    found = Penstock(tmp_path, variables=variables)("demo", "--json", "--requests", str(examples), timeout_s=240)

    assert found.code == 0, found.err
    report = found.json
    assert report["published"] == len(examples.read_text().splitlines())
    assert report["unanswered"] == 0
    assert report["bad_lines"] == 0
    assert report["verify"]["ok"] is True
    assert report["verify"]["final"] == report["published"]
    assert report["answers"]["by_status"].get("ok", 0) >= report["published"] * 0.9
    assert report["answers"]["cache_hits"] > 0
    costs = report["costs"]
    assert set(costs["tenant"]) == {"acme", "birch", "cedar", "delta"}
    assert sum(row["cost_nanousd"] for row in costs["tenant"].values()) == report["verify"]["cost_nanousd"]
    assert list(temporary.iterdir()) == []
    assert [p for p in psutil.process_iter(["cmdline"]) if str(temporary) in " ".join(p.info["cmdline"] or ())] == []
