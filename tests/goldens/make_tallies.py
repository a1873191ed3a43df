"""Writes tallies.json: torchmetrics' and scikit-learn's values for segmentation, attributes, numbers and calibration.

Usage: python3 make_tallies.py tallies.json          (needs torch, torchmetrics, numpy and scikit-learn)

Where a value is neither's, it is by hand, and a comment says why.
"""

import json
import sys
import warnings
from fractions import Fraction

import numpy as np
import sklearn.metrics as sk
import torch
import torchmetrics
import torchmetrics.functional as tm

tc = tm.classification
# Samples and pixels without a label.
NONE = 255


def segmentation(name, classes, pred, labels):
    there = labels != NONE
    seen = [bool(((pred == c) | (labels == c))[there].any()) for c in range(classes)]
    if not there.any():
        # By hand: torchmetrics' mean is NaN, ours 0, as its accuracy is.
        each, mean, accuracy = [0.0] * classes, 0.0, 0.0
    elif classes == 1:
        # scikit-learn: torchmetrics takes two classes or more.
        each = sk.jaccard_score(labels[there], pred[there], labels=[0], average=None).tolist()
        mean, accuracy = each[0], float(sk.accuracy_score(labels[there], pred[there]))
    else:
        p, y = torch.tensor(pred), torch.tensor(labels)
        args = dict(num_classes=classes, ignore_index=NONE)
        each = tc.multiclass_jaccard_index(p, y, average="none", **args).tolist()
        mean = float(tc.multiclass_jaccard_index(p, y, average="macro", **args))
        accuracy = float(tc.multiclass_accuracy(p, y, average="micro", **args))
    return {
        "name": name, "classes": classes, "predictions": pred.ravel().tolist(), "labels": labels.ravel().tolist(),
        # Of a class that is nowhere torchmetrics says 0 and leaves it out of the mean; ours says nothing, and leaves it out as well.
        "iou": [iou if s else None for iou, s in zip(each, seen)], "mean_iou": mean, "pixel_accuracy": accuracy,
    }


def scenes(rng, classes, shape, right, ignored):
    labels = rng.integers(0, classes, shape)
    pred = np.where(rng.random(shape) < right, labels, rng.integers(0, classes, shape))
    return segmentation("random", classes, pred, np.where(rng.random(shape) < ignored, NONE, labels))


def awkward_scenes(rng):
    full = lambda c: np.full((2, 4, 5), c)
    draw = lambda *among: rng.choice(among, (2, 4, 5))
    half = rng.random((2, 4, 5)) < 0.5
    # Class 2 is predicted at one pixel, which has no label: it is nowhere.
    pred, labels = draw(0, 1), draw(0, 1)
    pred[0, 0, 0], labels[0, 0, 0] = 2, NONE
    return [
        segmentation("a class nowhere", 5, draw(0, 1, 3, 4), draw(0, 1, 3, 4)),
        segmentation("a class predicted only where no label is", 3, pred, labels),
        segmentation("a class never predicted", 4, draw(0, 1, 2), draw(0, 1, 2, 3)),
        segmentation("a class only predicted", 4, draw(0, 1, 2, 3), draw(0, 1, 2)),
        segmentation("nothing right", 3, np.where(half, 1, 2), full(0)),
        segmentation("one of several classes, all right", 4, full(2), full(2)),
        segmentation("one of several classes, never found", 4, full(1), full(2)),
        segmentation("a single class", 1, full(0), full(0)),
        segmentation("a single class, half without a label", 1, full(0), np.where(half, NONE, 0)),
        segmentation("no labels", 3, draw(0, 1, 2), full(NONE)),
    ]


