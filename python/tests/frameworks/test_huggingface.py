from __future__ import annotations

import importlib.util
import unittest

from tests.frameworks.case import LoopCase


@unittest.skipUnless(importlib.util.find_spec("transformers"), "needs transformers")
class HuggingFaceTest(LoopCase):
    target = "with_huggingface:train"

    def test_a_loop_logs_and_reports(self) -> None:
        outcome, run = self.finish()
        self.assertEqual(outcome.get("err"), None)
        self.assertEqual(self.steps(run, "report"), [2, 4, 6, 8])
        self.assertEqual(self.steps(run, "metric", "loss"), list(range(1, 9)))
        logged = [each["value"] for each in run.records("metric") if each["key"] == "eval_loss"]
        reported = [each["value"] for each in run.records("report")]
        self.assertEqual(logged[:4], reported)
        self.assertLess(reported[-1], reported[0])

    def test_a_trial_without_hope_is_pruned(self) -> None:
        outcome, run = self.finish(prune_at=1)
        self.assertEqual(outcome["pruned"]["step"], 4)
        self.assertEqual(self.steps(run, "report"), [2, 4])

    def test_a_loop_ends_when_it_should_stop(self) -> None:
        self.assertIn("steps", [each["key"] for each in self.stop().records("metric")])

    @unittest.skipUnless(importlib.util.find_spec("mlflow"), "needs mlflow")
    def test_the_trainers_own_integration_of_mlflow_logs_nothing(self) -> None:
        outcome, run = self.finish(hyperparameters={"report_to": ["mlflow"]})
        self.assertEqual(outcome.get("err"), None)
        # Its first call would have waited for MLflow and warned.
        self.assertEqual(run.records("log"), [])
        self.assertEqual(self.steps(run, "metric", "loss"), list(range(1, 9)))
