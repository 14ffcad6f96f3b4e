"""Runs an Optuna objective, ``objective(trial)``, as it is.

``explr tune config.yaml --objective my_module:objective`` searches with
explr's samplers and pruners, each trial in a process of its own.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, Callable

from explr_sdk._imports import after_import
from explr_sdk._numbers import plain
from explr_sdk.context import T, TrainingContext
from explr_sdk.result import TrainingResult

Objective = Callable[["Trial"], Any]


class Trial:
    """What an objective is given: ``optuna.Trial``, as far as one trial knows it.

    Its study is explr's, in another process; so there is no ``trial.study``.
    """

    def __init__(self, ctx: TrainingContext) -> None:
        """A trial over a context; in a run that is no trial, its number is 0."""
        self._ctx = ctx
        #: Number within the study.
        self.number = ctx.trial_number or 0
        #: The values that were suggested so far.
        self.params: dict[str, Any] = {}
        #: What ``set_user_attr`` was given.
        self.user_attrs: dict[str, Any] = {}
        #: When the trial began.
        self.datetime_start = datetime.datetime.now()
        self._distributions: dict[str, tuple[str, dict[str, Any]]] = {}

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        """A number from a range, both bounds included."""
        value = self._ctx.suggest_float(name, low, high, log=log, step=step)
        arguments = {"low": low, "high": high, "log": log, "step": step}
        return self._keep(name, value, "FloatDistribution", arguments)

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from a range, both bounds included."""
        value = self._ctx.suggest_int(name, low, high, log=log, step=step)
        arguments = {"low": low, "high": high, "log": log, "step": step}
        return self._keep(name, value, "IntDistribution", arguments)

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        """One of a few choices."""
        value = self._ctx.suggest_categorical(name, choices)
        return self._keep(name, value, "CategoricalDistribution", {"choices": choices})

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """``suggest_float``, as Optuna once called it."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """``suggest_float(..., log=True)``, as Optuna once called it."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """``suggest_float(..., step=q)``, as Optuna once called it."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: Any, step: int) -> None:
        """Tells an intermediate value of the objective."""
        self._ctx.report(step, value)

    def should_prune(self) -> bool:
        """Whether the trial has no hope: raise ``optuna.TrialPruned`` then."""
        return self._ctx.should_prune()

    def set_user_attr(self, key: str, value: Any) -> None:
        """Keeps what belongs to the trial, as a tag of its run."""
        text = value if isinstance(value, str) else json.dumps(plain(value, f"`{key}`"))
        self._ctx.tracker.set_tag(key, text)
        self.user_attrs[key] = value

    @property
    def distributions(self) -> dict[str, Any]:
        """The ranges that values were suggested from, as Optuna's objects."""
        kinds = importlib.import_module("optuna.distributions")
        return {
            name: getattr(kinds, kind)(**arguments)
            for name, (kind, arguments) in self._distributions.items()
        }

    def _keep(self, name: str, value: T, kind: str, arguments: dict[str, Any]) -> T:
        self.params[name] = value
        self._distributions[name] = (kind, arguments)
        return value


def call_objective(objective: Objective, ctx: TrainingContext) -> Any:
    """Calls an objective, and makes a result of what it returns.

    A number is a metric named ``value``. Several are ``values_0``,
    ``values_1``, ..., as Optuna names them in its tables.
    """
    returned = objective(Trial(ctx))
    if returned is None:
        raise TypeError("the objective returned None; return its value")
    if isinstance(returned, (list, tuple)):
        if not returned:
            raise TypeError("the objective returned no values; return one for each direction")
        values = {f"values_{index}": value for index, value in enumerate(returned)}
        first = values.pop("values_0")
        return TrainingResult(first, "values_0", metrics=values)
    if isinstance(returned, (Mapping, TrainingResult)):
        return returned
    return TrainingResult(returned, "value")


@contextlib.contextmanager
def until_search(function: str, module_name: str) -> Iterator[None]:
    """Ends the import of a module where its own search begins.

    Scripts as in Optuna's documentation call ``study.optimize`` when they are
    run, and so when they are imported. Here, the objective is all that is
    wanted of them.
    """
    importing = True
    module: ModuleType | None = None

    def guard(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            nonlocal module
            if importing:
                module = sys.modules.get(module_name)
                if hasattr(module, function.partition(".")[0]):
                    raise _SearchBegins
            return call(*args, **kwargs)

        return guarded

    def watch(optuna: Any) -> None:
        if importing:
            optuna.Study.optimize = guard(optuna.Study.optimize)
            # A study that is in a storage can't be created twice.
            optuna.create_study = guard(optuna.create_study)

    after_import("optuna", watch)
    try:
        yield
    except _SearchBegins:
        if module is not None:
            sys.modules[module_name] = module
    finally:
        importing = False


class _SearchBegins(BaseException):
    """Not to be caught by what is imported."""