def by_scikit_learn(scores, truth, known):
    """Of attributes. By hand where no answer is known, for which it has no value: 0, as any 0/0 with its zero_division=0."""
    said, names = scores > 0.5, range(truth.shape[1])
    each = [dict(zip(["precision", "recall", "f1"], [float(v) for v in sk.precision_recall_fscore_support(
        truth[known[:, a], a], said[known[:, a], a], average="binary", zero_division=0)[:3]] if known[:, a].any() else [0.0] * 3)) for a in names]
    for a in names:
        own = known[:, a]
        # By hand without a positive: both libraries say 0, ours nothing, and leaves it out of the mean.
        each[a]["average_precision"] = float(sk.average_precision_score(truth[own, a], scores[own, a])) if truth[own, a].any() else None
    found = [e["average_precision"] for e in each if e["average_precision"] is not None]
    return {
        "each": each, "accuracy": float((truth == said)[known].mean()) if known.any() else 0.0,
        "f1": float(np.mean([e["f1"] for e in each])),
        "micro_f1": float(sk.f1_score(truth[known], said[known])) if known.any() else 0.0,
        "map": float(np.mean(found)) if found else 0.0,
    }


def by_torchmetrics(scores, answers):
    """The same. By hand as above without a positive; attributes without one are not shown to its mean average precision."""
    s, y, names = torch.tensor(scores), torch.tensor(answers), answers.shape[1]
    of = lambda what, average: getattr(tc, f"multilabel_{what}")(s, y, num_labels=names, average=average, ignore_index=-1)
    each = [dict(precision=p, recall=r, f1=f) for p, r, f in zip(*[of(what, "none").tolist() for what in ("precision", "recall", "f1_score")])]
    found = [a for a in range(names) if (answers[:, a] == 1).any()]
    for a in range(names):
        each[a]["average_precision"] = float(tc.binary_average_precision(s[:, a], y[:, a], ignore_index=-1)) if a in found else None
    mean = lambda: tc.multilabel_average_precision(s[:, found], y[:, found], num_labels=len(found), average="macro", ignore_index=-1)
    return {
        "each": each, "accuracy": float(of("accuracy", "micro")), "f1": float(of("f1_score", "macro")),
        "micro_f1": float(of("f1_score", "micro")), "map": float(mean()) if found else 0.0,
    }


def attributes(name, scores, truth, known):
    answers = np.where(known, truth.astype(int), -1)
    return {
        "name": name, "scores": scores.tolist(), "answers": answers.tolist(),
        "scikit-learn": by_scikit_learn(scores, truth, known), "torchmetrics": by_torchmetrics(scores, answers),
    }


def questions(rng, n, names, ties, missing):
    truth = rng.random((n, names)) < rng.uniform(0.1, 0.7, names)
    truth[0] = True
    scores = np.clip(truth * 0.3 + rng.random((n, names)) * 0.7, 0, 1).astype(np.float32)
    if ties:
        scores = np.round(scores * 8) / 8
    known = rng.random((n, names)) >= missing
    known[0] = True
    return attributes("random", scores, truth, known)


def awkward_questions(rng):
    scores = rng.random((40, 5)).astype(np.float32)
    truth, known = rng.random((40, 5)) < 0.4, rng.random((40, 5)) < 0.8
    # No positive, no negative, no answer, one answer; the last as usual.
    truth[:, 0], truth[:, 1], known[:, 2], known[:, 3] = False, True, False, False
    truth[7, 3] = known[7, 3] = True
    extremes = attributes("none, all, unknown, one", scores, truth, known)
    unknown = attributes("no answers", scores[:4], truth[:4], np.zeros((4, 5), bool))
    nowhere = attributes("no positives", scores, np.zeros((40, 5), bool), known)
    # Three scores only, one of them the threshold, which is not above itself; in the second column all are that one.
    scores = rng.choice(np.array([0, 0.5, 1], np.float32), (40, 3))
    scores[:, 1] = 0.5
    truth = rng.random((40, 3)) < 0.5
    return [extremes, unknown, nowhere, attributes("ties", scores, truth, rng.random((40, 3)) < 0.9)]


