"""For every test.

pytest parses modules to rewrite their assertions, and CPython 3.11 can fail a parse that a garbage collection interrupts ("AST
constructor recursion depth mismatch", python/cpython#106905, mended in 3.11.8). So what is parsed is parsed without collecting:
the tests, and Hypothesis, which its plugin would import at the first test.
"""

import gc

gc.disable()

import hypothesis.internal.reflection  # noqa: E402, F401 - with the garbage collector off
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

# A machine that is busy is no defect: no example is judged by its time.
settings.register_profile("penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session):
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
