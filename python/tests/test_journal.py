from __future__ import annotations

import json
import math
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from explr_sdk import JournalError, LogError
from explr_sdk._journal import MAX_LINE, Writer
from tests.orchestrator import Case, environ

LOG = {"type": "log", "level": "info", "message": "hello"}

#: Logs in one process until it is killed, and says how far it came.
ENDLESS = """
import sys
from pathlib import Path
from typing import Any
from explr_sdk._journal import Writer
writer = Writer(Path(sys.argv[1]))
for step in range(10**9):
    writer.append_metric('"loss"', step * 0.37, step)
    if step % 1000 == 0:
        print(step, flush=True)
"""


class JournalTest(Case):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.folder / "events.jsonl"

    def records(self) -> list[dict[str, object]]:
        records = [json.loads(line) for line in self.path.read_bytes().splitlines()]
        self.assertEqual([record["seq"] for record in records], list(range(len(records))))
        return records

    def torn(self) -> list[Path]:
        return sorted(self.folder.glob("events.jsonl.torn-*"))

    def test_lines_are_those_of_explr(self) -> None:
        writer = Writer(self.path)
        before = time.time_ns() // 1_000_000
        writer.append_metric('"loss"', 0.5, 3)
        writer.append_metric('"é"', -0.0, -1)
        writer.append_metrics({'"a"': math.nan, '"b"': -math.inf, '"c"': 1e-300}, 2**63 - 1)
        writer.append({"type": "tag", "key": "a", "value": 'ü "quoted"\n'})
        lines = self.path.read_text("utf-8").splitlines()
        stamps = [json.loads(line)["ts"] for line in lines]
        self.assertTrue(all(before <= ts <= time.time_ns() // 1_000_000 for ts in stamps))
        plain = [line.replace(f'"ts":{ts}', '"ts":1') for line, ts in zip(lines, stamps)]
        self.assertEqual(
            plain,
            [
                '{"seq":0,"ts":1,"type":"metric","key":"loss","value":0.5,"step":3}',
                '{"seq":1,"ts":1,"type":"metric","key":"é","value":-0.0,"step":-1}',
                '{"seq":2,"ts":1,"type":"metric","key":"a","value":"NaN","step":9223372036854775807}',
                '{"seq":3,"ts":1,"type":"metric","key":"b","value":"-Infinity","step":9223372036854775807}',
                '{"seq":4,"ts":1,"type":"metric","key":"c","value":1e-300,"step":9223372036854775807}',
                '{"seq":5,"ts":1,"type":"tag","key":"a","value":"ü \\"quoted\\"\\n"}',
            ],
        )
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)

    def test_a_reopened_journal_goes_on_where_it_ended(self) -> None:
        for first in (0, 3, 6):
            writer = Writer(self.path)
            self.assertEqual(len(writer), first)
            writer.append_metrics({'"a"': 1.0, '"b"': 2.0}, 0)
            self.assertEqual(writer.append(LOG), first + 2)
            writer.close("done")
        self.assertEqual(len(self.records()), 9)

    def test_a_torn_last_line_is_set_aside_by_the_next_writer(self) -> None:
        writer = Writer(self.path)
        writer.append(LOG)
        writer.close("done")
        whole = self.path.read_bytes()
        for torn in (b'{"seq":1,"ts":17', bytes(20_000), b"\xff"):
            self.path.write_bytes(whole + torn)
            writer = Writer(self.path)
            self.assertEqual(len(writer), 1)
            writer.close("done")
            self.assertEqual(self.path.read_bytes(), whole)
            (saved,) = self.torn()
            self.assertEqual(saved.read_bytes(), torn)
            saved.unlink()

    def test_a_journal_cut_at_any_byte_goes_on_with_its_whole_lines(self) -> None:
        writer = Writer(self.path)
        for step in range(3):
            writer.append_metric('"é"', 0.1 * step, step)
        writer.close("done")
        whole = self.path.read_bytes()
        for cut in range(len(whole) + 1):
            self.path.write_bytes(whole[:cut])
            writer = Writer(self.path)
            self.assertEqual(writer.append(LOG), whole[:cut].count(b"\n"))
            writer.close("done")
            self.records()

    def test_a_journal_that_is_only_a_torn_line_begins_anew(self) -> None:
        self.path.write_bytes(b'{"se')
        self.assertEqual(Writer(self.path).append(LOG), 0)
        self.assertEqual(len(self.records()), 1)

    def test_a_damaged_last_line_is_refused_with_its_number(self) -> None:
        writer = Writer(self.path)
        writer.append(LOG)
        writer.close("done")
        text = self.path.read_text()
        self.path.write_text(f"{text}{text}garbage\n")
        with self.assertRaisesRegex(JournalError, "line 3 of the journal"):
            Writer(self.path, patience=0)

    def test_a_journal_has_one_writer_at_a_time(self) -> None:
        first = Writer(self.path)
        with self.assertRaisesRegex(JournalError, "another process is writing"):
            Writer(self.path, patience=0)
        opened: list[Writer] = []
        waiting = threading.Thread(target=lambda: opened.append(Writer(self.path, patience=100)))
        waiting.start()
        first.close("done")
        waiting.join()
        self.assertEqual(opened[0].append(LOG), 0)
        with self.assertRaisesRegex(LogError, "^done$"):
            first.append(LOG)

    def test_a_link_in_place_of_a_journal_is_not_followed(self) -> None:
        victim = self.folder / "victim"
        victim.write_text("precious")
        self.path.symlink_to(victim)
        with self.assertRaises(JournalError):
            Writer(self.path)
        self.assertEqual(victim.read_text(), "precious")

    def test_what_could_not_be_read_back_is_refused_and_costs_no_number(self) -> None:
        writer = Writer(self.path)
        deep: object = None
        for _ in range(200):
            deep = [deep]
        bad: list[dict[str, Any]] = [
            {"type": "param", "key": "deep", "value": deep},
            {**LOG, "message": "x" * MAX_LINE},
            {**LOG, "message": "\ud800"},
            {"type": "param", "key": "a", "value": math.nan},
            {"type": "param", "key": "a", "value": object()},
        ]
        for event in bad:
            with self.assertRaises(LogError):
                writer.append(event)
        with self.assertRaises(LogError):
            writer.append_metric(json.dumps("k" * MAX_LINE), 0.0, 0)
        self.assertEqual(writer.append({**LOG, "message": "x" * (MAX_LINE // 2)}), 0)
        self.assertEqual(len(self.records()), 1)

    def test_what_was_logged_survives_a_kill_at_any_moment(self) -> None:
        lines = 0
        for _ in range(5):
            process = subprocess.Popen(
                [sys.executable, "-c", ENDLESS, self.path], env=environ(), stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            told = [int(process.stdout.readline()) for _ in range(3)]
            process.send_signal(signal.SIGKILL)
            process.communicate()
            writer = Writer(self.path)
            self.assertGreater(len(writer), lines + told[-1])
            lines = len(writer)
            writer.close("done")
            self.assertEqual(len(self.records()), lines)

    def test_a_full_disk_leaves_whole_lines_and_logging_goes_on_when_there_is_room(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        writer = Writer(self.path)
        writer.append(LOG)
        size = self.path.stat().st_size
        try:
            # Half a line fits, and for the metrics one and a half.
            for room in (size // 2, 100):
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.path.stat().st_size + room, hard))
                with self.assertRaisesRegex(JournalError, "can't write the journal .*large"):
                    writer.append_metrics({'"a"': 1.0, '"b"': 2.0, '"c"': 3.0}, 0)
                self.assertTrue(self.path.read_bytes().endswith(b"\n"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            signal.signal(signal.SIGXFSZ, before)
        writer.append(LOG)
        kinds = [record["type"] for record in self.records()]
        self.assertEqual(kinds, ["log", "metric", "log"])

    def test_threads_that_log_at_once_tear_nothing(self) -> None:
        writer = Writer(self.path)

        def log(name: str) -> None:
            for step in range(500):
                writer.append_metric(f'"{name}"', 1.0, step)
                writer.append_metrics({f'"{name}/a"': 1.0, f'"{name}/b"': 2.0}, step)

        threads = [threading.Thread(target=log, args=(f"t{index}",)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.records()), 8 * 500 * 3)

    def test_a_signal_handler_that_raises_in_a_log_call_harms_nothing(self) -> None:
        class Alarm(Exception):
            pass

        def ring(*_: object) -> None:
            raise Alarm

        writer = Writer(self.path)
        before = signal.signal(signal.SIGALRM, ring)
        rung = 0
        try:
            while rung < 500:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 0.0002 + rung * 1e-6)
                    while True:
                        writer.append_metric('"loss"', 1.0, rung)
                except Alarm:
                    rung += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        writer.append(LOG)
        self.assertEqual(self.records()[-1]["type"], "log")

    def test_a_signal_handler_that_logs_in_a_log_call_is_refused_or_heard(self) -> None:
        writer = Writer(self.path)
        heard = refused = 0

        def log(*_: object) -> None:
            nonlocal heard, refused
            try:
                writer.append(LOG)
                heard += 1
            except LogError:
                refused += 1

        before = signal.signal(signal.SIGALRM, log)
        signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
        metrics = 0
        try:
            while heard + refused < 200:
                writer.append_metric('"loss"', 1.0, 0)
                metrics += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.assertEqual(len(self.records()), metrics + heard)

    def test_speed(self) -> None:
        writer = Writer(self.path)
        count = 50_000
        began = time.perf_counter()
        for step in range(count):
            writer.append_metric('"loss"', step * 0.37, step)
        speed = count / (time.perf_counter() - began)
        print(f"journal: {speed:,.0f} metrics/s", file=sys.stderr)
        self.assertEqual(len(self.records()), count)
