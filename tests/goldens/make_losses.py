#!/usr/bin/env python3
"""Golden values of losses on labels that loss.safetensors does not hold: cross entropy with class weights and labels left out, focal
loss over a softmax, binary cross entropy with weights of yes, soft Dice, and a detector's focal and GIoU losses (torchvision's).

Usage: python make_losses.py OUT_DIR [--seed 0]     needs: torch, torchvision, numpy, safetensors

Writes losses.safetensors and losses.json, in the form of make_methods.py: float64 arithmetic stored as float32, PyTorch's layouts.
A label of 255 marks a sample or pixel that has none.
"""
import argparse, json, pathlib
import torch, torch.nn.functional as F
import torchvision.ops as ops
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
out = pathlib.Path(a.out); g = torch.Generator().manual_seed(a.seed)
store, manifest = {}, {}
NONE = 255


# Inputs are rounded to what is stored, so that nothing but the arithmetic differs.
def rounded(v): return v.float().double()
def rnd(*s, scale=1.0): return rounded(torch.randn(*s, generator=g) * scale).requires_grad_()
def uniform(*s, low=0.0, high=1.0): return rounded(torch.rand(*s, generator=g) * (high - low) + low)


def labels(c, *s, missing=0.2):
    y = torch.randint(0, c, s, generator=g)
    y[torch.rand(*s, generator=g) < missing] = NONE
    return y


def emit(case, attrs, inputs, loss):
    leaves = {n: v for n, v in inputs.items() if v.requires_grad}
    grads = torch.autograd.grad(loss, list(leaves.values()))
    put = lambda kind, n, v: store.__setitem__(f"{case}.{kind}.{n}", v.detach().clone().contiguous().to(torch.int64 if v.dtype == torch.int64 else torch.float32))
    for n, v in inputs.items(): put("input", n, v)
    put("output", "loss", loss)
    for n, v in zip(leaves, grads): put("grad", n, v)
    manifest[case] = dict(attrs=attrs, inputs=list(inputs), outputs=["loss"], grads=list(leaves))


# Rows, and maps [n, c, h, w].
SHAPES = [((6, 3), 3), ((17, 10), 10), ((2, 5, 6, 7), 5)]
for i, (shape, c) in enumerate(SHAPES):
    z, y = rnd(*shape, scale=3), labels(c, shape[0], *shape[2:])
    emit(f"ce_ignore{i}", dict(label_smoothing=0.0 if i else 0.1), dict(z=z, y=y), F.cross_entropy(z, y, ignore_index=NONE, label_smoothing=0.0 if i else 0.1))
    z, y, w = rnd(*shape, scale=3), labels(c, shape[0], *shape[2:]), uniform(c, low=0.2, high=3)
    w[c - 1] = 0
    emit(f"ce_weighted{i}", dict(gamma=0.0), dict(z=z, y=y, class_weights=w), F.cross_entropy(z, y, weight=w, ignore_index=NONE))

# (1 - p)^gamma (-log p) of the label's p, each sample counting with its class's weight, over the sum of those.
for i, ((shape, c), gamma) in enumerate(zip(SHAPES, [1.0, 2.0, 1.5])):
    z, y, w = rnd(*shape, scale=2), labels(c, shape[0], *shape[2:]), uniform(c, low=0.2, high=3)
    there = y != NONE
    logp = F.log_softmax(z, 1).movedim(1, -1)[there].gather(1, y[there][:, None])[:, 0]
    own = w[y[there]]
    emit(f"focal{i}", dict(gamma=gamma), dict(z=z, y=y, class_weights=w), -(own * (1 - logp.exp()) ** gamma * logp).sum() / own.sum())

