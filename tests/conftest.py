"""For every test."""

import gc

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session):
    """Collect without the garbage collector.

    pytest parses every test file to rewrite its assertions, and CPython 3.11 can fail a parse that a collection interrupts
    ("AST constructor recursion depth mismatch", python/cpython#106905, mended in 3.11.8).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
