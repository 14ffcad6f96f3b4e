#!/usr/bin/env python3
"""What a trial costs as a study grows: explr's default sampler beside Optuna's, in memory.

    cargo build --release -p explr-study --example ask_tell
    python benches/search/speed.py

Needs optuna. Ten parameters; milliseconds for ask and tell together, means over the trials up to each
mark. explr's include two JSON messages to another process and back.
"""

import argparse
import random
import time

from samplers import open_study

RANGE = {"type": "float", "low": -5.0, "high": 5.0, "log": False, "step": None, "when": None}
SPACE = [{"name": f"x{i}", **RANGE} for i in range(10)]


def measure(sampler, marks):
    study = open_study(sampler, SPACE, 1)
    noise = random.Random(1)
    means, begun, done = [], time.perf_counter(), 0
    whole = begun
    for mark in marks:
        # The last hundred before the mark.
        while done < mark:
            if done == mark - 100:
                begun = time.perf_counter()
            number, params = study.ask()
            study.tell(number, sum(float(v) ** 2 for v in params.values()) + noise.random())
            done += 1
        means.append((time.perf_counter() - begun) * 10)
    total = time.perf_counter() - whole
    study.close()
    return means, total


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--marks", default="100,1000,5000")
    marks = [int(mark) for mark in parser.parse_args().marks.split(",")]
    ours, total = measure("explr:tpe", marks)
    theirs, their_total = measure("optuna:default", marks)
    print("| trials | explr, ms | Optuna, ms | ratio |\n| --- | --- | --- | --- |")
    for mark, a, b in zip(marks, ours, theirs):
        print(f"| at {mark} | {a:.2f} | {b:.2f} | {b / a:.1f} |")
    print(f"| all, seconds | {total:.1f} | {their_total:.1f} | {their_total / total:.1f} |")


if __name__ == "__main__":
    main()
