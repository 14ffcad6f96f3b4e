from __future__ import annotations

import importlib.util
import unittest
from typing import ClassVar

from tests.frameworks.case import LoopCase


class Lightning(LoopCase):
    """The same for both names of the framework."""

    target = "with_lightning:train"

    def test_a_loop_logs_and_reports(self) -> None:
        outcome, run = self.finish()
        self.assertEqual(outcome.get("err"), None)
        self.assertEqual(self.steps(run, "report"), [0, 1, 2, 3])
        self.assertEqual(self.steps(run, "metric", "train_loss_step"), list(range(8)))
        self.assertEqual(self.steps(run, "metric", "val_loss"), [1, 3, 5, 7])
        logged = [each["value"] for each in run.records("metric") if each["key"] == "val_loss"]
        self.assertEqual([each["value"] for each in run.records("report")], logged)
        self.assertLess(logged[-1], logged[0])
        # The module's `lr` is the run's own.
        params = {each["key"]: each["value"] for each in run.records("param")}
        self.assertEqual(params, {"shape": [1, 1]})

    def test_a_trial_without_hope_is_pruned(self) -> None:
        outcome, run = self.finish(prune_at=1)
        self.assertEqual(outcome["pruned"]["step"], 1)
        self.assertEqual(self.steps(run, "report"), [0, 1])

    def test_a_loop_ends_when_it_should_stop(self) -> None:
        self.assertIn("epochs", [each["key"] for each in self.stop().records("metric")])

    def test_a_loop_ends_before_the_time_is_up(self) -> None:
        run = self.run_for(hyperparameters={"epochs": 1_000_000}, time_budget=2.0)
        outcome = self.worker(run, **self.environment).outcome()
        self.assertIn("ok", outcome)

    def test_a_metric_that_is_not_there_is_named(self) -> None:
        outcome, _ = self.finish(hyperparameters={"monitor": "val_los"})
        self.assertIn("no metric `val_los` to report; there is", outcome["err"]["message"])
        self.assertIn("val_loss", outcome["err"]["message"])


@unittest.skipUnless(importlib.util.find_spec("lightning"), "needs lightning")
class NewName(Lightning):
    environment: ClassVar = {"LIGHTNING": "lightning.pytorch"}


@unittest.skipUnless(importlib.util.find_spec("pytorch_lightning"), "needs pytorch_lightning")
class OldName(Lightning):
    environment: ClassVar = {"LIGHTNING": "pytorch_lightning"}


del Lightning
