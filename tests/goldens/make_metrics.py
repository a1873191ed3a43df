"""Writes metrics.json: scikit-learn's accuracy and macro precision, recall and F1 of seeded labels and predictions.

Usage: python3 make_metrics.py metrics.json          (needs numpy and scikit-learn)
"""

import json
import sys

import numpy as np
import sklearn
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support


def case(name, classes, labels, predictions):
    macro = precision_recall_fscore_support(labels, predictions, average="macro", zero_division=0)
    each = precision_recall_fscore_support(labels, predictions, labels=range(classes), zero_division=0)
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        "predictions": predictions.tolist(),
        "confusion": confusion_matrix(labels, predictions, labels=range(classes)).tolist(),
        "accuracy": accuracy_score(labels, predictions),
        "precision": macro[0],
        "recall": macro[1],
        "f1": macro[2],
        "per_class": {"precision": each[0].tolist(), "recall": each[1].tolist(), "f1": each[2].tolist()},
    }


def main(target):
    rng = np.random.default_rng(20)

    def noisy(classes, n, right, weights=None):
        labels = rng.choice(classes, n, p=weights)
        predictions = np.where(rng.random(n) < right, labels, rng.integers(0, classes, n))
        return labels, predictions

    cases = [
        case("ten classes", 10, *noisy(10, 400, 0.8)),
        case("long tail", 4, *noisy(4, 200, 0.6, [0.9, 0.07, 0.02, 0.01])),
        case("a class never predicted", 3, np.array([0, 1, 2, 2, 1, 0]), np.array([0, 1, 1, 0, 1, 0])),
        case("a class nowhere", 5, np.array([0, 1, 2, 3, 0]), np.array([0, 1, 3, 3, 1])),
        case("a class only predicted", 3, np.array([0, 0, 1, 1]), np.array([0, 2, 1, 2])),
        case("all wrong", 2, np.array([0, 1, 0, 1]), np.array([1, 0, 1, 0])),
        case("two classes", 2, *noisy(2, 101, 0.5)),
    ]
    with open(target, "w") as out:
        json.dump({"scikit-learn": sklearn.__version__, "cases": cases}, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
