from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path

from tests.orchestrator import Case, Run, is_gone, wait_for

IDS = [f"01999999-aaaa-7bbb-8ccc-{number:012}" for number in range(8)]


class TemplateTest(Case):
    def run_with(self, run_id: str, target: str = "train:echo") -> Run:
        folder = self.folder / run_id
        folder.mkdir()
        return Run(folder, target, run_id=run_id)

    def test_forked_workers_run_like_others_and_each_is_marked_as_its_run(self) -> None:
        template = self.template("train:echo")
        self.assertEqual(template.receive(), {"type": "ready"})
        for run_id in IDS[:3]:
            run = self.run_with(run_id)
            line, pid = template.fork(run, {"OF_THIS_RUN": run_id})
            line.until("started")
            self.assertEqual(os.getpgid(pid), pid)
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            self.assertIn(f"EXPLR_RUN_ID={run_id}\0".encode(), environ)
            line.send({"type": "stop"})
            outcome = line.until("finished")["outcome"]
            self.assertEqual(outcome["ok"]["primary_metric"], 0.5)
            self.assertTrue(outcome["ok"]["stopped_early"])
            self.assertEqual(template.receive(), {"type": "exited", "pid": pid, "status": 0})
            params = {each["key"]: each["value"] for each in run.records("param")}
            self.assertEqual(params, {"run": run_id, "variable": run_id, "parent": True})
            self.assertIn("echo begins", (run.folder / "worker.log").read_text())
            line.close()

    def test_the_module_is_imported_once(self) -> None:
        template = self.template("train:imported_in")
        template.receive()
        found = set()
        for run_id in IDS[:2]:
            line, _ = template.fork(self.run_with(run_id))
            found.add(line.until("finished")["outcome"]["ok"]["primary_metric"])
            template.receive()
            line.close()
        self.assertEqual(found, {float(template.process.pid)})

    def test_workers_run_side_by_side_and_one_that_dies_harms_no_other(self) -> None:
        template = self.template("train:echo")
        template.receive()
        forked = [template.fork(self.run_with(run_id)) for run_id in IDS[:4]]
        for line, _ in forked:
            line.until("started")
        (dead, pid), *others = forked
        os.killpg(pid, signal.SIGKILL)
        gone = template.receive()
        self.assertEqual(gone, {"type": "exited", "pid": pid, "status": signal.SIGKILL})
        for line, _ in others:
            line.send({"type": "stop"})
            self.assertIn("ok", line.until("finished")["outcome"])
        ended = {template.receive()["pid"] for _ in others}
        self.assertEqual(ended, {pid for _, pid in others})
        for line in (dead, *(line for line, _ in others)):
            line.close()

    def test_workers_end_with_their_template(self) -> None:
        template = self.template("train:echo")
        template.receive()
        line, pid = template.fork(self.run_with(IDS[0]))
        line.until("started")
        template.process.kill()
        wait_for(lambda: is_gone(pid))
        line.close()

    def test_a_worker_whose_interpreter_is_held_ends_with_the_orchestrator(self) -> None:
        template = self.template("train:holds_the_lock")
        template.receive()
        line, pid = template.fork(self.run_with(IDS[0]))
        self.addCleanup(end, pid)
        line.until("started")
        line.send({"type": "stop"})
        line.stream.settimeout(3)
        with self.assertRaises(socket.timeout):
            line.until("finished")
        template.end()
        wait_for(lambda: is_gone(pid))
        line.close()

    def test_a_template_ends_with_its_orchestrator(self) -> None:
        template = self.template("train:echo")
        template.receive()
        template.end()
        self.assertEqual(template.process.returncode, 0)

    def test_a_module_with_threads_is_not_forked(self) -> None:
        answer = self.template("threaded:train").receive()
        self.assertEqual(answer["type"], "not_forkable")
        self.assertIn("has threads as soon as it is imported", answer["why"])

    def test_a_module_that_cannot_be_imported_is_not_forked_and_says_why(self) -> None:
        answer = self.template("missing:train").receive()
        self.assertEqual(answer["type"], "not_forkable")
        self.assertIn("there is no module `missing`", answer["why"])

    def test_what_the_module_made_outlives_its_first_worker(self) -> None:
        template = self.template("shared:train")
        template.receive()
        for run_id in IDS[:2]:
            line, _ = template.fork(self.run_with(run_id))
            self.assertEqual(line.until("finished")["outcome"]["ok"]["primary_metric"], 1.0)
            template.receive()
            line.close()

    def test_a_forked_worker_may_have_processes_of_its_own(self) -> None:
        template = self.template("train:spawns")
        template.receive()
        line, _ = template.fork(self.run_with(IDS[0]))
        self.assertEqual(line.until("finished")["outcome"]["ok"]["primary_metric"], 12 * 14.0)
        template.receive()
        line.close()

    def test_a_run_id_of_another_length_is_refused(self) -> None:
        template = self.template("train:echo")
        template.receive()
        with self.assertRaisesRegex(AssertionError, "`short` is no run id"):
            template.fork(self.run_with("short"))

    def test_random_numbers_are_those_of_a_fresh_worker(self) -> None:
        fresh = self.run_with(IDS[0], "train:draw")
        forked = self.run_with(IDS[1], "train:draw")
        outcome = self.worker(fresh).outcome()
        template = self.template("train:draw")
        template.receive()
        line, _ = template.fork(forked)
        self.assertEqual(line.until("finished")["outcome"], outcome)
        line.close()


def end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
