"""TensorFlow: a `tf.Module` as a SavedModel."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from explr_sdk.errors import LogError
from explr_sdk.models._folder import Flavor
from explr_sdk.models._keras import backend_package
from explr_sdk.models._signature import Signature


def knows(model: Any) -> bool:
    """Whether it is one, which only an imported TensorFlow can have made."""
    tensorflow = sys.modules.get("tensorflow")
    return tensorflow is not None and isinstance(model, tensorflow.Module)


def write(model: Any, folder: Path, example: Any) -> Flavor:
    """Writes the model as `mlflow.tensorflow` reads it."""
    tensorflow = sys.modules["tensorflow"]
    try:
        tensorflow.saved_model.save(model, str(folder / "tf2model"))
    except OSError:
        raise
    except Exception as error:
        raise LogError(f"TensorFlow can't save the model: {error}") from error
    return Flavor(
        name="tensorflow",
        options={"saved_model_dir": "tf2model", "model_type": "tf2-module"},
        pyfunc={},
        packages=backend_package("tensorflow"),
        signature=Signature.of(example, lambda data: model(tensorflow.convert_to_tensor(data))),
    )
