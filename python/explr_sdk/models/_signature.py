"""What goes into a model and comes out of it, from an example."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import dataclass
from typing import Any, Callable

_COLUMNS = {
    "bool": "boolean",
    "int8": "integer",
    "int16": "integer",
    "int32": "integer",
    "int64": "long",
    "uint8": "integer",
    "uint16": "integer",
    "uint32": "long",
    "float32": "float",
    "float64": "double",
    "str": "string",
    "string": "string",
    "object": "string",
}
"""Types of columns, by those of pandas."""


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs, as far as they are known."""

    inputs: list[dict[str, Any]] | None = None
    outputs: list[dict[str, Any]] | None = None

    @staticmethod
    def of(example: Any, predict: Callable[[Any], Any]) -> Signature:
        """The signature of a model that ``predict`` calls.

        An example that the model can't digest is no reason to lose a trained
        model, and none to have MLflow refuse other data: a warning says what
        is missing.
        """
        if example is None:
            return Signature()
        inputs = _schema(example)
        if inputs is None:
            warnings.warn(
                f"a {type(example).__name__} as input_example gives the model no signature; an "
                "array, a dict of arrays or a DataFrame does",
                stacklevel=2,
            )
            return Signature()
        try:
            return Signature(inputs, _schema(predict(example)))
        except Exception as error:
            warnings.warn(
                f"the model can't be called with the input example, so it gets no signature: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
            return Signature()

    def described(self) -> dict[str, Any]:
        """As MLflow writes it; empty where nothing is known."""
        known = {"inputs": self.inputs, "outputs": self.outputs}
        described = {key: json.dumps(value) for key, value in known.items() if value is not None}
        return {**described, "params": None} if described else {}


def _schema(data: Any) -> list[dict[str, Any]] | None:
    """None for data of which nothing can be said."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _columns(data)
    if isinstance(data, dict):
        tensors = [_tensor(value) for value in data.values()]
        named = [{"name": str(name), **known} for name, known in zip(data, tensors) if known]
        return named if named and len(named) == len(data) else None
    tensor = _tensor(data)
    return None if tensor is None else [tensor]


def _columns(frame: Any) -> list[dict[str, Any]] | None:
    columns = []
    for name, dtype in zip(frame.columns, frame.dtypes):
        kind = _COLUMNS.get(str(dtype))
        if kind is None:
            return None
        columns.append({"type": kind, "name": str(name), "required": True})
    return columns


def _tensor(value: Any) -> dict[str, Any] | None:
    """An array of NumPy, PyTorch, TensorFlow or JAX, whose first dimension is free."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if not shape or dtype is None:
        return None
    # `torch.float32`, `<dtype: 'float32'>` and `float32` are the same.
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    spec = {"dtype": name, "shape": [-1, *(int(size) for size in shape[1:])]}
    return {"type": "tensor", "tensor-spec": spec}
