"""Multinomial logistic regression on a sparse and a dense block at once; scipy is loaded only where this is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse

Floats = npt.NDArray[np.float32]
Loss = Callable[[Floats], tuple[float, Floats]]

_MEMORY, _HALVINGS, _DESCENT = 6, 20, 1e-4


@dataclass(frozen=True, slots=True)
class Weights:
    """One column a class: `sparse` over the character pieces, `dense` over the rest."""

    sparse: Floats
    dense: Floats
    bias: Floats


def to_sparse(rows: Sequence[Sequence[tuple[int, float]]], width: int) -> scipy.sparse.csr_matrix:
    """`(column, weight)` pairs, one list a row, as a matrix."""
    starts = np.cumsum([0] + [len(row) for row in rows])
    columns = np.fromiter((column for row in rows for column, _ in row), dtype=np.int32, count=int(starts[-1]))
    values = np.fromiter((value for row in rows for _, value in row), dtype=np.float32, count=int(starts[-1]))
    return scipy.sparse.csr_matrix((values, columns, starts), shape=(len(rows), width))


def fit(
    sparse: scipy.sparse.csr_matrix,
    dense: Floats,
    labels: npt.NDArray[np.int64],
    classes: int,
    *,
    strength: float,
    row_weights: Floats | None = None,
    iterations: int = 40,
) -> Weights:
    """Minimise the log loss plus an L2 penalty; `strength` is the usual C; rows weigh 1 unless told."""
    count, pieces = sparse.shape
    width = dense.shape[1]
    weights = np.ones(count, dtype=np.float32) if row_weights is None else row_weights
    penalty = np.float32(1.0 / strength)
    sparse_across, dense_across = sparse.T.tocsr(), np.ascontiguousarray(dense.T)
    rows = np.arange(count)

    def loss(flat: Floats) -> tuple[float, Floats]:
        table = flat.reshape(pieces + width + 1, classes)
        chances = sparse @ table[:pieces] + dense @ table[pieces:-1] + table[-1]
        chances -= chances.max(axis=1, keepdims=True)
        own = chances[rows, labels].copy()
        np.exp(chances, out=chances)
        total = chances.sum(axis=1)
        cost = float(((np.log(total) - own) * weights).sum())
        chances /= total[:, None]
        chances[rows, labels] -= 1.0
        chances *= weights[:, None]
        slope = np.empty_like(table)
        slope[:pieces] = sparse_across @ chances
        slope[pieces:-1] = dense_across @ chances
        slope[-1] = chances.sum(axis=0)
        slope[:-1] += penalty * table[:-1]
        return cost + 0.5 * float(penalty) * float(np.square(table[:-1]).sum()), slope.ravel()

    best = _minimise(loss, np.zeros((pieces + width + 1) * classes, dtype=np.float32), iterations)
    table = best.reshape(pieces + width + 1, classes)
    return Weights(table[:pieces], table[pieces:-1], table[-1])


def _minimise(loss: Loss, start: Floats, iterations: int) -> Floats:
    """L-BFGS with a halving line search, in single precision; that of scipy is eight times slower here."""
    here, (cost, slope) = start, loss(start)
    past: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    for _ in range(iterations):
        step = -_curved(slope, past)
        falls, length = float(slope @ step), 1.0
        for _ in range(_HALVINGS):
            there = here + np.float32(length) * step
            new_cost, new_slope = loss(there)
            if new_cost <= cost + _DESCENT * length * falls:
                break
            length /= 2
        else:
            break
        moved, turned = there - here, new_slope - slope
        if (bend := float(moved @ turned)) > 1e-10:
            past.append((moved, turned, 1.0 / bend))
        here, cost, slope = there, new_cost, new_slope
    return here


def _curved(slope: Floats, past: deque[tuple[Floats, Floats, float]]) -> Floats:
    """The slope, corrected by the curvature of the last steps (the two-loop recursion)."""
    way = slope.copy()
    shares: list[float] = []
    for moved, turned, weight in reversed(past):
        shares.append(weight * float(moved @ way))
        way -= np.float32(shares[-1]) * turned
    if past:
        moved, turned, _ = past[-1]
        way *= np.float32(float(moved @ turned) / float(turned @ turned))
    else:
        way *= np.float32(1.0 / max(1e-9, float(np.abs(slope).sum())))
    for (moved, turned, weight), share in zip(past, reversed(shares), strict=True):
        way += np.float32(share - weight * float(turned @ way)) * moved
    return way
