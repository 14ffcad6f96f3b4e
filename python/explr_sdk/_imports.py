"""Does something as soon as a module is imported, without importing it."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Callable

Then = Callable[[ModuleType], None]


def after_import(name: str, then: Then) -> None:
    """Calls ``then`` with the module ``name``: now if it is imported, else when it is."""
    module = sys.modules.get(name)
    if module is not None:
        then(module)
        return
    if not _finder.waiting:
        sys.meta_path.insert(0, _finder)
    _finder.waiting.setdefault(name, []).append(then)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds what the other finders find, and wraps the loader of what is waited for."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Then]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.waiting:
            return None
        for finder in sys.meta_path:
            if finder is self:
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, self.waiting.pop(name))
                return spec
        return None


class _Loader(importlib.abc.Loader):
    """Loads as another loader does, and then says so."""

    def __init__(self, loader: importlib.abc.Loader, then: list[Then]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Whoever asks the module for its loader gets the one it would have.
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for then in self._then:
            then(module)


_finder = _Finder()