# Soft targets too; a target below 0 marks an element without one.
for i, (b, c) in enumerate([(5, 3), (16, 20)]):
    z, w, there = rnd(b, c, scale=3), uniform(c, low=0.2, high=5), torch.rand(b, c, generator=g) < 0.8
    y = torch.where(torch.rand(b, c, generator=g) < 0.7, (torch.rand(b, c, generator=g) < 0.4).double(), uniform(b, c))
    loss = F.binary_cross_entropy_with_logits(z, y, pos_weight=w, reduction="none")[there].mean()
    emit(f"bce_positive{i}", {}, dict(z=z, y=torch.where(there, y, torch.full_like(y, -1)), positive_weights=w), loss)

# Sums over the batch, plain in the denominator; the mean over the classes that occur, by their weights. The last class never occurs, but
# in the first case.
for i, (shape, c, s, even) in enumerate([((4, 3, 5, 5), 3, 1e-5, True), ((2, 6, 7, 4), 6, 1.0, False), ((3, 21, 8, 8), 21, 1e-5, False)]):
    z, w = rnd(*shape, scale=2), torch.ones(c) if even else uniform(c, low=0.2, high=3)
    y = labels(c if even else c - 1, shape[0], *shape[2:])
    there = y != NONE
    p, one_hot = z.softmax(1).movedim(1, -1)[there], F.one_hot(y[there], c).double()
    dice = (2 * (p * one_hot).sum(0) + s) / (p.sum(0) + one_hot.sum(0) + s)
    occurs = w * (one_hot.sum(0) > 0)
    emit(f"dice{i}", dict(smoothing=s), dict(z=z, y=y, class_weights=w), (occurs * (1 - dice)).sum() / occurs.sum())

# What the places of two levels are to say: class (-1 nothing, -2 not judged), distances to the edges in strides, centre-ness.
for i, (n, sizes, strides, c) in enumerate([(1, [(3, 4), (2, 2)], [4, 8], 2), (2, [(5, 4), (3, 2)], [8, 16], 7)]):
    places = sum(h * w for h, w in sizes)
    z = rnd(n, c + 5, places)
    label = torch.randint(-2, c, (n, places), generator=g); label[:, 0], label[:, 1], label[:, 2] = 0, -1, -2
    d = uniform(n, places, 4, low=0.1, high=4)
    ratio = lambda a, b: torch.minimum(a, b) / torch.maximum(a, b)
    centre = rounded((ratio(d[..., 0], d[..., 2]) * ratio(d[..., 1], d[..., 3])).sqrt())
    targets = torch.cat([label[..., None].double(), d, centre[..., None]], -1)
    found, judged = label >= 0, label > -2
    attrs = dict(classes=c, **{f"{k}{l}": v for l, (h, w) in enumerate(sizes) for k, v in (("height", h), ("width", w), ("stride", strides[l]))})
    said = z.transpose(1, 2)
    one_hot = F.one_hot(label.clamp(min=0), c).double() * found[..., None]
    focal = ops.sigmoid_focal_loss(said[..., :c][judged], one_hot[judged], alpha=0.25, gamma=2, reduction="sum") / found.sum().clamp(min=1)
    emit(f"sigmoid_focal{i}", dict(alpha=0.25, gamma=2.0, **attrs), dict(z=z, targets=targets.flatten(0, 1)), focal)
    middles = torch.cat([torch.stack([(torch.arange(h * w) % w + 0.5) * s, (torch.arange(h * w) // w + 0.5) * s, torch.full((h * w,), float(s))], 1) for (h, w), s in zip(sizes, strides)])
    at, s = middles[:, :2].expand(n, -1, -1)[found], middles[:, 2:].expand(n, -1, -1)[found]
    box = lambda d: torch.cat([at - s * d[:, :2], at + s * d[:, 2:]], 1)
    giou = ops.generalized_box_iou_loss(box(said[..., c:c + 4][found].exp()), box(d[found]), eps=0)
    emit(f"giou{i}", attrs, dict(z=z, targets=targets.flatten(0, 1)), (giou * centre[found]).sum() / centre[found].sum())

save_file(store, out / "losses.safetensors")
(out / "losses.json").write_text(json.dumps(manifest, indent=1))
print(len(store), list(manifest))
