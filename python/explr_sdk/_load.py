"""Finds the train function: ``my_module:train_model`` or ``path/to/file.py:train_model``."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import inspect
import os
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Callable

from explr_sdk import _failure
from explr_sdk._failure import LoadError

Function = Callable[..., Any]
#: Stands around the import of a module, given its name.
Guard = Callable[[str], contextlib.AbstractContextManager[None]]


def load(code: dict[str, Any]) -> Function:
    """Imports the module and returns its function. Raises ``LoadError``."""
    folder, target = str(code["folder"]), str(code["target"])
    module_name, _, function_name = target.rpartition(":")
    if not module_name or not function_name:
        raise LoadError(
            f"`{target}` names no train function: write `my_module:train_model` or "
            "`path/to/file.py:train_model`"
        )
    _search_first(folder)
    guard = _guard(function_name, code.get("call"))
    if module_name.endswith(".py") or os.sep in module_name:
        module = _import_file(folder, module_name, guard)
    else:
        module = _import(folder, module_name, guard)
    return _find(module, module_name, function_name)


def _guard(function_name: str, call: str | None) -> Guard:
    if call != "objective":
        return lambda _: contextlib.nullcontext()
    from explr_sdk.integrations.optuna import until_search

    return functools.partial(until_search, function_name)


def _search_first(folder: str) -> None:
    if folder in sys.path:
        sys.path.remove(folder)
    sys.path.insert(0, folder)


def _import(folder: str, name: str, guard: Guard) -> ModuleType:
    try:
        with guard(name):
            importlib.import_module(name)
        return sys.modules[name]
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _broken(name, error) from error
        message = f"there is no module `{name}` in `{folder}`"
        if Path.cwd() != Path(folder):
            message += f" or `{Path.cwd()}`"
        raise LoadError(
            f"{message}, nor in what `{sys.executable}` has installed{_near(name, _modules())}"
        ) from error
    except BaseException as error:
        raise _broken(name, error) from error


def _import_file(folder: str, name: str, guard: Guard) -> ModuleType:
    candidates = [Path(folder) / name, Path.cwd() / name]
    file = next((path.resolve() for path in candidates if path.is_file()), None)
    if file is None:
        files = [path.name for path in candidates[0].parent.glob("*.py")]
        raise LoadError(f"there is no file `{candidates[0]}`{_near(Path(name).name, files)}")
    # What stands beside the file can be imported by it, and the module itself
    # by the processes that it starts.
    _search_first(str(file.parent))
    module_name = file.stem
    known = sys.modules.get(module_name)
    if known is not None:
        if getattr(known, "__file__", None) == str(file):
            return known
        module_name = f"_explr_{module_name}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise LoadError(f"`{file}` is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        with guard(module_name):
            spec.loader.exec_module(module)
    except BaseException as error:
        raise _broken(name, error) from error
    return module


def _find(module: ModuleType, module_name: str, name: str) -> Function:
    value: Any = module
    for part in name.split("."):
        value = getattr(value, part, None)
    file = getattr(module, "__file__", None) or module_name
    if value is None:
        functions = [
            key
            for key, member in vars(module).items()
            if inspect.isfunction(member) and member.__module__ == module.__name__
        ]
        message = f"there is no function `{name}` in `{file}`{_near(name, functions)}"
        raise LoadError(message if functions else f"{message}; it has no functions")
    if not callable(value):
        raise LoadError(f"`{name}` in `{file}` is a `{type(value).__name__}`, not a function")
    if inspect.iscoroutinefunction(value):
        raise LoadError(f"`{name}` in `{file}` is `async`; give a plain function")
    function: Function = value
    return function


def _broken(name: str, error: BaseException) -> LoadError:
    message = f"can't import `{name}`: {_failure.message_of(error)}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        message += f"\ninstall `{error.name.split('.')[0]}` for `{sys.executable}`"
    return LoadError(message, _failure.location(error))


def _modules() -> list[str]:
    """The names of the modules in the folders of the user's code."""
    folders = [path for path in sys.path[:2] if path]
    return [module.name for module in pkgutil.iter_modules(folders)]


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean `{close[0]}`?"
    if known:
        return f"; there are {', '.join(f'`{each}`' for each in sorted(known)[:10])}"
    return ""
