"""Holds the AP that `limbeck eval` prints against what pycocotools computes from the two files of `limbeck eval --save FILE.coco.json`.

Usage: python3 check_saved.py LIMBECK RUN [MODEL [SPLIT [SEED]]]     (needs pycocotools)

LIMBECK is the program, RUN the folder of a run with a task of boxes. Prints a line a number and ends with an error where one differs in a
digit that `limbeck eval` prints.
"""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

NUMBERS = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]


def shown(value):
    return "–" if value is None else f"{100 * value:.2f} %"


def theirs(results, truth):
    """The twelve numbers, None where pycocotools says -1; nothing found is no list that it reads."""
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO(truth)
        if json.loads(Path(results).read_text()):
            dt = gt.loadRes(results)
        else:
            dt = COCO()
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        ev = COCOeval(gt, dt, "bbox")
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return [None if s < 0 else float(s) for s in ev.stats]


def main(program, run, model="distilled", split="test", seed=None):
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "saved.coco.json"
        words = [program, "eval", run, "--model", model, "--split", split, "--json", "--save", str(results)]
        words += [] if seed is None else ["--seed", seed]
        told = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True).stdout
        stats = theirs(str(results), str(results.with_name("saved.coco.gt.json")))
    task = next(task for task in json.loads(told)[0]["tasks"].values() if "ap50" in task)
    wrong = 0
    for name, value in zip(NUMBERS, stats):
        ours = task[name]
        same = shown(ours) == shown(value)
        wrong += not same
        apart = "" if ours is None or value is None else f"  apart {abs(ours - value):.1e}"
        print(f"{model} {split} {name}: {shown(ours)}, {shown(value)}{apart}{'' if same else '  DIFFERS'}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
