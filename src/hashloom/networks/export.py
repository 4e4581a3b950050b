"""A trained network as ONNX bytes, proved against torch at several shapes, so that answering needs no torch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

TOLERANCE = 1e-4


def to_onnx(
    network: nn.Module,
    examples: Sequence[tuple[Tensor, ...]],
    inputs: dict[str, dict[int, str]],
    outputs: Sequence[str],
) -> bytes:
    """Export ``network.forward`` and check it with each of ``examples`` (three shapes or more).

    ``inputs`` names the arguments in order, each with its axes that vary. Raises ``ValueError`` where ONNX Runtime and
    torch differ by more than 1e-4 of the largest value (of 1 where all are smaller): an exporter's success proves
    nothing at other lengths.
    """
    if len({tuple(part.shape for part in example) for example in examples}) < 3:
        raise ValueError("an export is checked at three different shapes or more; give as many examples")
    network = network.eval().cpu()
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter made for torch.export writes wrong files for LSTMs of varying length; the older one is right.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, examples[0], file, input_names=list(inputs), output_names=list(outputs),
            dynamic_axes=inputs, opset_version=17, dynamo=False,
        )  # fmt: skip
    check(network, file.getvalue(), examples, list(inputs))
    return file.getvalue()


def check(network: nn.Module, exported: bytes, examples: Sequence[tuple[Tensor, ...]], inputs: Sequence[str]) -> None:
    """Raise ``ValueError`` where the exported network answers an example otherwise than torch does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported, options, providers=["CPUExecutionProvider"])
    for example in examples:
        found = session.run(None, dict(zip(inputs, (part.numpy() for part in example), strict=True)))
        with torch.no_grad():
            wanted = network(*example)
        parts = [part.numpy() for part in ([wanted] if isinstance(wanted, Tensor) else wanted)]
        gap = max(float(np.abs(f - w).max() / max(1.0, np.abs(w).max())) for f, w in zip(found, parts, strict=True))
        if not gap <= TOLERANCE:
            shapes = [tuple(part.shape) for part in example]
            raise ValueError(f"the ONNX export differs from torch by {gap:.2g} at shapes {shapes}; nothing is kept")
