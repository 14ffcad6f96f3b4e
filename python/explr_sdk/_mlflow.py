"""Lets plain ``mlflow`` calls join the run that explr made in MLflow.

MLflow asks its environment variables where to log, and to which run. Here they
find out when they are first asked: a function that doesn't use MLflow waits
for nothing, and MLflow is not imported.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, Callable, NamedTuple

from explr_sdk._host import Host
from explr_sdk._imports import after_import

#: Seconds to wait for the run at the server. A server that explr starts needs
#: some on a busy machine.
_PATIENCE = 30.0
_PAUSE = 0.05


class Place(NamedTuple):
    """Where MLflow's calls go."""

    uri: str
    #: None where MLflow shall make runs of its own.
    run_id: str | None
    experiment_id: str | None


class Membership:
    """What MLflow is told about this run."""

    def __init__(self, host: Host) -> None:
        """For the run whose journal ``host`` writes."""
        #: The params that explr brings to MLflow.
        self.params: Mapping[str, Any] = {}
        self._host = host
        self._folder = host.path.parent
        self._off = _why_off(self._folder)
        self._finding = Lock()
        self._found: Place | None = None
        self._mlflow: Any = None

    def attach(self, mlflow: Any) -> None:
        """Makes MLflow, now that it is imported, ask here."""
        self._mlflow = mlflow
        try:
            variables = mlflow.environment_variables
            uri, run_id = variables.MLFLOW_TRACKING_URI, variables.MLFLOW_RUN_ID
            client = mlflow.tracking._tracking_service.client.TrackingServiceClient
        except AttributeError as error:
            self._warn(f"calls of `mlflow` can't join this run, MLflow is too old: {error}")
            return
        # A template's import may have chosen one.
        mlflow.set_tracking_uri(None)
        uri.get, run_id.get = self._tracking_uri, self._run_id
        for name, instead in [("set_tracking_uri", _nothing), ("set_experiment", self._experiment)]:
            setattr(mlflow, name, self._stay(getattr(mlflow, name), instead))
        self._keep_params(client)

    @property
    def place(self) -> Place:
        """Where MLflow's calls go; waits for it at first."""
        with self._finding:
            if self._found is None:
                self._found = self._find()
                # For the processes that the train function starts.
                os.environ["MLFLOW_TRACKING_URI"] = self._found.uri
                if self._found.experiment_id is not None:
                    os.environ["MLFLOW_EXPERIMENT_ID"] = self._found.experiment_id
            return self._found

    def _tracking_uri(self) -> str:
        return self.place.uri

    def _run_id(self) -> str | None:
        # A run within the run is one of its own.
        if self._is_off() or self.place.run_id is None or self._mlflow.active_run() is not None:
            return None
        self._mlflow.tracking.fluent._active_experiment_id = None
        # MLflow deletes it when it has begun the run.
        os.environ["MLFLOW_RUN_ID"] = self.place.run_id
        return self.place.run_id

    def _stay(self, call: Callable[..., Any], instead: Callable[[], Any]) -> Callable[..., Any]:
        """Keeps a call from leading MLflow away from the run."""

        @functools.wraps(call)
        def stay(*args: Any, **kwargs: Any) -> Any:
            if self._is_off() or self.place.run_id is None:
                return call(*args, **kwargs)
            what = f"`mlflow.{call.__name__}` is ignored: this run is logged where explr says"
            self._host.log_line("info", what)
            return instead()

        return stay

    def _experiment(self) -> Any:
        return self._mlflow.get_experiment(self.place.experiment_id)

    def _keep_params(self, client: Any) -> None:
        """Leaves out params that explr logs: their texts differ, and MLflow refuses a change."""
        log_param, log_batch = client.log_param, client.log_batch

        def log_param_once(
            this: Any, run_id: str, key: str, value: Any, *more: Any, **named: Any
        ) -> Any:
            if self._knows(run_id, key, value):
                return value
            return log_param(this, run_id, key, value, *more, **named)

        def log_batch_once(
            this: Any, run_id: str, metrics: Any = (), params: Any = (), *more: Any, **named: Any
        ) -> Any:
            params = [each for each in params if not self._knows(run_id, each.key, each.value)]
            return log_batch(this, run_id, metrics, params, *more, **named)

        client.log_param, client.log_batch = log_param_once, log_batch_once

    def _knows(self, run_id: str, key: str, value: Any) -> bool:
        ours = self._found is not None and run_id == self._found.run_id and key in self.params
        return ours and str(self.params[key]) == str(value)

    def _is_off(self) -> bool:
        return self._off is not None and not (self._folder / "mlflow.lock").exists()

    def _warn(self, message: str) -> None:
        self._host.log_line("warning", message)

    def _find(self) -> Place:
        if self._off is not None and self._is_off():
            return self._throw_away(self._off)
        deadline = time.monotonic() + _PATIENCE
        while True:
            shipped = _read(self._folder / "mlflow.json")
            run_id, page = shipped.get("run_id"), shipped.get("run_url")
            if run_id and page:
                return Place(page.partition("/#/")[0], run_id, shipped.get("experiment_id"))
            if time.monotonic() >= deadline:
                return self._throw_away(f"MLflow has not taken the run in {_PATIENCE:.0f} s")
            time.sleep(_PAUSE)

    def _throw_away(self, why: str) -> Place:
        """A folder that MLflow's calls may fill, and that ends with the process."""
        folder = tempfile.mkdtemp(prefix="explr-mlflow-")
        owner = os.getpid()

        def remove() -> None:
            if os.getpid() == owner:
                self._mlflow.end_run()
                shutil.rmtree(folder, ignore_errors=True)

        atexit.register(remove)
        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        self._warn(f"{why}: what is logged by calls of `mlflow` is lost; `ctx.tracker` keeps all")
        return Place(Path(folder).as_uri(), None, None)


def begin(host: Host) -> Membership:
    """Waits for MLflow to be imported, if it ever is."""
    membership = Membership(host)
    after_import("mlflow", membership.attach)
    return membership


def _why_off(folder: Path) -> str | None:
    """Why the run will never be in MLflow; None if it will."""
    config = _read(folder / "run.json").get("config", {}).get("mlflow", {})
    if config.get("enabled") is False:
        return "MLflow is off"
    uri = config.get("tracking_uri") or os.environ.get("MLFLOW_TRACKING_URI")
    if uri and not uri.startswith(("http:", "https:", "$")):
        return "MLflow's address is a folder, which explr does not fill"
    return None


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _nothing() -> None:
    return None
