#!/usr/bin/env python3
"""Golden task weights of the balancing methods that balance.json does not hold, from their published objectives in float64.

Usage: python make_balance_more.py OUT.json [--seed 0]     needs: torch, scipy

`steps`: per step the tasks' losses, the losses after the update, and the gradients (K x D); `ends`: the steps after which an
epoch ends. `weights`: per method the weights of each step. Where a method is given by a loss, its weights are what autograd
says that loss's derivative by each task's loss is. GradVac meets the others in the order k+1, k+2, ... (mod K).
"""
import argparse, json, math, torch
from scipy.optimize import root

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
g = torch.Generator().manual_seed(a.seed)
K, D, STEPS, ENDS = 3, 12, 8, [1, 3, 5]
steps = []
for t in range(STEPS):
    J = torch.randn(K, D, generator=g) * torch.tensor([1.0, 4.0, 0.3])[:, None]
    J[1] -= 0.9 * J[0]
    losses = torch.rand(K, generator=g) * 2 * 0.9 ** t + 0.05
    steps.append(dict(losses=losses, after=losses * (0.7 + 0.25 * torch.rand(K, generator=g)), jacobian=J))


def derivative(total, losses):
    return torch.autograd.grad(total, losses, retain_graph=True)[0].tolist()


def learned(total_of, start, lr):
    s = torch.full((K,), start, requires_grad=True); opt = torch.optim.Adam([s], lr); out = []
    for st in steps:
        L = st["losses"].clone().requires_grad_(); total = total_of(s, L)
        out.append(derivative(total, L))
        opt.zero_grad(); total.backward(inputs=[s]); opt.step()
    return out


W = {}
W["uncertainty"] = learned(lambda s, L: (0.5 * torch.exp(-s) * L + 0.5 * s).sum(), -0.5, 0.01)
W["imtl_l"] = learned(lambda s, L: (torch.exp(s) * L - s).sum(), 0.0, 0.01)

W["gls"] = []
for st in steps:
    L = st["losses"].clone().requires_grad_(); W["gls"].append(derivative(L.prod() ** (1 / K), L))

W["dwa"], means, current = [], [], []
for t, st in enumerate(steps):
    if len(means) < 2: W["dwa"].append([1.0] * K)
    else: W["dwa"].append((K * torch.softmax(means[-1] / means[-2] / 2.0, 0)).tolist())
    current.append(st["losses"])
    if t in ENDS: means.append(torch.stack(current).mean(0)); current = []

# Two epochs of warm-up rather than four, so that the trajectory passes them.
W["stch"], epoch, current, nadir, mu = [], 0, [], None, 1.0
for t, st in enumerate(steps):
    L = st["losses"].clone().requires_grad_()
    if epoch < 2: total = torch.log(L).sum()
    else: total = K * mu * torch.logsumexp(torch.log(L / nadir) / mu, 0)
    W["stch"].append(derivative(total, L)); current.append(st["losses"])
    if t in ENDS:
        epoch += 1
        if epoch == 2: nadir = torch.stack(current).mean(0)
        current = []

w = torch.zeros(K, requires_grad=True); opt = torch.optim.Adam([w], 0.025, weight_decay=1e-3); W["famo"] = []
for st in steps:
    L = st["losses"].clone().requires_grad_(); z = torch.softmax(w, 0); c = (z.detach() / L.detach()).sum()
    W["famo"].append(derivative((z.detach() * torch.log(L)).sum() / c, L))
    delta = torch.log(st["losses"]) - torch.log(st["after"])
    w.grad = torch.autograd.grad(torch.softmax(w, 0), w, grad_outputs=delta)[0]; opt.step()

w = torch.ones(K, requires_grad=True); opt = torch.optim.Adam([w], 0.025); W["gradnorm"] = []
for st in steps:
    W["gradnorm"].append(w.detach().tolist())
    norms = (w[:, None] * st["jacobian"]).norm(dim=1); r = st["losses"] / steps[0]["losses"]; r = r / r.mean()
    target = (norms.mean() * r ** 1.5).detach(); opt.zero_grad(); (norms - target).abs().sum().backward(); opt.step()
    with torch.no_grad(): w *= K / w.sum()


def bargain(G, alpha):
    G = G / G.norm()
    f = lambda u: (G @ torch.exp(torch.tensor(u)) - torch.exp(torch.tensor(u)) ** (-1 / alpha)).numpy()
    r = root(f, (-G.diag().log() / (1 + 1 / alpha)).numpy(), method="hybr", tol=1e-14); assert abs(r.fun).max() < 1e-9, r.fun
    return torch.exp(torch.tensor(r.x)).tolist()


W["nash_mtl"] = [bargain(s["jacobian"] @ s["jacobian"].T, 1.0) for s in steps]
W["fairgrad"] = [bargain(s["jacobian"] @ s["jacobian"].T, 2.0) for s in steps]
logs = [s["jacobian"] / s["losses"][:, None] for s in steps]
W["db_mtl"] = [(x.norm(dim=1).max() / x.norm(dim=1) / s["losses"]).tolist() for x, s in zip(logs, steps)]

# The combined gradient rather than the weights: it is what GradVac's program computes.
phi, vac = torch.zeros(K, K), []
for st in steps:
    J = st["jacobian"]; total = torch.zeros(D)
    for k in range(K):
        own = J[k].clone()
        for j in [(k + i) % K for i in range(1, K)]:
            c = float(own @ J[j] / (own.norm() * J[j].norm())); p = float(phi[k, j])
            if c < p:
                own = own + own.norm() * (p * math.sqrt(1 - c * c) - c * math.sqrt(1 - p * p)) / (J[j].norm() * math.sqrt(1 - p * p)) * J[j]
            phi[k, j] = 0.5 * p + 0.5 * c
        total = total + own
    vac.append(total.tolist())

plain = lambda v: v.tolist() if torch.is_tensor(v) else v
json.dump(dict(torch=torch.__version__, seed=a.seed, ends=ENDS, steps=[{k: plain(v) for k, v in s.items()} for s in steps], weights=W, gradvac=vac), open(a.out, "w"))
print({k: [round(x, 3) for x in v[-1]] for k, v in W.items()})
