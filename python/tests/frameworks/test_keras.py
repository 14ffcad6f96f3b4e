from __future__ import annotations

import importlib.util
import unittest

from tests.frameworks.case import LoopCase


@unittest.skipUnless(importlib.util.find_spec("keras"), "needs keras")
class KerasTest(LoopCase):
    target = "with_keras:train"

    def test_a_loop_logs_reports_and_saves(self) -> None:
        outcome, run = self.finish()
        self.assertEqual(outcome.get("err"), None)
        for name in ("loss", "mae", "val_loss", "val_mae"):
            self.assertEqual(self.steps(run, "metric", name), [0, 1, 2, 3])
        logged = [each["value"] for each in run.records("metric") if each["key"] == "val_loss"]
        self.assertEqual([each["value"] for each in run.records("report")], logged)
        saved = [(each["path"], each["epoch"], each["step"]) for each in run.records("checkpoint")]
        self.assertEqual(
            saved, [(f"epoch-{epoch}.keras", epoch, 2 * epoch) for epoch in range(1, 5)]
        )
        left = sorted(path.name for path in (self.folder / "checkpoints").iterdir())
        self.assertEqual(left, ["epoch-3.keras", "epoch-4.keras"])

    def test_a_run_goes_on_where_it_was(self) -> None:
        outcome, run = self.finish()
        straight = outcome["ok"]["primary_metric"]
        run.journal.unlink()
        self.finish(hyperparameters={"epochs": 2})
        outcome, run = self.finish(attempt=2)
        begins = [each["value"] for each in run.records("param") if each["key"] == "begins"]
        self.assertEqual(begins, [[0, 0], [2, 4]])
        self.assertEqual(self.steps(run, "metric", "val_loss"), [0, 1, 2, 3])
        self.assertAlmostEqual(outcome["ok"]["primary_metric"], straight, places=6)

    def test_a_trial_without_hope_is_pruned(self) -> None:
        outcome, run = self.finish(prune_at=1)
        self.assertEqual(outcome["pruned"]["step"], 1)
        self.assertEqual(self.steps(run, "report"), [0, 1])

    def test_a_loop_ends_when_it_should_stop(self) -> None:
        self.assertIn("epochs", [each["key"] for each in self.stop().records("metric")])

    def test_a_loop_ends_before_the_time_is_up(self) -> None:
        run = self.run_for(hyperparameters={"epochs": 1_000_000}, time_budget=2.0)
        self.assertIn("ok", self.worker(run).outcome())
