"""Writes detection.json: pycocotools' twelve numbers, and VOC's average precision, of seeded and of awkward detections.

Usage: python3 make_detection.py detection.json          (needs numpy and pycocotools)

VOC's devkit is MATLAB; `voc_ap` follows its VOCevaldet.m and VOCap.m on continuous boxes.
Coordinates are multiples of 1/4 and scores of 1/64, which single precision holds exactly.
"""

import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def coco_stats(classes, images):
    truths, found = [], []
    for i, image in enumerate(images):
        for x0, y0, x1, y1, c, area, crowd in image["truths"]:
            truths.append({"id": len(truths) + 1, "image_id": i + 1, "category_id": c + 1, "area": area, "iscrowd": crowd,
                           "bbox": [x0, y0, x1 - x0, y1 - y0]})
        for x0, y0, x1, y1, c, score in image["detections"]:
            found.append({"image_id": i + 1, "category_id": c + 1, "score": score, "bbox": [x0, y0, x1 - x0, y1 - y0]})
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {"info": {}, "images": [{"id": i + 1} for i in range(len(images))],
                      "categories": [{"id": c + 1} for c in range(classes)], "annotations": truths}
        gt.createIndex()
        dt = gt.loadRes(found) if found else COCO()
        if not found:
            dt.dataset = {**gt.dataset, "annotations": []}
            dt.createIndex()
        ev = COCOeval(gt, dt, "bbox")
        ev.evaluate()
        ev.accumulate()
        ev.summarize()
    return [None if s < 0 else float(s) for s in ev.stats]


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    size = lambda r: (r[2] - r[0]) * (r[3] - r[1])
    return w * h / (size(a) + size(b) - w * h)


def voc_ap(images, c, eleven):
    truths = [[t for t in image["truths"] if t[4] == c] for image in images]
    total = sum(1 for image in truths for t in image if not t[6])
    if total == 0:
        return None
    found = [(d[5], i, d) for i, image in enumerate(images) for d in image["detections"] if d[4] == c]
    found.sort(key=lambda f: -f[0])
    taken, tp, fp = set(), [], []
    for _, i, d in found:
        best, who = -np.inf, None
        for g, t in enumerate(truths[i]):
            if iou(d, t) > best:
                best, who = iou(d, t), g
        right = wrong = 0
        if best >= 0.5:
            if not truths[i][who][6]:
                if (i, who) in taken:
                    wrong = 1
                else:
                    right = 1
                    taken.add((i, who))
        else:
            wrong = 1
        tp.append(right)
        fp.append(wrong)
    tp, fp = np.cumsum(tp), np.cumsum(fp)
    if len(tp) == 0:
        return 0.0
    recall, precision = tp / total, tp / np.maximum(tp + fp, 1)
    if eleven:
        return float(np.mean([max(precision[recall >= t], default=0.0) for t in np.arange(11) / 10]))
    r, p = np.concatenate([[0], recall, [1]]), np.concatenate([[0], precision, [0]])
    for k in range(len(p) - 2, -1, -1):
        p[k] = max(p[k], p[k + 1])
    step = np.flatnonzero(r[1:] != r[:-1]) + 1
    return float(np.sum((r[step] - r[step - 1]) * p[step]))


def main(target):
    rng = np.random.default_rng(11)
    quarter = lambda v: float(np.round(v * 4) / 4)

    def box(most):
        w, h = rng.uniform(1, most, 2)
        x, y = rng.uniform(0, 200, 2)
        x, y, w, h = quarter(x), quarter(y), max(quarter(w), 0.25), max(quarter(h), 0.25)
        return [x, y, x + w, y + h]

    def truth(most, classes, crowd=0.0):
        b = box(most)
        area = (b[2] - b[0]) * (b[3] - b[1])
        return b + [int(rng.integers(classes)), quarter(area * rng.uniform(0.4, 1)), int(rng.random() < crowd)]

    def near(t, classes, spread):
        d = [quarter(v + rng.normal() * spread * max(t[2] - t[0], t[3] - t[1])) for v in t[:4]]
        d[2], d[3] = max(d[2], d[0] + 0.25), max(d[3], d[1] + 0.25)
        c = t[4] if rng.random() < 0.85 else int(rng.integers(classes))
        return d + [c, float(rng.integers(1, 64)) / 64]

    def image(classes, truths, most, crowd=0.0, spread=0.08, extra=3):
        ts = [truth(most, classes, crowd) for _ in range(truths)]
        ds = [near(t, classes, spread) for t in ts for _ in range(int(rng.integers(0, 3)))]
        ds += [box(most) + [int(rng.integers(classes)), float(rng.integers(1, 64)) / 64] for _ in range(extra)]
        order = rng.permutation(len(ds))
        return {"truths": ts, "detections": [ds[k] for k in order]}

    cases = []

    def case(name, classes, images):
        cases.append({
            "name": name, "classes": classes, "images": images, "coco": coco_stats(classes, images),
            "voc_area": [voc_ap(images, c, False) for c in range(classes)],
            "voc_eleven": [voc_ap(images, c, True) for c in range(classes)],
        })

    case("twenty images, five classes", 5, [image(5, int(rng.integers(0, 8)), 120) for _ in range(20)])
    case("crowds and difficult ones", 3, [image(3, int(rng.integers(1, 7)), 150, crowd=0.3) for _ in range(15)])
    case("small objects", 2, [image(2, 6, 24, spread=0.15) for _ in range(10)])
    case("more than a hundred detections", 1, [image(1, 60, 60, extra=90) for _ in range(2)])
    case("no objects", 2, [{"truths": [], "detections": image(2, 3, 60)["detections"]}])
    case("no detections", 2, [{"truths": image(2, 4, 60)["truths"], "detections": []}])
    case("nothing at all", 2, [{"truths": [], "detections": []}])
    tied = [image(2, 5, 80) for _ in range(6)]
    for im in tied:
        im["detections"] = [d[:5] + [0.5] for d in im["detections"]]
    case("every score the same", 2, tied)
    # Overlaps of exactly 1/2 and 3/4, sizes of exactly 32 and 96 squared.
    t = [[0.0, 0.0, 32.0, 32.0, 0, 1024.0, 0], [50.0, 0.0, 146.0, 96.0, 0, 9216.0, 0]]
    d = [[0.0, 0.0, 32.0, 16.0, 0, 0.75], [50.0, 0.0, 146.0, 72.0, 0, 0.5], [0.0, 0.0, 32.0, 24.0, 0, 0.25]]
    case("on the thresholds", 1, [{"truths": t, "detections": d}])
    crowd = [[0.0, 0.0, 100.0, 100.0, 0, 9000.0, 1], [10.0, 10.0, 30.0, 30.0, 0, 400.0, 0]]
    inside = [[10.0, 10.0, 30.0, 30.0, 0, 0.875], [40.0, 40.0, 60.0, 60.0, 0, 0.75], [40.0, 10.0, 60.0, 30.0, 0, 0.5]]
    case("within a crowd", 1, [{"truths": crowd, "detections": inside}])
    case("only a crowd", 1, [{"truths": crowd[:1], "detections": inside}])
    same = [[0.0, 0.0, 10.0, 10.0, 0, 100.0, 0]] * 2
    case("an object twice, found thrice", 1, [{"truths": same, "detections": [s[:5] + [0.5] for s in same + same[:1]]}])

    with open(target, "w") as f:
        json.dump({"made_with": "pycocotools, numpy " + np.__version__, "cases": cases}, f, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
