"""The trainer's matrix of few entries multiplies as a full one does."""

import numpy as np

from bench.classify.softmax import Inputs, fit, softmax


def test_products_are_those_of_the_full_matrix_also_with_empty_rows_and_columns():
    draw = np.random.default_rng(3)
    full = np.where(draw.random((9, 7)) < 0.3, draw.random((9, 7)), 0).astype(np.float32)
    full[4] = full[:, 2] = 0
    dense = draw.random((9, 3)).astype(np.float32)
    rows, columns = np.nonzero(full)
    inputs = Inputs(dense, 7, rows, columns, full[rows, columns])
    both = np.hstack([dense, full])
    coefficients, by_row = draw.random((10, 4)).astype(np.float32), draw.random((9, 4)).astype(np.float32)
    assert np.allclose(inputs.times(coefficients), both @ coefficients, atol=1e-5)
    assert np.allclose(inputs.transposed_times(by_row), both.T @ by_row, atol=1e-5)
    wanted = np.arange(9) % 2 == 0
    assert np.allclose(inputs.only(wanted).times(coefficients), both[wanted] @ coefficients, atol=1e-5)


def test_what_can_be_told_apart_is_learnt():
    kinds = np.arange(40) % 2
    none = np.array([], dtype=np.intp)
    dense = np.stack([np.where(kinds == 0, 1.0, -1.0), np.ones(40)], axis=1).astype(np.float32)
    inputs = Inputs(dense, 0, none, none, np.array([], dtype=np.float32))
    targets = np.eye(2, dtype=np.float32)[kinds]
    learnt = fit(inputs, targets, np.ones(40, dtype=np.float32), np.array([1e-3, 0], dtype=np.float32))
    assert (softmax(inputs.times(learnt)).argmax(axis=1) == kinds).all()
