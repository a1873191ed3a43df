"""Writes tallies.json: torchmetrics' and scikit-learn's values for segmentation, attributes, numbers and calibration.

Usage: python3 make_tallies.py tallies.json          (needs torch, torchmetrics, numpy and scikit-learn)
"""

import json
import sys

import numpy as np
import sklearn.metrics as sk
import torch
import torchmetrics
import torchmetrics.functional as tm


def segmentation(rng, classes, shape, right, ignored):
    labels = rng.integers(0, classes, shape)
    pred = np.where(rng.random(shape) < right, labels, rng.integers(0, classes, shape))
    labels = np.where(rng.random(shape) < ignored, 255, labels)
    p, y = torch.tensor(pred), torch.tensor(labels)
    args = dict(num_classes=classes, ignore_index=255)
    each = tm.classification.multiclass_jaccard_index(p, y, average="none", **args)
    return {
        "classes": classes, "predictions": pred.ravel().tolist(), "labels": labels.ravel().tolist(),
        "iou": each.tolist(), "mean_iou": float(tm.classification.multiclass_jaccard_index(p, y, average="macro", **args)),
        "pixel_accuracy": float(tm.classification.multiclass_accuracy(p, y, average="micro", **args)),
    }


def attributes(rng, n, names, ties, missing):
    truth = rng.random((n, names)) < rng.uniform(0.1, 0.7, names)
    truth[0] = True
    scores = np.clip(truth * 0.3 + rng.random((n, names)) * 0.7, 0, 1).astype(np.float32)
    if ties:
        scores = np.round(scores * 8) / 8
    known = rng.random((n, names)) >= missing
    known[0] = True
    said = scores > 0.5
    each = [dict(zip(["precision", "recall", "f1"], [float(v) for v in sk.precision_recall_fscore_support(
        truth[known[:, a], a], said[known[:, a], a], average="binary", zero_division=0)[:3]])) for a in range(names)]
    for a in range(names):
        each[a]["average_precision"] = float(sk.average_precision_score(truth[known[:, a], a], scores[known[:, a], a]))
    return {
        "scores": scores.tolist(), "answers": np.where(known, truth.astype(int), -1).tolist(), "each": each,
        "accuracy": float((truth == said)[known].mean()), "f1": float(np.mean([e["f1"] for e in each])),
        "micro_f1": float(sk.f1_score(truth[known], said[known])),
        "map": float(np.mean([e["average_precision"] for e in each])),
    }


def numbers(labels, predictions):
    return {
        "labels": labels.tolist(), "predictions": predictions.tolist(),
        "rmse": float(np.sqrt(sk.mean_squared_error(labels, predictions))),
        "mae": float(sk.mean_absolute_error(labels, predictions)), "r2": float(sk.r2_score(labels, predictions)),
    }


def calibration(rng, n, classes, bins, scale):
    logits = torch.tensor(rng.normal(size=(n, classes)) * scale)
    labels = torch.multinomial(torch.softmax(logits * 0.6, 1), 1, generator=torch.Generator().manual_seed(3))[:, 0]
    p = torch.softmax(logits, 1).float()
    return {
        "probabilities": p.tolist(), "labels": labels.tolist(), "bins": bins,
        "ece": float(tm.classification.multiclass_calibration_error(p.double(), labels, num_classes=classes, n_bins=bins)),
        "top1": float(tm.classification.multiclass_accuracy(p, labels, num_classes=classes, average="micro")),
        "top5": float(tm.classification.multiclass_accuracy(p, labels, num_classes=classes, average="micro", top_k=5)),
    }


def main(target):
    rng = np.random.default_rng(5)
    y = rng.normal(size=50) * 3 + 1000
    golden = {
        "made_with": f"torchmetrics {torchmetrics.__version__}, scikit-learn {sk.__name__ and __import__('sklearn').__version__}",
        "segmentation": [segmentation(rng, 4, (2, 12, 9), 0.7, 0.1), segmentation(rng, 19, (1, 40, 40), 0.5, 0.0),
                         segmentation(rng, 2, (3, 5, 5), 0.9, 0.3)],
        "attributes": [attributes(rng, 60, 5, False, 0.0), attributes(rng, 60, 3, True, 0.3)],
        "numbers": [numbers(y, y + rng.normal(size=50)), numbers(np.arange(5.0), np.full(5, 2.0)),
                    numbers(rng.normal(size=30), rng.normal(size=30))],
        "calibration": [calibration(rng, 200, 10, 15, 2.0), calibration(rng, 80, 6, 10, 0.5)],
    }
    with open(target, "w") as f:
        json.dump(golden, f, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
