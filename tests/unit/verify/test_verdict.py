"""Promise of the verdict's words: a line each, whatever an id holds."""

from streams.verify.verdict import Problem, ProblemKind


def test_a_problem_is_one_line_that_no_terminal_obeys() -> None:
    problem = Problem(ProblemKind.MISSING_FINAL, "acme/\x1b[2Jr1\nclean: 0", "no final", "ai.requests", 0, 7)
    assert str(problem) == "missing_final: acme/\\x1b[2Jr1\\nclean: 0 at ai.requests-0@7: no final"
