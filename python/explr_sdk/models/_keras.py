"""Keras 3, on any of its backends."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any, Iterator

from explr_sdk.errors import LogError
from explr_sdk.models._code import copy_code
from explr_sdk.models._folder import Flavor, installed
from explr_sdk.models._signature import Signature


def knows(model: Any) -> bool:
    """Whether it is one, which only an imported Keras can have made."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def write(model: Any, folder: Path, example: Any) -> Flavor:
    """Writes the model as `mlflow.keras` and `mlflow.tensorflow` read it."""
    import keras

    if keras.__version__.startswith("2."):
        raise LogError(
            f"Keras {keras.__version__} models can't be logged, only those of Keras 3. Save it "
            "with `mlflow.tensorflow.save_model` and log the folder with `tracker.log_artifact`"
        )
    data = folder / "data"
    data.mkdir()
    path = data / "model.keras"
    try:
        model.save(path)
    except OSError:
        raise
    except Exception as error:
        raise LogError(f"Keras can't save the model {model.name}: {error}") from error
    (data / "keras_module.txt").write_text("keras")
    (data / "save_format.txt").write_text("tf")
    backend = keras.backend.backend()
    return Flavor(
        name="keras",
        options={
            "data": "data",
            "keras_version": keras.__version__,
            "keras_backend": backend,
            "save_exported_model": False,
            # These two are for `mlflow.tensorflow.load_model`.
            "model_type": "keras",
            "save_format": "tf",
        },
        pyfunc={},
        packages=["keras", *backend_package(backend)],
        code=copy_code(_modules(path), folder),
        signature=Signature.of(example, lambda data: model(data, training=False)),
    )


def backend_package(backend: str) -> "list[str]":
    """The installed package of a backend."""
    names = [f"{backend}-cpu", backend] if backend == "tensorflow" else [backend]
    return [name for name in names if installed(name)][:1]


def _modules(path: Path) -> "set[str]":
    """The modules that a saved model takes its classes and functions from."""
    with zipfile.ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return set(_named(config))


def _named(config: Any) -> Iterator[str]:
    if isinstance(config, dict):
        if isinstance(config.get("module"), str):
            yield config["module"]
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _named(part)