def numbers(name, labels, predictions, torch_too=True, r2=None):
    golden = {
        "name": name, "labels": labels.tolist(), "predictions": predictions.tolist(),
        "scikit-learn": {
            "rmse": float(np.sqrt(sk.mean_squared_error(labels, predictions))),
            "mae": float(sk.mean_absolute_error(labels, predictions)),
            "r2": float(sk.r2_score(labels, predictions)) if r2 is None else r2,
        },
    }
    if torch_too:
        p, y = torch.tensor(predictions), torch.tensor(labels)
        golden["torchmetrics"] = {
            "rmse": float(tm.mean_squared_error(p, y, squared=False)), "mae": float(tm.mean_absolute_error(p, y)),
            "r2": float(tm.r2_score(p, y)) if r2 is None else r2,
        }
    return golden


def awkward_numbers(rng):
    near, y = rng.normal(size=20), rng.normal(size=20)
    return [
        # By hand: R² of equal labels is 0/0 or worse, and the mean of twenty times 0.1 need not be 0.1. 1 if all are right, else 0.
        numbers("equal labels", np.full(20, 0.1), 0.1 + near, r2=0.0),
        numbers("equal labels, wrong by the same", np.full(20, 0.1), np.full(20, 0.6), r2=0.0),
        numbers("equal labels, all right", np.full(20, 0.1), np.full(20, 0.1), r2=1.0),
        numbers("all right", y, y.copy()),
        # By hand likewise: neither has an R² of one sample.
        numbers("one sample", np.array([2.0]), np.array([2.5]), r2=0.0),
        # Not torchmetrics: its sums of squares cancel, and it takes squares that sum up to less than 1e-4 for 0.
        numbers("far from 0", 1e6 + y, 1e6 + y + near / 4, torch_too=False),
        numbers("nearly equal", y / 1e4, (y + near / 4) / 1e4, torch_too=False),
    ]


def by_intervals(confidence, right, bins):
    """Expected calibration error over the bins (0, 1/n], (1/n, 2/n], ... in exact arithmetic (the intervals of Guo et al. 2017)."""
    exact, error = [Fraction(float(c)) for c in confidence], Fraction(0)
    for b in range(bins):
        own = [i for i, c in enumerate(exact) if Fraction(b, bins) < c <= Fraction(b + 1, bins)]
        error += abs(sum((exact[i] - int(right[i]) for i in own), Fraction(0)))
    return float(error / len(exact))


def calibration(name, p, labels, bins, ece=None):
    classes = p.shape[1]
    if ece is None:
        ece = float(tc.multiclass_calibration_error(p.double(), labels, num_classes=classes, n_bins=bins))
    return {
        "name": name, "probabilities": p.tolist(), "labels": labels.tolist(), "bins": bins, "ece": ece,
        "top1": float(tc.multiclass_accuracy(p, labels, num_classes=classes, average="micro")),
        "top5": float(tc.multiclass_accuracy(p, labels, num_classes=classes, average="micro", top_k=5)),
    }


def guesses(rng, n, classes, bins, scale):
    logits = torch.tensor(rng.normal(size=(n, classes)) * scale)
    labels = torch.multinomial(torch.softmax(logits * 0.6, 1), 1, generator=torch.Generator().manual_seed(3))[:, 0]
    return calibration("random", torch.softmax(logits, 1).float(), labels, bins)


