"""Holds `limbeck eval` against what pycocotools, scikit-learn and NumPy compute from `limbeck predict --json`, on real data sets.

Usage: python3 check_eval.py LIMBECK DATA KIND RUN [MODEL [SPLIT]]     (needs numpy, pycocotools, scikit-learn, pillow)

LIMBECK is the program, DATA the folder of the data set, KIND one of nuclei, raccoon, coco, clothing (the examples of these names say how
the annotations are read), RUN the folder of a run on it. Prints a line a metric and ends with an error where one differs in a
digit that `limbeck eval` prints.
"""

import contextlib
import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, jaccard_score, mean_absolute_error, r2_score

COCO_NUMBERS = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small", "ar_medium", "ar_large"]
# Shown as they are, with three decimals; the others in per cent, with two.
PLAIN = {"rmse", "mae", "r2"}


def yaml_names(path):
    """The names of a flat YAML list of numbers and names."""
    rows = [line.strip().split(": ", 1) for line in path.read_text().splitlines() if line.startswith("  ")]
    return {int(number): name.strip("'\"") for number, name in rows}


# Truth: of each file by its name the boxes (x, y, width, height, class, area, crowd), the mask as names, number, classes; None: not known.

def nuclei(data, files):
    boxes, masks = {}, {}
    for part in ["train", "val", "test"]:
        text = json.loads((data / f"instances_{part}.json").read_text())
        names = {c["id"]: c["name"] for c in text["categories"]}
        images = {i["id"]: i for i in text["images"]}
        for image in text["images"]:
            boxes[image["file_name"]] = []
            masks[image["file_name"]] = np.full((image["height"], image["width"]), "background", dtype=object)
        for a in text["annotations"]:
            name, image = names[a["category_id"]], images[a["image_id"]]
            boxes[image["file_name"]].append((*a["bbox"], name, a["area"], a.get("iscrowd", 0)))
            coded = rle.frPyObjects(a["segmentation"], image["height"], image["width"])
            coded = rle.merge(coded) if isinstance(coded, list) else coded
            masks[image["file_name"]][rle.decode(coded).astype(bool)] = name
    return {"boxes": boxes, "mask": masks, "count": {f: sum(not b[6] for b in all) for f, all in boxes.items()}}


def raccoon(data, files):
    boxes = {}
    for path in (data / "annotations").glob("*.xml"):
        root = ElementTree.parse(path).getroot()
        found = []
        for o in root.iter("object"):
            x0, y0, x1, y1 = [float(o.find(f"bndbox/{k}").text) for k in ["xmin", "ymin", "xmax", "ymax"]]
            # Pixels are counted from 1, both ends belong to the box.
            found.append((x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1, o.find("name").text, (x1 - x0 + 1) * (y1 - y0 + 1), 0))
        boxes[root.find("filename").text] = found
    return {"boxes": boxes, "count": {f: len(all) for f, all in boxes.items()}}


def coco(data, files):
    boxes, masks = {}, {}
    things, stuff = yaml_names(data / "names_detection.yaml"), yaml_names(data / "names_semantic.yaml")
    for name in files:
        w, h = Image.open(data / "images" / name).size
        path = data / "boxes_yolo" / (Path(name).stem + ".txt")
        boxes[name] = None
        if path.exists():
            rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
            boxes[name] = []
            for row in rows:
                x, y, bw, bh = [float(v) for v in row[1:]]
                left, top = max((x - bw / 2) * w, 0), max((y - bh / 2) * h, 0)
                right, bottom = min((x + bw / 2) * w, w), min((y + bh / 2) * h, h)
                boxes[name].append((left, top, right - left, bottom - top, things[int(row[0])], bw * w * bh * h, 0))
        path = data / "semantic" / (Path(name).stem + ".png")
        masks[name] = None
        if path.exists():
            named = np.array([None if n == 0 else stuff.get(n) for n in range(256)], dtype=object)
            masks[name] = named[np.array(Image.open(path))]
    return {"boxes": boxes, "mask": masks}


def clothing(data, files):
    rows = {row["image"]: row for row in csv.DictReader((data / "images.csv").open())}
    own = {name: rows[Path(name).stem] for name in files}
    label = {name: None if row["label"] in ["Not sure", "Skip", ""] else row["label"] for name, row in own.items()}
    return {"label": label, "attributes": {name: {"kids": row["kids"].strip().lower() == "true"} for name, row in own.items()}}


# What the libraries say of answers and truth, both by file.

