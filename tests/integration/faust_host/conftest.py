from tests.fakes.stack import kafka  # noqa: F401
