"""Saves models as folders that MLflow loads, without MLflow.

``ctx.tracker.log_model(model)`` is the usual way here. The folder is written
by hand: it is a few small text files around the framework's own format, while
importing MLflow and letting it look for requirements takes seconds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from explr_sdk.errors import LogError
from explr_sdk.models import _keras, _sklearn, _tensorflow, _torch
from explr_sdk.models._folder import Flavor

__all__ = ["save"]

_Knows = Callable[[Any], bool]
_Write = Callable[[Any, Path, Any], Flavor]

# A Keras model may be a `torch.nn.Module` or `tf.Module` too, so it comes first.
_KINDS: tuple[tuple[_Knows, _Write], ...] = (
    (_keras.knows, _keras.write),
    (_torch.knows, _torch.write),
    (_tensorflow.knows, _tensorflow.write),
    (_sklearn.knows, _sklearn.write),
)


def save(model: Any, folder: Path, *, input_example: Any = None) -> None:
    """Writes ``folder``, which must not exist, so that MLflow can load the model from it.

    Knows ``torch.nn.Module``, TorchScript, Keras 3, ``tf.Module`` and
    scikit-learn, also of other libraries that keep to scikit-learn's way. With
    an input example, such as one batch, the model has a signature.
    """
    write = _writer(model)
    if write is None:
        raise LogError(
            f"can't log a {type(model).__module__}.{type(model).__qualname__} as a model: it is "
            "none of PyTorch, Keras, TensorFlow or scikit-learn. Save it by its own means and log "
            "the file with `tracker.log_artifact`, or the folder of an `mlflow.*.save_model`"
        )
    folder.mkdir(parents=True)
    # Last, as it makes the folder a model.
    write(model, folder, input_example).write_to(folder)


def _writer(model: Any) -> _Write | None:
    return next((write for knows, write in _KINDS if knows(model)), None)