def measure_boxes(answers, truth):
    names = sorted({b[4] for all in truth.values() if all for b in all} | {o["label"] for a in answers.values() for o in a["objects"]})
    number = {name: i + 1 for i, name in enumerate(names)}
    annotations, found, images = [], [], []
    for i, (file, answer) in enumerate(answers.items()):
        if truth[file] is None:
            continue
        images.append({"id": i})
        for x, y, w, h, name, area, crowd in truth[file]:
            annotations.append({"id": len(annotations) + 1, "image_id": i, "category_id": number[name], "bbox": [x, y, w, h],
                                "area": area, "iscrowd": crowd})
        for o in answer["objects"]:
            x0, y0, x1, y1 = [o["box"][k] for k in ["x0", "y0", "x1", "y1"]]
            found.append({"image_id": i, "category_id": number[o["label"]], "bbox": [x0, y0, x1 - x0, y1 - y0], "score": o["score"]})
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {"info": {}, "images": images, "annotations": annotations,
                      "categories": [{"id": n, "name": name} for name, n in number.items()]}
        gt.createIndex()
        dt = gt.loadRes(found) if found else COCO()
        if not found:
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        ev = COCOeval(gt, dt, "bbox")
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return {name: None if s < 0 else float(s) for name, s in zip(COCO_NUMBERS, ev.stats)}


def measure_mask(answers, truth):
    said, labels = [], []
    for file, answer in answers.items():
        if truth[file] is None:
            continue
        mask = np.full(answer["size"], None, dtype=object)
        for run in answer["runs"]:
            # The run lengths are COCO's, by columns.
            mask[rle.decode(rle.frPyObjects(run, *answer["size"])).astype(bool)] = run["label"]
        known = truth[file] != np.array(None)
        said.append(mask[known].astype(str))
        labels.append(truth[file][known].astype(str))
    said, labels = np.concatenate(said), np.concatenate(labels)
    return {"miou": jaccard_score(labels, said, average="macro"), "pixel_accuracy": accuracy_score(labels, said)}


def measure_number(answers, truth):
    y, said = [truth[f] for f in answers], [a["value"] for a in answers.values()]
    r2 = r2_score(y, said) if len(set(y)) > 1 else None
    return {"rmse": float(np.sqrt(np.mean(np.subtract(y, said) ** 2))), "mae": mean_absolute_error(y, said), "r2": r2}


def measure_class(answers, truth):
    pairs = [(truth[f], a["label"]) for f, a in answers.items() if truth[f] is not None]
    y, said = zip(*pairs)
    return {"accuracy": accuracy_score(y, said), "f1": f1_score(y, said, average="macro", zero_division=0)}


def measure_attributes(answers, truth):
    found, right = [], []
    for name in next(iter(answers.values()))["attributes"]:
        y = np.array([truth[f][name] for f in answers])
        said = np.array([a["attributes"][name] for a in answers.values()])
        right.append((y == (said > 0.5)).mean())
        if y.any():
            found.append(average_precision_score(y, said))
    return {"map": float(np.mean(found)) if found else None, "accuracy": float(np.mean(right))}


def measure(answers, truth):
    first = next(iter(answers.values()))
    of = {"objects": measure_boxes, "runs": measure_mask, "value": measure_number, "label": measure_class, "attributes": measure_attributes}
    return next(function for key, function in of.items() if key in first)(answers, truth)


def shown(name, value):
    if value is None:
        return "–"
    return f"{value:.3f}" if name in PLAIN else f"{100 * value:.2f} %"


def main(program, data, kind, run, model="distilled", split="test"):
    ask = lambda *words: json.loads(subprocess.run([program, *words], capture_output=True, check=True, text=True).stdout)
    measured = ask("eval", run, "--model", model, "--split", split, "--json")[0]
    said = ask("predict", run, "--model", model, "--json", *measured["files"])
    files = [Path(p["image"]).name for p in said]
    truth = {"nuclei": nuclei, "raccoon": raccoon, "coco": coco, "clothing": clothing}[kind](Path(data), files)
    wrong = 0
    for task, own in measured["tasks"].items():
        answers = {file: p["tasks"][task] for file, p in zip(files, said)}
        for name, theirs in measure(answers, truth[task]).items():
            ours = own[name]
            same = shown(name, ours) == shown(name, theirs)
            wrong += not same
            apart = "" if ours is None or theirs is None else f"  apart {abs(ours - theirs):.1e}"
            print(f"{kind} {model} {split} {task} {name}: {shown(name, ours)}, {shown(name, theirs)}{apart}{'' if same else '  DIFFERS'}")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
