#!/usr/bin/env python3
"""Golden values of the distillation methods that distill.safetensors does not hold, from their published formulas in PyTorch.

Usage: python make_methods.py OUT_DIR [--seed 0]     needs: torch, numpy, safetensors

Writes methods.safetensors and methods.json, in the form of make_goldens.py: float64 arithmetic stored as float32, PyTorch's layouts.
"""
import argparse, json, pathlib
import torch, torch.nn.functional as F
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

save_file(store, out / "methods.safetensors")
(out / "methods.json").write_text(json.dumps(manifest, indent=1))
print(len(store), list(manifest))
