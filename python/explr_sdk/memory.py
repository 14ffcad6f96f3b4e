"""Limits the GPU memory that a framework takes.

A worker of explr keeps to its limit by itself: PyTorch is told when it is
started, TensorFlow when it is imported, JAX by its environment variable.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from types import ModuleType

from explr_sdk import _nvml
from explr_sdk._imports import after_import

#: Bytes of each GPU that a run may use, as explr tells its workers.
_BYTES_VARIABLE = "EXPLR_GPU_MEMORY_BYTES"
#: The limit of a card's memory, in GB.
_GB_VARIABLE = "EXPLR_GPU_MEMORY_GB"
_JAX_VARIABLE = "XLA_PYTHON_CLIENT_MEM_FRACTION"

_GB = 1e9


def limit_gpu_memory(max_memory_gb: float | None = None) -> int | None:
    """Limits what this process may take of each GPU, and returns the limit in bytes.

    A GB is 10^9 bytes. Without a number it is that of ``EXPLR_GPU_MEMORY_GB``,
    or in a worker the run's share of it; without either there is no limit.
    Call it before the first tensor is on a GPU. JAX can be told only before it
    is imported.
    """
    limit = _given() if max_memory_gb is None else max_memory_gb * _GB
    if limit is None:
        return None
    if not 0 < limit < float("inf"):
        raise ValueError(f"the limit of GPU memory must be above 0 GB, not {max_memory_gb}")
    bytes_limit = int(limit)
    after_import("torch", functools.partial(_limit_torch, limit=bytes_limit))
    after_import("tensorflow", functools.partial(_limit_tensorflow, limit=bytes_limit))
    _limit_jax(bytes_limit)
    return bytes_limit


def begin() -> None:
    """Applies the run's limit to the frameworks that were not told of it."""
    limit = _number(_BYTES_VARIABLE)
    if not limit:
        return
    after_import("tensorflow", functools.partial(_limit_tensorflow, limit=int(limit)))
    if _JAX_VARIABLE not in os.environ and "jax" not in sys.modules:
        _limit_jax(int(limit))


def _given() -> float | None:
    """The share of a worker is never more than the card's limit."""
    card = _number(_GB_VARIABLE)
    given = [limit for limit in (card and card * _GB, _number(_BYTES_VARIABLE)) if limit]
    return min(given, default=None)


def _number(variable: str) -> float | None:
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{variable} must be a number, not `{text}`") from None


def _limit_torch(torch: ModuleType, limit: int) -> None:
    if not torch.cuda.is_available():
        return
    for device in range(torch.cuda.device_count()):
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)


def _limit_tensorflow(tensorflow: ModuleType, limit: int) -> None:
    config = tensorflow.config
    try:
        for gpu in config.list_physical_devices("GPU"):
            logical = config.LogicalDeviceConfiguration(memory_limit=limit >> 20)
            config.set_logical_device_configuration(gpu, [logical])
    except RuntimeError as error:
        warnings.warn(f"TensorFlow can't be told its limit of GPU memory: {error}", stacklevel=2)


def _limit_jax(limit: int) -> None:
    total = _nvml.smallest_memory()
    if total is None:
        return
    if "jax" in sys.modules:
        warnings.warn("JAX is imported already and can't be told its limit", stacklevel=3)
    os.environ[_JAX_VARIABLE] = f"{min(1.0, limit / total):.4f}"
