"""Asks NVIDIA's management library, which leaves CUDA alone."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator


class _Memory(ctypes.Structure):
    _fields_ = (
        ("total", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


def smallest_memory() -> int | None:
    """Bytes of the smallest GPU that this process sees; none without a GPU."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != 0:
        return None
    try:
        totals = []
        for handle in _handles(nvml):
            memory = _Memory()
            if nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0:
                totals.append(int(memory.total))
        return min(totals, default=None)
    finally:
        nvml.nvmlShutdown()


def _handles(nvml: ctypes.CDLL) -> Iterator[ctypes.c_void_p]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        count = ctypes.c_uint()
        nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
        names = [str(index) for index in range(count.value)]
    else:
        names = [name.strip() for name in visible.split(",")]
    for name in names:
        handle = ctypes.c_void_p()
        if name.isdigit():
            found = nvml.nvmlDeviceGetHandleByIndex_v2(int(name), ctypes.byref(handle))
        else:
            found = nvml.nvmlDeviceGetHandleByUUID(name.encode(), ctypes.byref(handle))
        if found == 0:
            yield handle
