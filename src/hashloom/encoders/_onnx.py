"""Exported networks as they answer: ONNX Runtime on one thread, which many processes share fairly."""

from __future__ import annotations

from typing import Any


def session(network: bytes) -> Any:
    """What runs a network kept as ONNX bytes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
