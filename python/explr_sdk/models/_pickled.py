"""Pickles, and what of the train function's own code they need."""

from __future__ import annotations

import importlib
import pickle
import types
from pathlib import Path
from typing import Any

from explr_sdk.errors import LogError
from explr_sdk.models._code import copy_code
from explr_sdk.models._folder import installed

_REMEDY = (
    ". What is defined in `__main__` or within a function needs a module of its own, or "
    "cloudpickle: `pip install cloudpickle`"
)


class Pickles:
    """A pickle module that remembers which modules its pickles refer to.

    What is defined in ``__main__`` or within a function can't be referred to,
    and is written whole where cloudpickle is installed.
    """

    def __init__(self) -> None:
        """Looks for cloudpickle."""
        self.modules: set[str] = set()
        self.by_value = _cloudpickle() is not None
        self.module = types.ModuleType(__name__)
        vars(self.module).update(
            Pickler=_pickler(self.modules), Unpickler=pickle.Unpickler, load=pickle.load
        )

    def dump(self, obj: Any, path: Path) -> None:
        """Writes an object to a file."""
        with open(path, "wb") as file:
            self.module.Pickler(file, protocol=pickle.DEFAULT_PROTOCOL).dump(obj)

    def code(self, folder: Path) -> str | None:
        """Puts the own modules among those referred to into a folder of the model."""
        if "__main__" in self.modules and not self.by_value:
            raise LogError(f"the model could be loaded by this very script only{_REMEDY}")
        return copy_code(self.modules, folder)

    def packages(self) -> list[str]:
        """The installed packages among those referred to, and cloudpickle if it is needed."""
        names = {module.partition(".")[0] for module in self.modules}
        found = sorted(name for name in names if installed(name))
        return found + (["cloudpickle"] if self.by_value else [])

    def refusal(self, obj: Any, error: Exception) -> LogError:
        """What to say of an object that can't be saved."""
        hint = ""
        if not self.by_value and isinstance(error, (pickle.PicklingError, AttributeError)):
            hint = _REMEDY
        return LogError(f"the model {type(obj).__qualname__} can't be saved: {error}{hint}")


def _cloudpickle() -> types.ModuleType | None:
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return None


def _pickler(modules: set[str]) -> type[pickle.Pickler]:
    cloudpickle = _cloudpickle()
    base: Any = pickle.Pickler if cloudpickle is None else cloudpickle.CloudPickler

    class Recorder(base):  # type: ignore[misc]
        def reducer_override(self, obj: Any) -> Any:
            # Classes and functions are what a pickle refers to by name.
            if isinstance(obj, (type, types.FunctionType)):
                modules.add(obj.__module__)
            if base is pickle.Pickler:
                return NotImplemented
            return super().reducer_override(obj)

    recorder: type[pickle.Pickler] = Recorder
    return recorder
