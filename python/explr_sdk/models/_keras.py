"""Keras 3, on any of its backends."""

from __future__ import annotations

import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from explr_sdk.errors import LogError
from explr_sdk.models import _keras_loader as keras_loader
from explr_sdk.models._code import copy_code, is_in
from explr_sdk.models._folder import Flavor, installed
from explr_sdk.models._signature import Signature

_LOADER = "explr_keras_loader"
"""What the loader's copy in a model's folder is called."""


def knows(model: Any) -> bool:
    """Whether it is one, which only an imported Keras can have made."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(model, keras.Model)


def write(model: Any, folder: Path, example: Any) -> Flavor:
    """Writes the model as `mlflow.keras` and `mlflow.tensorflow` read it."""
    keras = sys.modules["keras"]
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
    code = _copy_own_code(path, folder)
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
        pyfunc={} if code is None else {"loader_module": _LOADER},
        packages=["keras", *backend_package(backend)],
        code=code,
        signature=Signature.of(example, lambda data: model(data, training=False)),
    )


def backend_package(backend: str) -> list[str]:
    """The installed package of a backend."""
    names = [f"{backend}-cpu", backend] if backend == "tensorflow" else [backend]
    return [name for name in names if installed(name)][:1]


def _copy_own_code(path: Path, folder: Path) -> str | None:
    """Takes along the own classes and functions of a saved model.

    Keras finds only what was registered with it, so that a loader has to
    register them before.
    """
    with zipfile.ZipFile(path) as archive:
        names = sorted(set(_named(json.loads(archive.read("config.json")))))
    code = copy_code({module for _, module, _ in names}, folder)
    if code is not None:
        own = [name for name in names if is_in(name[1], folder / code)]
        (folder / "data" / keras_loader.OWN).write_text(json.dumps(own))
        shutil.copyfile(keras_loader.__file__, folder / code / f"{_LOADER}.py")
    return code


def _named(config: Any) -> Iterator[tuple[str, str, str]]:
    """What a model's configuration takes from elsewhere: registered name, module, name."""
    if isinstance(config, dict):
        module, name, known_as = map(config.get, ("module", "class_name", "registered_name"))
        if name == "function":
            name = known_as = config.get("config")
        if isinstance(module, str) and isinstance(name, str) and isinstance(known_as, str):
            yield known_as, module, name
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _named(part)
