#!/usr/bin/env python3
"""Golden values of the distillation methods that distill.safetensors does not hold, from their published formulas in PyTorch.

Usage: python make_methods.py OUT_DIR [--seed 0]     needs: torch, torchvision, numpy, safetensors

Writes methods.safetensors and methods.json, in the form of make_goldens.py: float64 arithmetic stored as float32, PyTorch's layouts.
"""
import argparse, json, pathlib
import torch, torch.nn.functional as F
import torchvision.ops as ops
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
out = pathlib.Path(a.out); g = torch.Generator().manual_seed(a.seed)
store, manifest = {}, {}


def rnd(*s, scale=1.0): return (torch.randn(*s, generator=g) * scale).requires_grad_()
def const(*s, scale=1.0): return torch.randn(*s, generator=g) * scale


def emit(case, attrs, inputs, loss):
    leaves = {n: v for n, v in inputs.items() if v.requires_grad}
    grads = torch.autograd.grad(loss, list(leaves.values()))
    put = lambda kind, n, v: store.__setitem__(f"{case}.{kind}.{n}", v.detach().clone().contiguous().to(torch.int64 if v.dtype == torch.int64 else torch.float32))
    for n, v in inputs.items(): put("input", n, v)
    put("output", "loss", loss)
    for n, v in zip(leaves, grads): put("grad", n, v)
    manifest[case] = dict(attrs=attrs, inputs=list(inputs), outputs=["loss"], grads=list(leaves))


for i, (b, c) in enumerate([(3, 5), (16, 40)]):
    zs, zt, T = rnd(b, c, scale=3), const(b, c, scale=3), 2.0
    ps, pt = torch.sigmoid(zs / T), torch.sigmoid(zt / T)
    kl = pt * (pt / ps).log() + (1 - pt) * ((1 - pt) / (1 - ps)).log()
    emit(f"sigmoid_kd{i}", dict(temperature=T), dict(student=zs, teacher=zt), T * T * kl.sum(1).mean())

for i, (b, ds, dt) in enumerate([(5, 6, 9), (16, 32, 64)]):
    s, t, eps = rnd(b, ds), const(b, dt), 1e-7

    def prob(f):
        u = f / f.pow(2).sum(1, keepdim=True).sqrt(); m = (u @ u.T + 1) / 2
        return m / m.sum(1, keepdim=True)
    p, q = prob(s), prob(t)
    emit(f"pkt{i}", {}, dict(student=s, teacher=t), (q * torch.log((q + eps) / (p + eps))).mean())

    def kernel(f):
        k = f @ f.T; h = torch.eye(b) - torch.full((b, b), 1 / b)
        return h @ k @ h
    k, l = kernel(s), kernel(t)
    emit(f"cka{i}", {}, dict(student=s, teacher=t), 1 - (k * l).sum() / (k.norm() * l.norm()))

for i, (b, cs, ct, h, w) in enumerate([(2, 4, 6, 5, 3), (4, 16, 8, 4, 4)]):
    s, t, A = rnd(b, cs, h, w), const(b, ct, h, w), rnd(ct, cs, 1, 1, scale=0.3)
    rho = (torch.log(torch.exp(torch.tensor(5.0 - 1e-5)) - 1) + const(ct)).requires_grad_()
    var = torch.log(1 + torch.exp(rho)) + 1e-5
    m = F.conv2d(s, A)
    emit(f"vid{i}", {}, dict(student=s, teacher=t, adaptor=A, rho=rho), (0.5 * ((m - t) ** 2 / var[None, :, None, None] + torch.log(var)[None, :, None, None])).mean())

# Maps of different resolution: the larger one pooled adaptively, then attention transfer and FitNet.
for i, (sh, th) in enumerate([((7, 6), (3, 4)), ((4, 4), (8, 8))]):
    s, t, A = rnd(3, 5, *sh), const(3, 8, *th), rnd(8, 5, 1, 1, scale=0.3)
    size = (min(sh[0], th[0]), min(sh[1], th[1])); pool = lambda f: F.adaptive_avg_pool2d(f, size)
    at = lambda f: F.normalize(pool(f).pow(2).mean(1).flatten(1), dim=1)
    emit(f"at_sizes{i}", {}, dict(student=s, teacher=t), (at(s) - at(t)).pow(2).mean())
    emit(f"fitnet_sizes{i}", {}, dict(student=s, teacher=t, adaptor=A), F.mse_loss(F.conv2d(pool(s), A), pool(t)))

