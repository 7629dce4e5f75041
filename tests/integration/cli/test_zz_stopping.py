"""What the end of a stack, and of a command, looks like. Named to run last: it stops the stack that the others use."""

import os
import signal
import subprocess
import time

import psutil

from tests.integration.cli.command import COMMAND, environment


def test_ctrl_c_ends_a_command_that_follows_with_130(up):
    argv = (*COMMAND, "consume", "responses", "--follow", "--json", "--data-dir", str(up.data_dir))
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("{")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_costs_watch_prints_a_line_a_change(up):
    argv = (*COMMAND, "costs", "--watch", "--json", "--data-dir", str(up.data_dir))
    with subprocess.Popen(argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        before = process.stdout.readline()
        assert up.penstock("ask", f"something new {os.getpid()} {time.time()}").code == 0
        after = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert before != after


def test_a_closed_pipe_ends_a_command_quietly(up):
    pipeline = f"{' '.join(COMMAND)} consume attempts --json --data-dir {up.data_dir} | head -n 1"
    found = subprocess.run(("bash", "-c", pipeline), env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert found.stdout.startswith("{")
    assert "Traceback" not in found.stderr


def test_sigterm_stops_everything_and_leaves_nothing(up):
    children = psutil.Process(up.process.pid).children(recursive=True)
    assert len(children) >= 8
    up.process.send_signal(signal.SIGTERM)
    assert up.process.wait(40) == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert "stopped" in up.output()
    assert not (up.data_dir / "stack.json").exists()
    assert up.penstock("costs").code == 2
