from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

from explr_sdk import LogError, Tracker
from explr_sdk._host import Host
from explr_sdk._tail import read
from tests.orchestrator import Case

KINDS = ("metric", "param", "tag", "artifact", "dataset")


class TrackerTest(Case):
    def setUp(self) -> None:
        super().setUp()
        self.host = Host(self.folder / "events.jsonl", 1, lambda _: None)
        self.addCleanup(self.host.close)
        self.artifacts = self.folder / "artifacts"
        self.artifacts.mkdir()
        given = {"lr": 0.1, "optimizer": {"name": "adam", "empty": {}}}
        self.tracker = Tracker(self.host, self.artifacts, given)

    def logged(self) -> list[dict[str, Any]]:
        return list(read(self.host.path, KINDS))

    def test_names_that_mlflow_takes_are_taken(self) -> None:
        for name in ("loss", "train/loss", "top-1 acc", "f1:macro", "a.b_c", "genauigkeit_ä"):
            self.tracker.log_metric(name, 1.0)
        self.tracker.log_metric("ä" * 250, 1.0)
        self.assertEqual(len(self.logged()), 7)

    def test_names_that_mlflow_refuses_are_refused_with_the_reason(self) -> None:
        for name, reason in (
            ("", "empty"),
            ("/loss", "read as a path"),
            ("a//b", "read as a path"),
            ("a/../b", "read as a path"),
            ("loss\n", "only letters"),
            ("loss%", "only letters"),
            ("\ud800", "only letters"),
            ("x" * 251, "longer than 250"),
        ):
            for log in (self.tracker.log_metric, self.tracker.log_param, self.tracker.set_tag):
                with self.assertRaisesRegex(LogError, reason):
                    log(name, 1)
            with self.assertRaisesRegex(LogError, reason):
                self.tracker.log_metrics({"good": 1.0, name: 1.0})
        for no_name in (3, None):
            with self.assertRaisesRegex(LogError, "must be a text"):
                self.tracker.log_metric(no_name, 1.0)  # type: ignore[arg-type]
        self.assertEqual(self.logged(), [])

    def test_what_is_no_number_is_refused(self) -> None:
        class Tensor:
            def __float__(self) -> float:
                raise RuntimeError("a tensor with 3 elements")

        for value, reason in (
            (None, "None is none"),
            ("0.5", "'0.5' is a text"),
            (Tensor(), "a tensor with 3 elements"),
            (1j, "1j is none"),
            (10**400, "too large"),
        ):
            with self.assertRaisesRegex(LogError, f"the metric `loss` must be a number.*{reason}"):
                self.tracker.log_metric("loss", value, 0)
        for step, reason in ((0.5, "0.5 is none"), (2**63, "fit into 64 bits"), ("1", "'1'")):
            with self.assertRaisesRegex(LogError, reason):
                self.tracker.log_metric("loss", 1.0, step)  # type: ignore[arg-type]
            with self.assertRaisesRegex(LogError, reason):
                self.tracker.log_metrics({"loss": 1.0}, step)  # type: ignore[arg-type]
        self.assertEqual(self.logged(), [])

    def test_a_tensor_of_one_element_is_a_number(self) -> None:
        tensor = mock.Mock(spec=["item", "__float__"], item=lambda: 2)
        self.tracker.log_metric("loss", tensor)
        self.tracker.log_metrics({"accuracy": tensor})
        self.assertEqual([each["value"] for each in self.logged()], [2.0, 2.0])

    def test_without_a_step_a_metric_is_at_the_one_after_its_last(self) -> None:
        log, log_all = self.tracker.log_metric, self.tracker.log_metrics
        log("a", 1.0)
        log("a", 1.0)
        log("a", 1.0, 10)
        log_all({"a": 1.0, "b": 1.0})
        log("b", 1.0)
        log("c", 1.0)
        log_all({})
        steps = [(each["key"], each["step"]) for each in self.logged()]
        self.assertEqual(
            steps, [("a", 0), ("a", 1), ("a", 10), ("a", 11), ("b", 11), ("b", 12), ("c", 0)]
        )

    def test_a_param_is_logged_once_and_never_changes(self) -> None:
        self.tracker.log_params({"lr": 0.1, "optimizer.name": "adam", "optimizer.empty": {}})
        self.assertEqual(self.logged(), [])
        self.tracker.log_param("path", Path("a/b"))
        self.tracker.log_param("path", "a/b")
        self.tracker.log_param("nested", {"set": {1}, 2: (1, float("nan"))})
        for name, value in (("lr", 0.2), ("path", "c"), ("optimizer.name", None)):
            with self.assertRaisesRegex(LogError, f"the param `{name}` is .* can't become"):
                self.tracker.log_param(name, value)
        with self.assertRaisesRegex(LogError, "has no form in JSON"):
            self.tracker.log_param("object", object())
        values = {each["key"]: each["value"] for each in self.logged()}
        self.assertEqual(values, {"path": "a/b", "nested": {"set": [1], "2": [1, "NaN"]}})

    def test_artifacts_stay_in_their_folder(self) -> None:
        outside = self.folder / "outside"
        outside.mkdir()
        (self.artifacts / "link").symlink_to(outside)
        for dest, reason in (
            ("", "empty"),
            ("/etc/x", "absolute"),
            ("../x", r"`\.\.`"),
            ("a#b", "not allowed"),
            ("x" * 256, "255 bytes"),
            ("link/x", "symbolic link"),
        ):
            with self.assertRaisesRegex(LogError, reason):
                self.tracker.log_text("x", dest)
        self.assertEqual(list(outside.iterdir()), [])
        self.assertEqual(self.logged(), [])

    def test_links_of_a_folder_are_followed_within_it_only(self) -> None:
        source = self.folder / "source"
        (source / "a").mkdir(parents=True)
        (source / "a" / "file").write_text("x")
        (source / "link").symlink_to("a/file")
        self.tracker.log_artifact(source, "copy")
        self.assertEqual((self.artifacts / "copy" / "link").read_text(), "x")
        self.assertFalse((self.artifacts / "copy" / "link").is_symlink())
        for target in (self.folder / "events.jsonl", "a", ".."):
            (source / "bad").symlink_to(target)
            with self.assertRaisesRegex(LogError, "is a symbolic link"):
                self.tracker.log_artifact(source, "again")
            (source / "bad").unlink()
        self.assertEqual([each["path"] for each in self.logged()], ["copy"])

    def test_what_was_written_in_place_is_only_recorded(self) -> None:
        (self.artifacts / "model").mkdir()
        (self.artifacts / "model" / "weights").write_text("x")
        before = (self.artifacts / "model" / "weights").stat()
        self.tracker.log_artifact(self.artifacts / "model")
        self.assertEqual((self.artifacts / "model" / "weights").stat(), before)
        self.assertEqual([each["path"] for each in self.logged()], ["model"])

    def test_a_replaced_artifact_is_the_new_one(self) -> None:
        for text in ("old", "new"):
            folder = self.folder / text
            folder.mkdir()
            (folder / text).write_text(text)
            self.tracker.log_artifact(folder, "folder")
            self.tracker.log_text(text, "file")
        files = sorted(str(path.relative_to(self.artifacts)) for path in self.artifacts.rglob("*"))
        self.assertEqual(files, ["file", "folder", "folder/new"])
        self.assertEqual((self.artifacts / "file").read_text(), "new")

    def test_a_file_that_is_not_there_is_told_by_its_name(self) -> None:
        with self.assertRaisesRegex(LogError, "can't read `nothing.txt`: No such file"):
            self.tracker.log_artifact("nothing.txt")
        with self.assertRaisesRegex(LogError, "neither a file nor a folder"):
            self.tracker.log_artifact(os.devnull)
        with self.assertRaisesRegex(LogError, "a `int` is no figure"):
            self.tracker.log_figure(3, "a.png")
        self.assertEqual(list(self.artifacts.iterdir()), [])

    def test_a_data_set_has_the_fields_that_were_given(self) -> None:
        self.tracker.log_dataset("digits", "d" * 36, source="s3://x", profile={"rows": 3})
        for name, digest in (("", "d"), ("n" * 501, "d"), ("n", ""), ("n", "d" * 37)):
            with self.assertRaisesRegex(LogError, "must have 1 to"):
                self.tracker.log_dataset(name, digest)
        (logged,) = self.logged()
        fields = {key: value for key, value in logged.items() if key not in ("seq", "ts", "type")}
        expected = {"name": "digits", "digest": "d" * 36, "source": "s3://x"}
        self.assertEqual(fields, {**expected, "profile": {"rows": 3}})

    def test_a_model_is_a_folder_that_the_models_module_writes(self) -> None:
        def save(model: object, folder: Path, *, input_example: object) -> None:
            folder.mkdir()
            (folder / "MLmodel").write_text(f"{model} {input_example}")

        with mock.patch("explr_sdk.models.save", save):
            self.tracker.log_model("net", "best/model", input_example=3)
        self.assertEqual((self.artifacts / "best" / "model" / "MLmodel").read_text(), "net 3")
        self.assertEqual([each["path"] for each in self.logged()], ["best/model"])

    def test_after_the_function_nothing_can_be_logged(self) -> None:
        self.host.close()
        with self.assertRaisesRegex(LogError, "the train function has returned"):
            self.tracker.log_metric("loss", 1.0)
