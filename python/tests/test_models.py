"""Models are saved by one Python and loaded with MLflow by another, elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any

from explr_sdk import models
from explr_sdk.errors import LogError

PACKAGES = Path(__file__).resolve().parent.parent


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) for module in (*modules, "mlflow"))


class ModelsTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.project = self.folder / "project"
        self.elsewhere = self.folder / "elsewhere"
        self.project.mkdir()
        self.elsewhere.mkdir()

    def module(self, name: str, text: str) -> None:
        path = self.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))

    def save(self, script: str) -> str:
        """Runs a script beside the project's modules, with MODELS as the folder to save to."""
        head = "from pathlib import Path\nfrom explr_sdk import models\n"
        path = self.project / "script.py"
        place = f"MODELS = Path({str(self.folder)!r}) / 'models'\n"
        path.write_text(head + place + textwrap.dedent(script))
        return self.python(str(path), cwd=self.project, path=str(PACKAGES))

    def load(self, script: str) -> Any:
        """What a script makes of the models, where there is neither the project nor explr."""
        # The project is gone, as on another machine.
        self.project.rename(self.folder / "gone")
        head = f"import json, mlflow\nMODELS = {str(self.folder / 'models')!r}\n"
        return json.loads(
            self.python("-c", head + textwrap.dedent(script), cwd=self.elsewhere).splitlines()[-1]
        )

    def python(self, *args: str, cwd: Path, path: str = "") -> str:
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        quiet |= {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONDONTWRITEBYTECODE": "1"}
        ended = subprocess.run(
            [sys.executable, *args],
            cwd=cwd,
            env={**os.environ, **quiet, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, ended.stderr)
        return ended.stdout

    def files(self, model: str) -> list[str]:
        folder = self.folder / "models" / model
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def test_what_is_no_model_is_refused_with_another_way(self) -> None:
        with self.assertRaisesRegex(LogError, "builtins.dict as a model.*tracker.log_artifact"):
            models.save({"weights": 1}, self.folder / "model")
        self.assertFalse((self.folder / "model").exists())

    @unittest.skipUnless(has("torch"), "needs torch and mlflow")
    def test_without_cloudpickle_a_model_needs_a_module_of_its_own(self) -> None:
        out = self.save(
            """
            import sys, torch
            sys.modules["cloudpickle"] = None

            class Here(torch.nn.Module):
                pass

            def within():
                class Within(torch.nn.Module):
                    pass
                return Within()

            models.save(torch.nn.Linear(1, 1), MODELS / "linear")
            for model in Here(), within():
                try:
                    models.save(model, MODELS / type(model).__name__)
                except models.LogError as error:
                    print(str(error).endswith("or cloudpickle: `pip install cloudpickle`"))
            """
        )
        self.assertEqual(out.split(), ["True", "True"])
        self.assertNotIn(
            "cloudpickle", (self.folder / "models/linear/requirements.txt").read_text()
        )

    @unittest.skipUnless(has("torch"), "needs torch and mlflow")
    def test_pytorch_models_load_without_the_project(self) -> None:
        self.module("sizes.py", "WIDTH = 4\n")
        self.module("nets/__init__.py", "")
        self.module(
            "nets/small.py",
            """
            import torch
            from explr_sdk import TrainingContext
            from sizes import WIDTH

            class Small(torch.nn.Module):
                def __init__(self):
                    super().__init__()
                    self.linear = torch.nn.Linear(WIDTH, 2)
                    self.dropout = torch.nn.Dropout()
                    self.frozen = torch.nn.BatchNorm1d(2).eval()

                def forward(self, x):
                    return self.frozen(self.dropout(self.linear(x)))
            """,
        )
        self.module("unrelated.py", "raise ImportError\n")
        out = self.save(
            """
            import sys
            import numpy, torch
            from nets.small import Small

            class Here(torch.nn.Module):
                def forward(self, x):
                    return 3 * x

            model = Small()
            example = numpy.ones((3, 4), dtype="float32")
            models.save(model, MODELS / "own", input_example=example)
            assert model.training and model.dropout.training and not model.frozen.training
            models.save(torch.compile(model), MODELS / "compiled")
            script = torch.jit.trace(model.eval(), torch.ones(3, 4))
            models.save(script, MODELS / "script", input_example=torch.ones(3, 4))
            models.save(Here(), MODELS / "main")
            # As it would be for a model on a GPU.
            from explr_sdk.models import _torch
            _torch._is_elsewhere = lambda model: True
            models.save(model, MODELS / "moved")
            models.save(script, MODELS / "moved script")
            # A model that the example does not fit is saved all the same.
            models.save(model, MODELS / "misfit", input_example=torch.ones(3, 9))
            assert "mlflow" not in sys.modules
            print(model(torch.ones(1, 4)).tolist())
            """
        )
        code = ["code/nets/__init__.py", "code/nets/small.py", "code/sizes.py"]
        others = ["MLmodel", "data/model.pth", "data/pickle_module_info.txt"]
        others += ["python_env.yaml", "requirements.txt"]
        own = [file for file in self.files("own") if not file.startswith("code/explr_sdk/")]
        self.assertEqual(own, sorted(code + others))
        self.assertEqual(self.files("script"), sorted(others))
        loaded = self.load(
            """
            import numpy, torch
            import mlflow.pytorch
            x = numpy.ones((1, 4), dtype="float32")
            told = {}
            names = ["own", "compiled", "script", "moved", "moved script", "main", "misfit"]
            for name in names:
                path = f"{MODELS}/{name}"
                told[name] = mlflow.pyfunc.load_model(path).predict(x).tolist()
                model = mlflow.pytorch.load_model(path)
                assert model(torch.tensor(x)).tolist() == told[name], name
            schema = mlflow.models.get_model_info(f"{MODELS}/own").signature
            told["inputs"] = schema.inputs.to_dict()
            told["outputs"] = schema.outputs.to_dict()
            script = mlflow.models.get_model_info(f"{MODELS}/script").signature
            assert script == schema
            told["misfit"].append(mlflow.models.get_model_info(f"{MODELS}/misfit").signature)
            print(json.dumps(told))
            """
        )
        expected = json.loads(out.splitlines()[-1])
        for name in ("own", "compiled", "script", "moved", "moved script"):
            self.assertEqual(loaded[name], expected, name)
        self.assertEqual(loaded["misfit"], [*expected, None])
        self.assertEqual(loaded["main"], [[3.0] * 4])
        tensor = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}
        self.assertEqual(loaded["inputs"], [tensor])
        tensor["tensor-spec"] = {"dtype": "float32", "shape": [-1, 2]}
        self.assertEqual(loaded["outputs"], [tensor])

    @unittest.skipUnless(has("sklearn", "pandas"), "needs scikit-learn and mlflow")
    def test_scikit_learn_models_load_without_the_project(self) -> None:
        self.module(
            "steps.py",
            """
            from sklearn.base import BaseEstimator, TransformerMixin

            class Doubled(TransformerMixin, BaseEstimator):
                def fit(self, x, y=None):
                    return self

                def transform(self, x):
                    return 2 * x

            def negative(x):
                return -x
            """,
        )
        out = self.save(
            """
            import numpy, pandas
            from sklearn.linear_model import LinearRegression
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import FunctionTransformer
            from steps import Doubled, negative

            x = numpy.arange(20.0).reshape(10, 2) ** 2
            y = x[:, 0] + 3
            pipeline = make_pipeline(Doubled(), FunctionTransformer(negative), LinearRegression())
            models.save(pipeline.fit(x, y), MODELS / "pipeline", input_example=x)
            frame = pandas.DataFrame(x, columns=["a", "b"])
            models.save(LinearRegression().fit(frame, y), MODELS / "frame", input_example=frame)
            print(pipeline.predict(x).round(6).tolist())
            """
        )
        self.assertIn("code/steps.py", self.files("pipeline"))
        loaded = self.load(
            """
            import numpy, pandas
            import mlflow.sklearn
            x = numpy.arange(20.0).reshape(10, 2) ** 2
            frame = pandas.DataFrame(x, columns=["a", "b"])
            told = {}
            for name, data in [("pipeline", x), ("frame", frame)]:
                path = f"{MODELS}/{name}"
                told[name] = mlflow.pyfunc.load_model(path).predict(data).round(6).tolist()
                model = mlflow.sklearn.load_model(path)
                assert model.predict(data).round(6).tolist() == told[name], name
            signature = mlflow.models.get_model_info(f"{MODELS}/frame").signature
            told["columns"] = signature.inputs.input_names()
            print(json.dumps(told))
            """
        )
        expected = json.loads(out)
        self.assertEqual(loaded["pipeline"], expected)
        self.assertEqual(loaded["frame"], expected)
        self.assertEqual(loaded["columns"], ["a", "b"])

    @unittest.skipUnless(has("tensorflow", "keras"), "needs TensorFlow and mlflow")
    def test_keras_and_tensorflow_models_load_without_the_project(self) -> None:
        self.module(
            "parts.py",
            """
            import keras

            class Scaled(keras.layers.Layer):
                def call(self, x):
                    return 2 * x

            @keras.saving.register_keras_serializable(package="parts")
            def square(x):
                return x * x
            """,
        )
        out = self.save(
            """
            import numpy, keras, tensorflow
            from parts import Scaled, square

            example = numpy.ones((3, 4), dtype="float32")
            plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
            plain.compile("adam", "mse")
            models.save(plain, MODELS / "plain", input_example=example)
            layers = [keras.Input((4,)), Scaled(), keras.layers.Dense(2, activation=square)]
            own = keras.Sequential(layers)
            models.save(own, MODELS / "own", input_example=example)

            class Module(tensorflow.Module):
                def __init__(self):
                    super().__init__()
                    self.w = tensorflow.Variable(tensorflow.ones((4, 2)))

                @tensorflow.function(
                    input_signature=[tensorflow.TensorSpec([None, 4], tensorflow.float32)])
                def __call__(self, x):
                    return x @ self.w

            models.save(Module(), MODELS / "module", input_example=example)
            told = [model(example).numpy().round(5).tolist() for model in (plain, own, Module())]
            import json
            print(json.dumps(told))
            """
        )
        loaded = self.load(
            """
            import numpy
            import mlflow.keras, mlflow.tensorflow
            x = numpy.ones((3, 4), dtype="float32")
            told = []
            for name in ["plain", "own", "module"]:
                model = mlflow.pyfunc.load_model(f"{MODELS}/{name}")
                told.append(numpy.asarray(model.predict(x)).round(5).tolist())
                signature = model.metadata.signature
                shapes = [part.inputs[0].shape for part in (signature.inputs, signature.outputs)]
                assert shapes == [(-1, 4), (-1, 2)], shapes
            for load in (mlflow.keras.load_model, mlflow.tensorflow.load_model):
                assert load(f"{MODELS}/plain").predict(x).round(5).tolist() == told[0]
            module = mlflow.tensorflow.load_model(f"{MODELS}/module")
            assert module(x).numpy().round(5).tolist() == told[2]
            print()
            print(json.dumps(told))
            """
        )
        self.assertEqual(loaded, json.loads(out.splitlines()[-1]))


if __name__ == "__main__":
    unittest.main()
