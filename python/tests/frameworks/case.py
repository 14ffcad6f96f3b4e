"""What the loops of all frameworks have to do."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.orchestrator import Case, Run


class LoopCase(Case):
    """Runs one train function, as a trial or alone."""

    target = ""
    environment: ClassVar[dict[str, str]] = {}

    def run_for(self, **context: Any) -> Run:
        given = {"epochs": 4, "lr": 0.1, **context.pop("hyperparameters", {})}
        return Run(self.folder, self.target, hyperparameters=given, **context)

    def finish(self, prune_at: int | None = None, **context: Any) -> tuple[dict[str, Any], Run]:
        """The outcome, when the report of this number, from 0, prunes the trial."""
        trial = {"study": "s", "id": 1, "number": 0}
        run = self.run_for(trial=trial, **context)
        worker = self.worker(run, **self.environment)
        asked = 0
        for message in worker.messages():
            if message["type"] == "finished":
                break
            if message["type"] == "ask":
                worker.send(
                    {"type": "answer", "answer": "prune" if asked == prune_at else "continue"}
                )
                asked += 1
        outcome: dict[str, Any] = message["outcome"]
        return outcome, run

    def stop(self) -> Run:
        """Asks a run of many epochs to stop when it has logged something."""
        run = self.run_for(hyperparameters={"epochs": 1_000_000})
        worker = self.worker(run, **self.environment)
        for message in worker.messages():
            if message["type"] == "progress" and message["metrics_logged"]:
                worker.send({"type": "stop"})
            if message["type"] == "finished":
                break
        self.assertTrue(message["outcome"]["ok"]["stopped_early"], message)
        return run

    def steps(self, run: Run, kind: str, key: str | None = None) -> list[int]:
        return [each["step"] for each in run.records(kind) if key in (None, each.get("key"))]
