"""The nearest of many vectors, exactly: sifted by whole numbers of 8 bits, which a quarter of the memory holds.

To compare one vector with all others costs what reading them costs. Rounded to 8 bits they are read four times as fast,
and Cauchy-Schwarz bounds what rounding can change: those that may be among the nearest are then compared as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

LEAST = 2000
"""Fewer vectors than this are as quickly compared as they are."""
FEW = 8
"""More asked vectors than this are as quickly compared with all at once."""
BLOCK = 1024
"""Vectors rounded at once, which bounds the memory that this takes."""
HELD, ASKED = 64, 127
"""The largest whole number of a vector that is held, and of one that is asked about: on processors without VNNI two
products are summed in 16 bits, which must not overflow."""
ZERO = 128
"""Stands for 0 in the asked vector, whose numbers are sent without a sign."""


RUN = 16
"""Of so many vectors one is looked at where the highest are sought."""
TINY = 1e-6
"""Products are told apart down to this."""


class Sieve:
    """Sifts ``vectors`` (posts, dim).

    >>> vectors = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32)
    >>> sifted = Sieve(vectors).scores(vectors[0], 5)
    >>> np.argsort(-sifted)[:5].tolist() == np.argsort(-(vectors @ vectors[0]))[:5].tolist()
    True
    """

    def __init__(self, vectors: Floats) -> None:
        self.vectors = vectors
        held = np.empty(vectors.shape, dtype=np.int8)
        # Of each vector: the step, its length, and the length of what rounding took. All (posts,).
        self.step, self.length, self.lost = np.empty((3, len(vectors)), dtype=np.float32)
        for at in range(0, len(vectors), BLOCK):
            some = slice(at, at + BLOCK)
            rounded, step = _rounded(vectors[some], HELD)
            held[some], self.step[some] = rounded, step[:, 0]
            self.length[some] = np.linalg.norm(vectors[some], axis=1)
            self.lost[some] = np.linalg.norm(vectors[some] - rounded * step, axis=1)
        self._longest = float(self.length.max(initial=0))
        self._product = _multiplier(held.T)

    def scores(self, asked: Floats, count: int) -> Floats:
        """Products with one vector (dim,) where they may be among the ``count`` highest, else 0. (posts,)"""
        rounded, step = _rounded(asked[None], ASKED)
        like = self._product.run(None, {"a": (rounded + ZERO).astype(np.uint8)})[0]
        rough = like[0] * (self.step * step[0, 0])
        off, size = np.linalg.norm(asked - rounded[0] * step[0]), np.linalg.norm(rounded[0] * step[0])
        highest = rough + (self.length * np.float32(off) + self.lost * np.float32(size)) * np.float32(1.001)
        rows = np.flatnonzero(highest >= self._bar(rough, asked, count))
        made = np.zeros(len(rough), dtype=np.float32)
        made[rows] = self.vectors.take(rows, axis=0) @ asked
        return made

    def _bar(self, rough: Floats, asked: Floats, count: int) -> float:
        """What the ``count``-th highest product is at least: as many of those that look highest have it."""
        whole = len(rough) // RUN * RUN
        if whole < count * RUN:
            return -np.inf
        # The highest of each run of neighbours: quicker than to order all, and seldom are two of the best in one run.
        tops = rough[:whole].reshape(-1, RUN).max(axis=1)
        likely = np.flatnonzero(rough >= np.partition(tops, -count)[-count])
        exact = self.vectors.take(likely, axis=0) @ asked
        # Sums in another order differ by their rounding, at most by so much of the vectors' lengths.
        slack = len(asked) * np.finfo(np.float32).eps * self._longest * np.linalg.norm(asked)
        return float(np.partition(exact, -count)[-count] - slack - TINY)


def _rounded(vectors: Floats, most: int) -> tuple[Floats, Floats]:
    """Whole numbers up to ``most`` with either sign, and the step of each vector, (vectors, 1)."""
    steps = np.maximum(np.abs(vectors).max(axis=1, keepdims=True), 1e-30) / most
    return np.rint(vectors / steps), steps


def _multiplier(columns: NDArray[np.int8]) -> Any:
    """Multiplies a row of whole numbers, above ``ZERO``, with columns; on one thread."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    asked = helper.make_tensor_value_info("a", TensorProto.UINT8, [1, columns.shape[0]])
    output = helper.make_tensor_value_info("y", TensorProto.INT32, [1, columns.shape[1]])
    held = [numpy_helper.from_array(np.ascontiguousarray(columns), "b")]
    held.append(numpy_helper.from_array(np.array(ZERO, dtype=np.uint8), "zero"))
    node = helper.make_node("MatMulInteger", ["a", "b", "zero"], ["y"])
    graph = helper.make_graph([node], "sieve", [asked], [output], held)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