def awkward_guesses():
    # Six classes: the sure one takes `c`, the others its rest in parts that single precision holds exactly and that all differ.
    parts = torch.tensor([1.0, 0.5, 0.25, 0.125, 0.09375, 0.03125])
    row = lambda c: torch.cat([torch.tensor([c]), (1 - torch.tensor(c)) * parts[1:]])
    turned = lambda rows: torch.stack([r.roll(i) for i, r in enumerate(rows)])

    def case(name, edges, middles, bins, exact):
        # Edges are right, middles mostly wrong, with every label in turn: where gaps have one sign, ECE is the same for any bins. A 1 is
        # right as well, since the other classes are tied at 0.
        rows, ranks = zip(*[(row(c), 0) for c in edges for _ in range(2)], *[(row(c), k) for c in middles for k in range(6)])
        p, labels = turned(rows), torch.tensor([(i + k) % 6 for i, k in enumerate(ranks)])
        sure = p.max(1).values
        ece = by_intervals(sure.tolist(), [k == 0 for k in ranks], bins)
        if exact:
            # torchmetrics' bins are closed at the left: shown the next smaller confidence, it chooses as bins closed at the right do.
            less = torch.where(p == sure[:, None], torch.nextafter(p, torch.zeros(())), p)
            theirs = float(tc.multiclass_calibration_error(less, labels, num_classes=6, n_bins=bins))
            assert abs(theirs - ece) < 1e-6, (theirs, ece)
            other = float(tc.multiclass_calibration_error(p, labels, num_classes=6, n_bins=bins))
            assert abs(other - ece) > 1e-3, "no confidence is on an edge"
        return calibration(name, p, labels, bins, ece)

    # On ties at an edge of the first five, and on ties for the first place with one of the tied as label, torch.topk promises nothing:
    # no such case. These come out the same in any order. Two lead, the label is neither; three are tied within the five; the last two.
    p = torch.tensor([[0.3, 0.3, 0.2, 0.1, 0.06, 0.02, 0.02], [0.3, 0.18, 0.18, 0.18, 0.1, 0.04, 0.02], [0.3, 0.2, 0.18, 0.16, 0.1, 0.03, 0.03]])
    of, labels = zip(*[(0, k) for k in range(2, 7)], *[(1, k) for k in range(7)], *[(2, k) for k in range(7)])
    tied = calibration("ties in any order", p[list(of)], torch.tensor(labels), 15)
    return [
        case("on the edges", [0.375, 0.5, 0.625, 0.75, 0.875, 1.0], [0.4375, 0.5625, 0.8125, 0.9375], 8, True),
        # By hand (above) alone: torchmetrics rounds its edges as the confidences are rounded, which are not on the edges but beside
        # them, on the one side or the other (all but 0.5 and 1); and a 1 has a bin of its own there.
        case("beside the edges of ten", [k / 10 for k in range(4, 11)], [(k + 0.5) / 10 for k in range(4, 10)], 10, False),
        case("beside the edges of fifteen", [k / 15 for k in range(6, 16)], [(k + 0.5) / 15 for k in range(6, 15, 2)], 15, False),
        case("one bin", [0.5, 1.0], [0.75], 1, False),
        calibration("always as sure", turned([row(0.7)] * 24), torch.tensor([(i + (0, 0, 1, 3, 5)[i % 5]) % 6 for i in range(24)]), 15),
        calibration("always as sure, and right", turned([row(1.0)] * 6), torch.arange(6), 15),
        tied,
    ]


def main(target):
    warnings.simplefilter("ignore")
    rng, awkward = np.random.default_rng(5), np.random.default_rng(6)
    y = rng.normal(size=50) * 3 + 1000
    golden = {
        "made_with": f"torchmetrics {torchmetrics.__version__}, scikit-learn {sk.__name__ and __import__('sklearn').__version__}",
        "segmentation": [scenes(rng, 4, (2, 12, 9), 0.7, 0.1), scenes(rng, 19, (1, 40, 40), 0.5, 0.0),
                         scenes(rng, 2, (3, 5, 5), 0.9, 0.3), *awkward_scenes(awkward)],
        "attributes": [questions(rng, 60, 5, False, 0.0), questions(rng, 60, 3, True, 0.3), *awkward_questions(awkward)],
        "numbers": [numbers("far off", y, y + rng.normal(size=50)), numbers("always the mean", np.arange(5.0), np.full(5, 2.0)),
                    numbers("random", rng.normal(size=30), rng.normal(size=30)), *awkward_numbers(awkward)],
        "calibration": [guesses(rng, 200, 10, 15, 2.0), guesses(rng, 80, 6, 10, 0.5), *awkward_guesses()],
    }
    with open(target, "w") as f:
        json.dump(golden, f, separators=(",", ":"))


if __name__ == "__main__":
    main(sys.argv[1])
