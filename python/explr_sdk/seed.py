"""Seeds the random generators of Python and of the libraries in use."""

from __future__ import annotations

import functools
import random
import sys
from types import ModuleType
from typing import Callable

from explr_sdk._imports import after_import

#: The run's seed, once there is a run.
_run_seed = 0


def seed_everything(seed: int | None = None) -> None:
    """Seeds ``random``, numpy, PyTorch and TensorFlow (CPU and GPUs), as far as they are imported.

    Without a seed it is the run's. The worker has called it before the train
    function, and seeds a library that is imported later when it is imported.
    """
    value = _run_seed if seed is None else seed
    random.seed(value)
    for name, sow in _LIBRARIES.items():
        module = sys.modules.get(name)
        if module is not None:
            sow(module, value)


def begin(seed: int) -> None:
    """Seeds everything for a run: now, or when it is imported."""
    global _run_seed
    _run_seed = seed
    random.seed(seed)
    for name, sow in _LIBRARIES.items():
        after_import(name, functools.partial(sow, seed=seed))


def _numpy(module: ModuleType, seed: int) -> None:
    module.random.seed(seed % 2**32)


def _torch(module: ModuleType, seed: int) -> None:
    # GPUs too: they are seeded when CUDA is initialised.
    module.manual_seed(seed % 2**64)


def _tensorflow(module: ModuleType, seed: int) -> None:
    # Keras draws from TensorFlow's generator, from numpy's and from Python's.
    module.random.set_seed(seed % 2**31)


_LIBRARIES: dict[str, Callable[..., None]] = {
    "numpy": _numpy,
    "torch": _torch,
    "tensorflow": _tensorflow,
}
