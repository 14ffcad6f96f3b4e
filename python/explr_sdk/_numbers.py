"""Numbers and values in explr's JSON, in which NaN and infinity are texts."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from explr_sdk.errors import LogError

_MOST = 2**63 - 1


def to_json(value: float) -> str:
    """A number as JSON."""
    if value - value == 0.0:
        return repr(value)
    return f'"{name(value)}"'


def name(value: float) -> str:
    """The name of a number that is not finite."""
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def number(value: float) -> float | str:
    """A number for ``json.dumps``."""
    return value if value - value == 0.0 else name(value)


def read(value: Any) -> float:
    """A number of the journal."""
    # Python reads the three names as they are.
    return float(value)


def real(value: Any, what: str) -> float:
    """Whatever is a number (a tensor or an array of one element too), as a float."""
    if isinstance(value, (str, bytes, bytearray)):
        raise LogError(f"{what} must be a number, and {value!r} is a text")
    try:
        # PyTorch warns of `float(loss)`, and not of this.
        item = getattr(value, "item", None)
        return float(item() if callable(item) else value)
    except Exception as error:  # of whatever library the value comes from
        raise LogError(f"{what} must be a number, and {_short(value)} is none: {error}") from error


def integer(value: Any, what: str) -> int:
    """A whole number that fits into 64 bits with a sign."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise LogError(f"{what} must be a whole number, and {_short(value)} is none") from None
    if not -_MOST - 1 <= whole <= _MOST:
        raise LogError(f"{what} must fit into 64 bits, and {whole} does not")
    return whole


def count(value: Any, what: str) -> int:
    """A whole number from 0."""
    whole = integer(value, what)
    if whole < 0:
        raise LogError(f"{what} must be 0 or more, and {whole} is not")
    return whole


def plain(value: Any, what: str) -> Any:
    """Any value that has a form in JSON, in that form.

    Numbers of numpy and tensors of one element are numbers; paths are texts.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, float):
        return number(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return _plain_dict(value, what)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _plain_list(list(value), what)
    for method in ("tolist", "item"):
        convert = getattr(value, method, None)
        if callable(convert):
            return plain(convert(), what)
    raise LogError(f"{what} has no form in JSON: {_short(value)} is a `{type(value).__name__}`")


def _plain_dict(value: Mapping[Any, Any], what: str) -> dict[str, Any]:
    return {str(key): plain(part, what) for key, part in value.items()}


def _plain_list(value: list[Any], what: str) -> list[Any]:
    return [plain(part, what) for part in value]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
