from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

from explr_sdk import JournalError, LogError
from explr_sdk._checkpoints import Checkpoints
from explr_sdk._host import Host
from tests.orchestrator import Case


class Killed(BaseException):
    pass


class CheckpointsTest(Case):
    def attempt(self, number: int) -> tuple[Host, Checkpoints]:
        host = Host(self.folder / "events.jsonl", number, lambda _: None)
        self.addCleanup(host.close)
        folder = self.folder / "checkpoints"
        folder.mkdir(exist_ok=True)
        return host, Checkpoints(host, folder, number)

    def names(self) -> list[str]:
        folder = self.folder / "checkpoints"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    def kill_before_the_record(self, save: Any, host: Host) -> None:
        killed = mock.patch.object(host, "log_event", side_effect=Killed)
        with killed, self.assertRaises(Killed):
            save()
        host.close()

    def test_the_newest_that_is_there_is_found(self) -> None:
        _, checkpoints = self.attempt(1)
        self.assertIsNone(checkpoints.latest())
        for epoch in (1, 2, 3):
            checkpoints.save(f"{epoch}/model.pt", write(str(epoch)), epoch, epoch * 10)
        (self.folder / "checkpoints" / "3" / "model.pt").unlink()
        found = checkpoints.latest()
        assert found is not None
        self.assertEqual((found.epoch, found.step, found.path.read_text()), (2, 20, "2"))

    def test_a_file_and_a_folder_can_be_replaced(self) -> None:
        _, checkpoints = self.attempt(1)
        for epoch in (1, 2):
            checkpoints.save("last.pt", write(str(epoch)), epoch, 0)
            checkpoints.save("folder", write_folder(str(epoch)), epoch, 0)
        self.assertEqual(self.names(), ["folder", "folder/2", "last.pt"])
        found = checkpoints.latest()
        assert found is not None
        self.assertEqual((found.epoch, found.path.name), (2, "folder"))

    def test_a_kill_before_the_record_leaves_the_checkpoint_before(self) -> None:
        for number, make in ((1, write), (2, write_folder)):
            host, checkpoints = self.attempt(2 * number - 1)
            checkpoints.save(f"last-{number}", make("old"), 1, 0)
            self.kill_before_the_record(
                lambda c=checkpoints, n=number, m=make: c.save(f"last-{n}", m("new"), 2, 0), host
            )
            host, checkpoints = self.attempt(2 * number)
            found = checkpoints.latest()
            assert found is not None
            self.assertEqual((found.epoch, found.path.name), (1, f"last-{number}"))
            host.close()
        self.assertEqual(self.names(), ["last-1", "last-2", "last-2/old"])
        self.assertEqual((self.folder / "checkpoints" / "last-1").read_text(), "old")

    def test_a_kill_after_the_record_leaves_the_new_checkpoint(self) -> None:
        host, checkpoints = self.attempt(1)
        checkpoints.save("last.pt", write("old"), 1, 0)
        length = len(host.writer)
        checkpoints.save("last.pt", write("new"), 2, 0)
        host.close()
        (self.folder / "checkpoints" / f".last.pt.before-{length}").write_text("old")
        _, checkpoints = self.attempt(2)
        found = checkpoints.latest()
        assert found is not None
        self.assertEqual((found.epoch, found.path.read_text()), (2, "new"))
        self.assertEqual(self.names(), ["last.pt"])

    def test_what_fails_leaves_nothing_and_says_why(self) -> None:
        host, checkpoints = self.attempt(1)
        for name in ("", "/absolute", "../out"):
            with self.assertRaisesRegex(LogError, "can't be the name of a checkpoint"):
                checkpoints.save(name, write("x"), 1, 0)
        with self.assertRaisesRegex(LogError, "the epoch must be 0 or more"):
            checkpoints.save("a", write("x"), -1, 0)
        with self.assertRaisesRegex(LogError, "nothing was written"):
            checkpoints.save("a", lambda _: None, 1, 0)
        with self.assertRaises(ZeroDivisionError):
            checkpoints.save("a", lambda _: 1 / 0, 1, 0)
        self.assertEqual(self.names(), [])
        self.assertEqual(len(host.writer), 0)

    def test_a_damaged_journal_is_told(self) -> None:
        host, checkpoints = self.attempt(1)
        checkpoints.save("a", write("x"), 1, 0)
        text = host.path.read_text().replace('"seq":0', '"seq":')
        host.path.write_text(text)
        with self.assertRaisesRegex(JournalError, "line 1 of the journal .* is damaged"):
            checkpoints.latest()


def write(text: str) -> Any:
    return lambda path: Path(path).write_text(text)


def write_folder(name: str) -> Any:
    def make(path: Path) -> None:
        path.mkdir()
        (path / name).write_text("x")

    return make
