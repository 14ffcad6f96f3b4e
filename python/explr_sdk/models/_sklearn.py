"""scikit-learn, and what keeps to its way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from explr_sdk.models._folder import Flavor, installed
from explr_sdk.models._pickled import Pickles
from explr_sdk.models._signature import Signature


def knows(model: Any) -> bool:
    """Whether it is one, which only an imported scikit-learn can have made."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(model, base.BaseEstimator)


def write(model: Any, folder: Path, example: Any) -> Flavor:
    """Writes the model as `mlflow.sklearn` reads it."""
    pickles = Pickles()
    try:
        pickles.dump(model, folder / "model.pkl")
    except OSError:
        raise
    except Exception as error:
        raise pickles.refusal(model, error) from error
    return Flavor(
        name="sklearn",
        options={
            "pickled_model": "model.pkl",
            "serialization_format": "cloudpickle" if pickles.by_value else "pickle",
            "sklearn_version": installed("scikit-learn"),
        },
        pyfunc={"model_path": "model.pkl", "predict_fn": "predict"},
        packages=["scikit-learn", *pickles.packages()],
        code=pickles.code(folder),
        signature=Signature.of(example, model.predict),
    )
