"""Writes letterbox.json: what is found on a canvas, measured in images of odd proportions that were put on it.

Usage: python3 make_letterbox.py letterbox.json          (needs numpy, pycocotools, scikit-learn)

The way back from the canvas is written here in NumPy from its definition: an image is as large on the canvas as fits, its sides rounded,
in the middle; boxes are clipped to the image, and a pixel of the image has the class of the canvas's pixel under its middle.
Scores are multiples of 1/64; coordinates are drawn in single precision.
"""

import json
import sys

import numpy as np
from sklearn.metrics import accuracy_score, jaccard_score

from make_detection import coco_stats

# Height and width of images and of their canvas; the first three are put on it with bars on two sides.
SIZES = [((480, 640), (64, 64)), ((333, 77), (96, 64)), ((51, 350), (64, 64)), ((64, 64), (64, 64)), ((17, 23), (96, 128))]


def place(size, canvas):
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    inner = [min(max(int(np.floor(s * scale + 0.5)), 1), c) for s, c in zip(size, canvas)]
    return inner, [(c - i) // 2 for c, i in zip(canvas, inner)]


def box_back(box, size, canvas):
    inner, offset = place(size, canvas)
    y, x = [np.float32(i) / np.float32(s) for i, s in zip(inner, size)]
    moved = [np.float32(v) - np.float32(o) for v, o in zip(box, [offset[1], offset[0]] * 2)]
    back = [v * (np.float32(1) / s) for v, s in zip(moved, [x, y] * 2)]
    return [float(np.clip(v, np.float32(0), np.float32(m))) for v, m in zip(back, [size[1], size[0]] * 2)]


def mask_back(mask, size, canvas):
    inner, offset = place(size, canvas)
    at = [((2 * np.arange(s) + 1) * i) // (2 * s) + o for s, i, o in zip(size, inner, offset)]
    return mask[np.ix_(*at)]


def spread(blocks, size):
    side = [-(-s // len(blocks)) for s in size]
    return blocks.repeat(side[0], 0).repeat(side[1], 1)[:size[0], :size[1]]


def blocks(mask, n):
    return mask[::-(-mask.shape[0] // n), ::-(-mask.shape[1] // n)].tolist()


def main(target):
    rng = np.random.default_rng(5)
    single = lambda v: float(np.float32(v))
    cases = []
    for size, canvas in SIZES:
        inner, offset = place(size, canvas)
        images = []
        for _ in range(6):
            truths, found = [], []
            for _ in range(int(rng.integers(1, 6))):
                w, h = rng.uniform(0.05, 0.6, 2) * [size[1], size[0]]
                x, y = rng.uniform(0, 1, 2) * [size[1] - w, size[0] - h]
                box = [single(v) for v in (x, y, x + w, y + h)]
                truths.append(box + [int(rng.integers(2)), single(w * h * rng.uniform(0.5, 1)), int(rng.random() < 0.1)])
                # On the canvas, beside its place; some reach into the bars, or lie in them alone.
                sy, sx = inner[0] / size[0], inner[1] / size[1]
                on = np.array([x * sx, y * sy, (x + w) * sx, (y + h) * sy]) + [offset[1], offset[0]] * 2
                for _ in range(int(rng.integers(1, 4))):
                    d = on + rng.normal(size=4) * 0.08 * max(w * sx, h * sy)
                    d = np.clip(d, 0, [canvas[1], canvas[0]] * 2)
                    if d[2] - d[0] > 0.5 and d[3] - d[1] > 0.5:
                        found.append([single(v) for v in d] + [int(rng.integers(2)), int(rng.integers(1, 64)) / 64])
            if offset[0] > 2:
                found.append([1.0, 0.0, 9.0, offset[0] - 1.0, 0, 0.75])
            images.append({"truths": truths, "detections": found})
        moved = []
        for image in images:
            back = [box_back(d[:4], size, canvas) + d[4:] for d in image["detections"]]
            moved.append({"truths": image["truths"], "detections": [d for d in back if d[2] > d[0] and d[3] > d[1]]})
        labels, answers = spread(rng.integers(0, 4, (7, 7)), size), spread(rng.integers(0, 3, (5, 5)), canvas)
        # Class 3 is no class.
        known, said = labels.ravel() < 3, mask_back(answers, size, canvas).ravel()
        cases.append({
            "size": size, "canvas": canvas, "images": images, "coco": coco_stats(2, moved),
            # Both masks are blocks: 7x7 of the image, 5x5 of the canvas, each as large as covers it.
            "labels": blocks(labels, 7), "answers": blocks(answers, 5),
            "miou": float(jaccard_score(labels.ravel()[known], said[known], average="macro")),
            "accuracy": float(accuracy_score(labels.ravel()[known], said[known])),
        })
    with open(target, "w") as f:
        json.dump({"made_with": "pycocotools, scikit-learn, numpy " + np.__version__, "cases": cases}, f, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
