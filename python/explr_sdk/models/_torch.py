"""PyTorch: modules by pickle, TorchScript as it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explr_sdk.models._folder import Flavor
from explr_sdk.models._pickled import Pickles
from explr_sdk.models._signature import Signature


def knows(model: Any) -> bool:
    """Whether it is one, which only an imported torch can have made."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(model, torch.nn.Module)


def write(model: Any, folder: Path, example: Any) -> Flavor:
    """Writes the model as `mlflow.pytorch` reads it, with all its tensors on the CPU."""
    torch = sys.modules["torch"]
    model = _unwrapped(model)
    data = folder / "data"
    data.mkdir()
    pickles = Pickles()
    path = data / "model.pth"
    if isinstance(model, torch.jit.ScriptModule):
        torch.jit.save(model, path)
        if _is_elsewhere(model):
            torch.jit.save(torch.jit.load(path, map_location="cpu"), path)
    else:
        _save(model, path, pickles)
    # Names the module that reads the file; without it, MLflow refuses.
    (data / "pickle_module_info.txt").write_text("mlflow.pytorch.pickle_module")
    return Flavor(
        name="pytorch",
        options={"model_data": "data", "pytorch_version": str(torch.__version__)},
        pyfunc={"data": "data", "pickle_module_name": "mlflow.pytorch.pickle_module"},
        packages=["torch", "numpy", *pickles.packages()],
        code=pickles.code(folder),
        signature=Signature.of(example, lambda data: _predict(model, data)),
    )


def _unwrapped(model: Any) -> Any:
    """Without what `torch.compile` and data-parallel training put around a model."""
    torch = sys.modules["torch"]
    parallel = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
    while True:
        if isinstance(model, parallel):
            model = model.module
        elif hasattr(model, "_orig_mod"):
            model = model._orig_mod
        else:
            return model


def _save(model: Any, path: Path, pickles: Pickles) -> None:
    torch = sys.modules["torch"]
    try:
        torch.save(model, path, pickle_module=pickles.module)
        if _is_elsewhere(model):
            # Else a machine without that GPU could not load it. The model itself is left where
            # it is, and no memory of the GPU is taken for a copy.
            copy = torch.load(
                path, map_location="cpu", pickle_module=pickles.module, weights_only=False
            )
            torch.save(copy, path, pickle_module=pickles.module)
    except OSError:
        raise
    except Exception as error:
        raise pickles.refusal(model, error) from error


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.parameters()
    yield from model.buffers()


def _is_elsewhere(model: Any) -> bool:
    return any(tensor.device.type != "cpu" for tensor in _tensors(model))


def _predict(model: Any, data: Any) -> Any:
    torch = sys.modules["torch"]
    device = next((tensor.device for tensor in _tensors(model)), None)

    def tensor(value: Any) -> Any:
        return torch.as_tensor(value, device=device)

    with _evaluating(model), torch.no_grad():
        if isinstance(data, dict):
            return model(**{name: tensor(value) for name, value in data.items()})
        return model(tensor(data.to_numpy("float32") if hasattr(data, "to_numpy") else data))


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout and the like; afterwards each part is as it was."""
    training = [part for part in model.modules() if part.training]
    model.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