# Contrastive distillation against a bank: each side is judged with the other detached; then the batch goes into the ring.
for i, (b, cs, ct, d, k, tau, cursor) in enumerate([(3, 4, 6, 5, 8, 0.5, 6), (8, 16, 12, 16, 24, 0.1, 0)]):
    s, t, labels = rnd(b, cs), const(b, ct), torch.randint(0, 3, (b,), generator=g)
    weights = {n: rnd(*shape, scale=0.5) for n, shape in dict(student_weight=(d, cs), student_bias=(d,), teacher_weight=(d, ct), teacher_bias=(d,)).items()}
    banks = [F.normalize(const(k, d), dim=1) for _ in range(2)]
    classes = torch.randint(-1, 3, (k,), generator=g)
    e = [F.normalize(F.linear(f, weights[f"{n}_weight"], weights[f"{n}_bias"]), dim=1) for n, f in (("student", s), ("teacher", t))]
    Z, loss = torch.exp(torch.tensor(1 / (2 * d * tau ** 2))), 0
    for own, other in ((0, 1), (1, 0)):
        negative = (classes[None, :] != labels[:, None]).to(s.dtype)
        m = negative.sum(1, keepdim=True)
        h = lambda x: x / (x + m * Z)
        positive = torch.exp((e[own] * e[other].detach()).sum(1, keepdim=True) / tau)
        others = torch.exp(e[own] @ banks[other].T / tau)
        loss = loss - (torch.log(h(positive)).sum() + (negative * torch.log(1 - h(others))).sum()) / b
    emit(f"crd{i}", dict(tau=tau, cursor=cursor), dict(student=s, teacher=t, **weights, labels=labels, bank_student=banks[0], bank_teacher=banks[1], classes=classes.double()), loss)
    place = [(cursor + j) % k for j in range(b)]
    for n, bank, rows in (("student", banks[0], e[0]), ("teacher", banks[1], e[1])):
        bank = bank.clone(); bank[place] = rows.detach(); store[f"crd{i}.output.bank_{n}"] = bank.float()
    classes = classes.clone(); classes[place] = labels; store[f"crd{i}.output.classes"] = classes.float()
    manifest[f"crd{i}"]["outputs"] += ["bank_student", "bank_teacher", "classes"]

# Knowledge review: fusion from the deepest level up (interpolate, concatenate, two gates), then the hierarchical loss.
def norm(x, gamma, beta): return F.batch_norm(x, None, None, gamma, beta, training=True, eps=1e-5)


def hcl(s, t):
    loss, share, total = F.mse_loss(s, t), 1.0, 1.0
    for l in (4, 2, 1):
        if l < min(s.shape[2:]):
            share /= 2; total += share
            loss = loss + share * F.mse_loss(F.adaptive_avg_pool2d(s, l), F.adaptive_avg_pool2d(t, l))
    return loss / total


for i, levels in enumerate([[(3, 4, (6, 5), (6, 5)), (5, 6, (3, 3), (3, 3))], [(4, 6, (8, 8), (4, 4)), (6, 8, (4, 4), (8, 8)), (8, 5, (1, 1), (1, 1))]]):
    n, width = 3, levels[-1][0]
    inputs, loss, below = {}, 0, None
    for j, (cs, ct, sh, th) in enumerate(levels):
        inputs[f"student{j}"], inputs[f"teacher{j}"] = rnd(n, cs, *sh), const(n, ct, *th)
        for name, shape in dict(narrow=(width, cs, 1, 1), widen=(ct, width, 3, 3)).items():
            inputs[f"{name}{j}"] = rnd(*shape, scale=0.3)
            inputs[f"{name}_gamma{j}"], inputs[f"{name}_beta{j}"] = (1 + const(shape[0], scale=0.2)).requires_grad_(), rnd(shape[0], scale=0.2)
        if j + 1 < len(levels): inputs[f"attention{j}"], inputs[f"attention_bias{j}"] = rnd(2, 2 * width, 1, 1, scale=0.5), rnd(2)
    for j in reversed(range(len(levels))):
        v = lambda name: inputs[f"{name}{j}"]
        x = norm(F.conv2d(v("student"), v("narrow")), v("narrow_gamma"), v("narrow_beta"))
        if below is not None:
            y = F.interpolate(below, x.shape[2:], mode="nearest")
            a = torch.sigmoid(F.conv2d(torch.cat([x, y], 1), v("attention"), v("attention_bias")))
            x = x * a[:, :1] + y * a[:, 1:]
        below = x = F.interpolate(x, v("teacher").shape[2:], mode="nearest")
        loss = loss + hcl(norm(F.conv2d(x, v("widen"), padding=1), v("widen_gamma"), v("widen_beta")), v("teacher"))
    emit(f"review{i}", {}, inputs, loss)

# Channels at mean 0 and standard deviation 1, each over pixels and samples.
for i, (b, c, h, w) in enumerate([(3, 4, 5, 3), (8, 6, 4, 4)]):
    s, t = rnd(b, c, h, w, scale=2), const(b, c, h, w)

    def standard(f):
        f = f.permute(1, 0, 2, 3).reshape(c, -1)
        return (f - f.mean(-1, keepdim=True)) / (f.std(-1, keepdim=True) + 1e-6)
    emit(f"pkd{i}", {}, dict(student=s, teacher=t), F.mse_loss(standard(s), standard(t)) / 2)

# Where in the image each class is: score maps of a mask, the student's at half the size and enlarged as its decoder does.
for i, (b, c, h, w, T) in enumerate([(2, 3, 3, 4, 1.0), (3, 5, 4, 4, 2.0)]):
    z, t = rnd(b, c, h, w, scale=2), const(b, c, 2 * h, 2 * w, scale=2)
    s = F.interpolate(z, scale_factor=2, mode="bilinear", align_corners=False)
    log = lambda f: F.log_softmax(f.flatten(2) / T, 2)
    emit(f"cwd_logits{i}", dict(temperature=T), dict(student=z, teacher=t), T * T / (b * c) * F.kl_div(log(s), log(t), reduction="sum", log_target=True))

