"""Logs metrics, params, tags, artifacts, data sets and models of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import RLock
from typing import Any, Callable, Union

from explr_sdk._artifacts import ArtifactDir
from explr_sdk._host import Host, same
from explr_sdk._names import check_artifact, check_key
from explr_sdk._numbers import integer, plain, real
from explr_sdk.errors import LogError

PathLike = Union[str, "os.PathLike[str]"]


class Tracker:
    """Logs metrics, params, tags, artifacts and data sets; ``ctx.tracker`` is one.

    Usable from any thread of the train function's process. A call that
    returned has been written to the run's journal: it survives the death of
    every process, and reaches MLflow whenever that answers. None waits for a
    server.
    """

    def __init__(self, host: Host, artifact_dir: Path, hyperparameters: Mapping[str, Any]) -> None:
        """Made by the worker."""
        self._host = host
        self._artifacts = ArtifactDir(artifact_dir)
        #: What was logged as a param, hyperparameters included.
        self.params: dict[str, Any] = flatten(hyperparameters)
        self._lock = RLock()

    def log_metric(self, name: str, value: Any, step: int | None = None) -> None:
        """Logs the value of a metric at a step (an epoch, a batch, ...).

        The value is a number, a 0-d array or a tensor of one element, and may
        be NaN or infinite. Without a step it is the one after the last of this
        name, from 0.
        """
        if type(value) is not float:
            value = real(value, f"the value of the metric `{name}`")
        if step is not None and type(step) is not int:
            step = integer(step, f"the step of the metric `{name}`")
        if step is not None and not -(2**63) <= step < 2**63:
            integer(step, f"the step of the metric `{name}`")
        self._host.log_metric(name, value, step)

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs several metrics of one step, in one write: all or none."""
        values = {
            name: real(value, f"the value of the metric `{name}`")
            for name, value in metrics.items()
        }
        if step is not None:
            step = integer(step, "the step")
        self._host.log_metrics(values, step)

    def log_param(self, name: str, value: Any) -> None:
        """Logs a parameter, any value that has a form in JSON.

        The hyperparameters are logged already. The same value twice is written
        once; another value for the same name is an error.
        """
        check_key("param", name)
        value = plain(value, f"the param `{name}`")
        with self._lock:
            if name not in self.params:
                self._host.log_param(name, value)
                self.params[name] = value
            elif not same(self.params[name], value):
                raise LogError(
                    f"the param `{name}` is {_json(self.params[name])} and can't become "
                    f"{_json(value)}: a param is logged once; log what changes as a metric "
                    "or a tag"
                )

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs several parameters."""
        for name, value in params.items():
            self.log_param(name, value)

    def set_tag(self, name: str, value: object) -> None:
        """Sets a tag to a text; the last value of a name counts."""
        check_key("tag", name)
        self._host.log_event({"type": "tag", "key": name, "value": str(value)})

    def log_artifact(self, path: PathLike, dest: str | None = None) -> None:
        """Copies a file, or a folder with all below it, to the run's artifacts.

        ``dest`` is its path there, such as ``plots/roc.png``; without it, or if
        it ends with ``/``, the file or folder keeps its name.
        """
        source = Path(path)
        name = dest or ""
        if not name or name.endswith("/"):
            name += source.name or source.resolve().name
        self._artifacts.copy(source, name)
        self._record(name)

    def log_figure(self, figure: Any, dest: str) -> None:
        """Writes a picture to the run's artifacts, such as ``plots/loss.png``.

        The figure is one of matplotlib (anything with ``savefig``), the bytes
        of a picture, or the path of its file.
        """
        savefig = getattr(figure, "savefig", None)
        if callable(savefig):
            self._make(dest, savefig)
        elif isinstance(figure, (bytes, bytearray, memoryview)):
            content = bytes(figure)
            self._make(dest, lambda target: target.write_bytes(content))
        elif isinstance(figure, (str, os.PathLike)):
            self.log_artifact(figure, dest)
        else:
            raise LogError(
                f"a `{type(figure).__name__}` is no figure: it has no `savefig`; give the bytes "
                "of a picture or the path of its file"
            )

    def log_text(self, text: str, dest: str) -> None:
        """Writes a text to the run's artifacts."""
        self._make(dest, lambda target: target.write_bytes(text.encode()))

    def log_dict(self, value: Any, dest: str) -> None:
        """Writes a dict or list to the run's artifacts, as indented JSON.

        ``dest`` ends with ``.json``, or with ``.yaml``: JSON is YAML too.
        """
        content = json.dumps(plain(value, f"`{dest}`"), indent=2, ensure_ascii=False)
        self.log_text(content + "\n", dest)

    def log_dataset(
        self,
        name: str,
        digest: str,
        *,
        context: str | None = None,
        source: str | None = None,
        schema: Any = None,
        profile: Any = None,
    ) -> None:
        """Logs the description of a data set, in MLflow's terms.

        ``digest`` identifies the content, any text of up to 36 characters;
        ``context`` is what it is used for (``training``, ``validation``,
        ``test``), ``source`` a path or URL, ``schema`` and ``profile`` values
        that have a form in JSON.
        """
        for field, text, limit in (("name", name, 500), ("digest", digest, 36)):
            if not 1 <= len(text) <= limit:
                raise LogError(
                    f"the {field} of the data set `{name}` must have 1 to {limit} characters"
                )
        more = {"context": context, "source": source, "schema": schema, "profile": profile}
        what = f"the description of the data set `{name}`"
        given = {key: plain(value, what) for key, value in more.items() if value is not None}
        self._host.log_event({"type": "dataset", "name": name, "digest": digest, **given})

    def log_model(self, model: Any, name: str = "model", *, input_example: Any = None) -> None:
        """Writes a model to the run's artifacts, as a folder that MLflow can load.

        Knows models of PyTorch, TensorFlow and Keras, and scikit-learn. An
        input example gives the model a signature.
        """
        from explr_sdk import models

        self._make(name, lambda folder: models.save(model, folder, input_example=input_example))

    def _make(self, dest: str, write: Callable[[Path], object]) -> None:
        check_artifact(dest)
        self._artifacts.place(dest, write)
        self._record(dest)

    def _record(self, name: str) -> None:
        self._host.log_event({"type": "artifact", "path": name})


def flatten(hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """Nested hyperparameters as params, with dotted names."""
    flat: dict[str, Any] = {}
    for key, value in hyperparameters.items():
        if isinstance(value, dict) and value:
            flat.update({f"{key}.{inner}": part for inner, part in flatten(value).items()})
        else:
            flat[key] = value
    return flat


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
