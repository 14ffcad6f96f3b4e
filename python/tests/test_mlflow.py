from __future__ import annotations

import importlib.util
import json
import time
import unittest
from typing import Any

from tests.orchestrator import Case, Run


@unittest.skipUnless(importlib.util.find_spec("mlflow"), "needs mlflow")
class MlflowTest(Case):
    """Plain calls of MLflow join the run that explr made; a database stands for the server."""

    client: Any

    def member(self, target: str, **context: Any) -> tuple[Run, Any, dict[str, Any]]:
        """A run that explr brings to MLflow."""
        from mlflow import MlflowClient

        run = Run(self.folder, target, **context)
        uri = f"sqlite:///{self.folder}/mlflow.db"
        self.client = MlflowClient(tracking_uri=uri)
        artifacts = (self.folder / "of-mlflow").as_uri()
        experiment = self.client.create_experiment("tests", artifact_location=artifacts)
        made = self.client.create_run(experiment)
        cursor = {
            "run_id": made.info.run_id,
            "run_url": f"{uri}/#/experiments/{experiment}/runs/{made.info.run_id}",
            "experiment_id": experiment,
        }
        return run, made, cursor

    def runs(self) -> list[Any]:
        experiments = [each.experiment_id for each in self.client.search_experiments()]
        return list(self.client.search_runs(experiments))

    def test_plain_calls_join_the_run(self) -> None:
        given = {"lr": 1e-5, "layers": [64, 32], "flag": True}
        run, made, cursor = self.member("with_mlflow:plain_calls", hyperparameters=given)
        for key, text in [("lr", "1e-5"), ("layers", "[64,32]"), ("flag", "true")]:
            self.client.log_param(made.info.run_id, key, text)
        worker = self.worker(run)
        # The run is there when MLflow has answered, and not before.
        time.sleep(1)
        (self.folder / "mlflow.json").write_text(json.dumps(cursor))
        outcome = worker.outcome()
        self.assertEqual(outcome.get("err"), None)
        params = {each["key"]: each["value"] for each in run.records("param")}
        self.assertEqual(params["run"], made.info.run_id)
        self.assertEqual(params["experiment"], "tests")
        self.assertEqual(params["inherited"], f"sqlite:///{self.folder}/mlflow.db")
        warnings = [each["message"] for each in run.records("log")]
        self.assertEqual(len(warnings), 2, warnings)
        self.assertIn("`mlflow.set_tracking_uri` is ignored", warnings[0])
        found = self.client.get_run(made.info.run_id)
        self.assertEqual(found.data.metrics, {"loss": 0.25})
        self.assertEqual(found.data.tags["twice"], "yes")
        self.assertEqual(
            found.data.params, {"lr": "1e-5", "layers": "[64,32]", "flag": "true", "more": "1e-06"}
        )
        others = [each for each in self.runs() if each.info.run_id != made.info.run_id]
        self.assertEqual([each.data.metrics for each in others], [{"inner": 1}])
        self.assertEqual(others[0].data.tags["mlflow.parentRunId"], made.info.run_id)

    def test_autologging_joins_the_run(self) -> None:
        run, made, cursor = self.member("with_mlflow:autologs", hyperparameters={"C": 0.5})
        (self.folder / "mlflow.json").write_text(json.dumps(cursor))
        outcome = self.worker(run).outcome()
        self.assertEqual(outcome.get("err"), None)
        found = self.client.get_run(made.info.run_id)
        self.assertIn("training_score", found.data.metrics)
        self.assertEqual(found.data.params["fit_intercept"], "True")
        self.assertEqual(len(self.runs()), 1)

    def test_a_forked_worker_joins_the_run(self) -> None:
        run, made, cursor = self.member("with_mlflow:autologs", hyperparameters={"C": 0.5})
        (self.folder / "mlflow.json").write_text(json.dumps(cursor))
        template = self.template("with_mlflow:autologs")
        self.assertEqual(template.receive()["type"], "ready")
        line, _ = template.fork(run)
        self.addCleanup(line.close)
        self.assertIn("ok", line.until("finished")["outcome"])
        found = self.client.get_run(made.info.run_id)
        self.assertIn("training_score", found.data.metrics)

    def test_without_mlflow_its_calls_are_thrown_away(self) -> None:
        off = {"config": {"mlflow": {"enabled": False}}}
        (self.folder / "run.json").write_text(json.dumps(off))
        run = Run(self.folder, "with_mlflow:autologs", hyperparameters={"C": 0.5})
        outcome = self.worker(run, TMPDIR=str(self.folder)).outcome()
        self.assertEqual(outcome.get("err"), None)
        [warning] = run.records("log")
        self.assertIn(
            "MLflow is off: what is logged by calls of `mlflow` is lost", warning["message"]
        )
        self.assertEqual(list(self.folder.glob("explr-mlflow-*")), [])
        self.assertNotIn("Traceback", (self.folder / "worker.log").read_text())

    def test_a_function_that_makes_no_calls_waits_for_nothing(self) -> None:
        run = Run(self.folder, "with_mlflow:uses_nothing")
        self.assertEqual(self.worker(run).outcome()["ok"]["primary_metric"], 1.0)
        # After waiting in vain there would be a warning.
        self.assertEqual(run.records("log"), [])
