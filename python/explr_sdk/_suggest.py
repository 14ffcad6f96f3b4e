"""Parameters that a train function defines itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Callable

from explr_sdk._host import Host, same
from explr_sdk._names import check_key
from explr_sdk.errors import SuggestError
from explr_sdk.tracker import Tracker

_MISSING = object()

#: Reads a value, or raises ``SuggestError`` with what is allowed.
Read = Callable[[Any], Any]


class Suggestions:
    """Finds the values of parameters.

    A hyperparameter of the same name that was given wins, if the range allows
    its value. Else, in a trial, the study chooses: the same value each time. In
    a single run it is the default, if there is one. The value is logged as a
    param.
    """

    def __init__(
        self, host: Host, tracker: Tracker, hyperparameters: Mapping[str, Any], trial: bool
    ) -> None:
        """Asks the study if this is a ``trial``."""
        self._host = host
        self._tracker = tracker
        self._hyperparameters = hyperparameters
        self._trial = trial

    def settle(self, name: str, distribution: dict[str, Any], default: Any, read: Read) -> Any:
        """The value of a parameter. A default of None is none."""
        check_key("param", name)
        value = find(self._hyperparameters, name)
        given = value is not _MISSING
        if not given:
            if self._trial:
                value = self._ask(name, distribution)
            elif default is not None:
                value = default
            else:
                raise SuggestError(
                    f"the parameter `{name}` has no value: give `hyperparameters.{name}=...`, "
                    "or search for it with `explr tune`"
                )
        settled = read(value)
        if not given:
            self._tracker.log_param(name, value)
        return settled

    def _ask(self, name: str, distribution: dict[str, Any]) -> Any:
        answer = self._host.ask({"ask": "suggest", "name": name, "distribution": distribution})
        if answer.get("answer") == "value":
            return answer.get("with")
        raise SuggestError(
            f"the study gives no value for the parameter `{name}`: {refusal(answer)}"
        )


def find(hyperparameters: Mapping[str, Any], path: str) -> Any:
    """A hyperparameter by its name, or a dotted path into nested dicts and lists."""
    if path in hyperparameters:
        return hyperparameters[path]
    parts = path.split(".")
    for cut in range(1, len(parts)):
        inner = hyperparameters.get(".".join(parts[:cut]), _MISSING)
        found = _find_in(inner, ".".join(parts[cut:]))
        if found is not _MISSING:
            return found
    return _MISSING


def _find_in(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return find(value, path)
    if isinstance(value, list):
        index, dot, rest = path.partition(".")
        if index.isdigit() and int(index) < len(value):
            return _find_in(value[int(index)], rest) if dot else value[int(index)]
    return _MISSING


def refusal(answer: Mapping[str, Any]) -> str:
    """Why the study gave no answer of the kind that was asked for."""
    if answer.get("answer") == "refused":
        return str(answer.get("with", {}).get("message"))
    return "it answered another question"


def read_float(name: str, low: float, high: float, step: float | None) -> Read:
    """Reads a number of a range."""
    steps = "" if step is None else f" in steps of {step}"

    def read(value: Any) -> float:
        if _is_number(value) and low <= value <= high and _on_a_step(value - low, step):
            return float(value)
        raise _not_allowed(name, value, f"from {low} to {high}{steps}")

    return read


def read_int(name: str, low: int, high: int, step: int) -> Read:
    """Reads a whole number of a range."""
    steps = "" if step == 1 else f" in steps of {step}"

    def read(value: Any) -> int:
        if _is_number(value) and value == int(value) and low <= value <= high:
            whole = int(value)
            if step > 0 and (whole - low) % step == 0:
                return whole
        raise _not_allowed(name, value, f"a whole number from {low} to {high}{steps}")

    return read


def read_choice(name: str, choices: Sequence[Any], plain: list[Any]) -> Read:
    """Reads one of a few choices, given as they are and as JSON has them."""

    def read(value: Any) -> Any:
        for choice, text in zip(choices, plain):
            if same(text, value):
                return choice
        raise _not_allowed(name, value, f"one of {json.dumps(plain, ensure_ascii=False)}")

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value - value == 0


def _on_a_step(above: float, step: float | None) -> bool:
    if step is None:
        return True
    # 0.1 + 0.1 + 0.1 is not 0.3: a step divides but for rounding.
    steps = above / step
    return abs(steps - round(steps)) <= 1e-8 * max(abs(steps), 1.0)


def _not_allowed(name: str, value: Any, allowed: str) -> SuggestError:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return SuggestError(f"the parameter `{name}` must be {allowed}, and {text} is not")
