"""Loads a Keras model that has classes or functions of its own.

A copy of this file lies beside them in the model's folder, as ``loader_module``
of its MLmodel. There it has no explr: it needs MLflow and Keras only.
"""

import importlib
import json
import os
from typing import Any

OWN = "own_objects.json"
"""The own objects of a model: registered name, module, name."""


def _load_pyfunc(path: str) -> Any:
    keras = importlib.import_module("keras")
    with open(os.path.join(path, "data", OWN), encoding="utf-8") as file:
        own = json.load(file)
    for known_as, module, name in own:
        found = getattr(importlib.import_module(module), name)
        # What registers itself is known by now.
        if keras.saving.get_registered_object(known_as) is None:
            keras.saving.get_custom_objects()[known_as] = found
    return importlib.import_module("mlflow.keras")._load_pyfunc(path)
