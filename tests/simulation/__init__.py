"""A seeded simulation of the dispatcher: its real core (`Cycle`, `Changelog`, `decide`) in a world of partition logs,
transactions, zombies, crashing workers, providers with unknown outcomes, and clocks that jump. No Kafka, no event loop, no clock.

    .venv/bin/python -m tests.simulation --seeds 10000      # table of what was covered
    .venv/bin/python -m tests.simulation --seed 4711        # one schedule, its history if it fails

A seed becomes a `Schedule` (schedule.py), which is data: requests and steps. `play` runs it and is a pure function of it, so
leaving steps out gives a smaller schedule that is as valid: that is how a failing one is shrunk (shrink.py). After the steps the
faults end, clocks run on until everything is settled, and an oracle that shares no code with the dispatcher judges the logs
(oracle.py). `plants.py` has bugs that it must catch, `seeds.py` the schedules that have failed on the product.
"""