# Imitation of features where objects are: cells that a labelled box touches; a teacher's foreground where nobody has looked (the last
# image) or what is there is not judged. Boxes: left, upper, right, lower, class, and what they are (1 an object, 2 not judged, 3 nobody
# has looked). The teacher's detector has two levels, at the stride of the map and at twice that.
for i, (b, cs, ct, h, w, stride, classes) in enumerate([(3, 4, 6, 4, 5, 4, 2), (4, 8, 8, 6, 6, 8, 3)]):
    s, t, A = rnd(b, cs, h, w), const(b, ct, h, w), rnd(ct, cs, 1, 1, scale=0.3)
    sizes = [(h, w), (-(-h // 2), -(-w // 2))]
    taught = const(b, sum(x * y for x, y in sizes), classes + 5, scale=2)
    boxes = torch.zeros(b, 3, 6)
    for n in range(b - 1):
        for k in range(3 - n % 2):
            y, x, bh, bw = (torch.rand(4, generator=g) * torch.tensor([h - 1, w - 1, h / 2, w / 2]) * stride).tolist()
            boxes[n, k] = torch.tensor([x, y, x + bw + 0.5, y + bh + 0.5, k % classes, 2 if k == 2 else 1])
    boxes[b - 1, 0, 5] = 3
    q = torch.sigmoid(taught[..., :classes]).amax(-1)
    fine = q[:, : h * w].view(b, 1, h, w)
    coarse = F.interpolate(q[:, h * w:].view(b, 1, *sizes[1]), scale_factor=2, mode="nearest")[:, :, :h, :w]
    M, seen = torch.zeros(b, 1, h, w), torch.maximum(fine, coarse)
    M[b - 1] = seen[b - 1]
    for what in (2, 1):
        for n in range(b):
            for x0, y0, x1, y1, _, kind in boxes[n].tolist():
                if kind == what:
                    rows, columns = slice(int(y0 // stride), int(-(-y1 // stride))), slice(int(x0 // stride), int(-(-x1 // stride)))
                    M[n, :, rows, columns] = 1 if what == 1 else seen[n, :, rows, columns]
    assert 0 < M[0].sum() < h * w and 0 < M[b - 1].max() < 1
    emit(f"fgfi{i}", dict(stride=stride, height=h, width=w, classes=classes), dict(student=s, teacher=t, adaptor=A, objects=boxes, taught=taught.transpose(1, 2)), ((F.conv2d(s, A) - t) ** 2 * M).sum() / (2 * M.sum().clamp(min=1)))

# What a detector's teacher says at each place: its classes, as so many yes-or-no answers, each place counting by the teacher's
# foreground, the probability of its most probable class, over the sum of that; and its boxes (torchvision's GIoU) where the foreground
# is 0.3 or more, counting by it, over the sum of it there. Columns: logits of the classes, logarithms of the distances to the left,
# upper, right and lower edge, centre-ness, which is not taught. Classes alone; both; a teacher that is seldom sure; one that sees
# nothing, whose boxes are not asked for; one that is very sure.
for i, (n, c, places, T, boxes, shift, scale) in enumerate([(1, 1, 6, 1.0, 0.0, 0, 2), (2, 3, 20, 2.0, 1.0, -1, 1), (3, 7, 15, 4.0, 0.5, -4, 2), (2, 2, 9, 2.0, 2.0, -6, 1), (2, 4, 12, 1.0, 1.5, -6, 6)]):
    z, t = rnd(n, c + 5, places), const(n, c + 5, places)
    with torch.no_grad(): z[:, :c] *= scale; t[:, :c] = scale * t[:, :c] + shift
    s, taught = z.transpose(1, 2), t.transpose(1, 2)
    q = torch.sigmoid(taught[..., :c]).amax(-1)
    there = q >= 0.3
    assert (q - 0.3).abs().min() > 1e-4 and (i == 3) == (not there.any()) and not (i in (1, 2, 4) and there.all())
    answers = lambda z: torch.distributions.Bernoulli(logits=z[..., :c] / T)
    classes = T * T * (q * torch.distributions.kl_divergence(answers(taught), answers(s)).sum(-1)).sum() / q.sum()
    box = lambda d: torch.cat([-d[:, :2].exp(), d[:, 2:].exp()], 1)
    giou = ops.generalized_box_iou_loss(box(s[..., c:c + 4][there]), box(taught[..., c:c + 4][there]), eps=0)
    emit(f"box_kd{i}", dict(temperature=T, box_weight=boxes, classes=c), dict(student=z, teacher=t), classes + boxes * (giou * q[there]).sum() / q[there].sum().clamp(min=1e-6))

save_file(store, out / "methods.safetensors")
(out / "methods.json").write_text(json.dumps(manifest, indent=1))
print(len(store), list(manifest))
