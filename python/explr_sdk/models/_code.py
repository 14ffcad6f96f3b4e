"""The train function's own modules, which a model may need to be loaded."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

_CODE = "code"
_PACKAGE = Path(__file__).resolve().parent.parent
_INSTALLED = {
    *(Path(path).resolve() for path in sysconfig.get_paths().values()),
    *(Path(path).resolve() for path in sys.path if path.endswith(("-packages", ".zip"))),
}


def copy_code(modules: Iterable[str], folder: Path) -> str | None:
    """Copies modules, and those that were loaded from beside them, into a model's folder.

    Installed packages are left out: they are for requirements.txt. But this one
    goes along where it is imported: explr brings it, and a machine that loads
    the model has no explr. Returns the name of the folder with the copies, if
    there are any.
    """
    own = {name: _source(module) for name, module in list(sys.modules.items())}
    sources: dict[str, Path] = {name: path for name, path in own.items() if path is not None}
    roots: set[Path] = {_root(name, sources[name]) for name in modules if name in sources}
    chosen = {name: path for name, path in sources.items() if _root(name, path) in roots}
    for name, path in chosen.items():
        copy = folder / _CODE / _relative(name, path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    if any(_PACKAGE.name.encode() in path.read_bytes() for path in chosen.values()):
        no_caches = shutil.ignore_patterns("__pycache__")
        shutil.copytree(_PACKAGE, folder / _CODE / _PACKAGE.name, ignore=no_caches)
    return _CODE if chosen else None


def is_in(module: str, code: Path) -> bool:
    """Whether a module was copied into a folder."""
    path = code.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _source(module: ModuleType | None) -> Path | None:
    """The file of a module that is the user's own."""
    file, name = getattr(module, "__file__", None), getattr(module, "__name__", "__main__")
    if not isinstance(file, str) or not file.endswith(".py") or name == "__main__":
        return None
    path = Path(file).resolve()
    # A virtual environment may lie within the project, or the project within Python's prefix.
    installed = any(part in _INSTALLED for part in path.parents) or "site-packages" in path.parts
    return None if installed or _PACKAGE in path.parents or not path.is_file() else path


def _relative(name: str, path: Path) -> Path:
    """Where a module must lie to be imported by its name."""
    place = Path(*name.split("."))
    return place / "__init__.py" if path.name == "__init__.py" else place.with_suffix(".py")


def _root(name: str, path: Path) -> Path:
    """The folder from which a module was imported."""
    return path.parents[len(_relative(name, path).parts) - 1]
