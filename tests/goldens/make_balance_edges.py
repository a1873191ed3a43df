#!/usr/bin/env python3
"""Golden combined gradients at the edges (opposite, dependent, vanishing, very short gradients), in exact arithmetic.

Usage: python make_balance_edges.py OUT.json     needs: nothing beside Python

Gradients and their lengths are rational, and so is what follows from them by linear algebra: MGDA, PCGrad, GradVac's first step,
UPGrad, DualProj and IMTL-G's directions, in `fractions`. Where a method takes roots (CAGrad, Nash-MTL, FairGrad, Aligned-MTL) they
have 70 digits, and the rank is decided by elimination. From the published objectives; where they have no answer, from what the
method's doc comment says: zero for IMTL-G where no projections are equal, and for a bargain where gradients cancel.

`cases`: `gradients` and `losses`, and per method the `combined` gradient (GradNorm: the `weights` of its second step, as its first
are ones). PCGrad and GradVac meet the others in the order k+1, k+2, ... (mod K).
"""
import argparse, json
from decimal import Decimal, getcontext
from fractions import Fraction as F
from itertools import combinations

getcontext().prec = 70
ap = argparse.ArgumentParser(); ap.add_argument("out"); a = ap.parse_args()
SMALL = F(1, 10**6)
CASES = {
    "opposite": [[3, 4], [-6, -8]],
    "opposite and as long": [[3, 4], [-3, -4]],
    "parallel": [[3, 4], [6, 8]],
    "in a plane": [[5, 0], [6, 8], [-4, 3]],
    "in a plane, around zero": [[5, 0], [-3, 4], [-6, -8]],
    "two alike": [[3, 4], [4, -3], [6, 8]],
    "one vanishes": [[3, 4], [0, 0], [-5, 0]],
    "one a million times shorter": [[3, 4, 0], [-4 * SMALL, 0, 3 * SMALL], [0, -3, 4]],
    "all a million times shorter": [[3 * SMALL, 4 * SMALL, 0], [-8 * SMALL, 0, 6 * SMALL], [0, -3 * SMALL, 4 * SMALL]],
}
LOSSES = [F(1, 2), F(2), F(5, 4)]


def D(x): return Decimal(x.numerator) / Decimal(x.denominator) if isinstance(x, F) else Decimal(x)
def dot(a, b): return sum(x * y for x, y in zip(a, b))
def root(x):
    """The rational root of a square."""
    r = F(round(D(x * 10**40).sqrt()), 10**20).limit_denominator(10**9); assert r * r == x, x; return r
def combine(J, w): return [sum(D(wk) * D(g[i]) for wk, g in zip(w, J)) for i in range(len(J[0]))]


def eliminate(A, b):
    """A solution of A x = b (free variables zero), or None; and the rank."""
    n, m = len(A), len(A[0]); M = [list(r) + [v] for r, v in zip(A, b)]; pivots = []
    for c in range(m):
        r = len(pivots); p = max(range(r, n), key=lambda i: abs(M[i][c]), default=None)
        if p is None or M[p][c] == 0: continue
        M[r], M[p] = M[p], M[r]; M[r] = [v / M[r][c] for v in M[r]]
        for i in range(n):
            if i != r: M[i] = [x - M[i][c] * y for x, y in zip(M[i], M[r])]
        pivots.append(c)
    x = [type(b[0])(0)] * m
    for r, c in enumerate(pivots): x[c] = M[r][-1]
    return (None if any(M[i][-1] != 0 for i in range(len(pivots), n)) else x), len(pivots)


def supports(n): return [S for k in range(1, n + 1) for S in combinations(range(n), k)]


def mgda(J, G, n):
    """Shortest point of the hull: on some affinely independent support the conditions of the optimum hold."""
    for S in supports(n):
        A = [[G[i][j] for j in S] + [F(1)] for i in S] + [[F(1)] * len(S) + [F(0)]]
        x, rank = eliminate(A, [F(0)] * len(S) + [F(1)])
        if x is None or rank < len(A) or min(x[:-1]) < 0: continue
        w = [F(0)] * n
        for i, k in enumerate(S): w[k] = x[i]
        if min(dot(G[k], w) for k in range(n)) >= dot(w, [dot(G[k], w) for k in range(n)]): return w


def dual(J, G, n, each):
    """Nearest point of the dual cone, with 1e-4 on the diagonal of the Gramian of trace 1: min v'Gv over v >= u."""
    t = sum(G[k][k] for k in range(n)); R = [[G[i][j] / t + (F(1, 10**4) if i == j else 0) for j in range(n)] for i in range(n)]
    total = [F(0)] * n
    for u in ([[F(int(i == k), n) for i in range(n)] for k in range(n)] if each else [[F(1, n)] * n]):
        for S in [()] + supports(n):
            b = [dot(R[k], u) for k in range(n)]; v = list(u)
            if S:
                x, _ = eliminate([[R[i][j] for j in S] for i in S], [-b[i] for i in S])
                if min(x) < 0: continue
                for i, k in enumerate(S): v[k] += x[i]
            if min(dot(R[k], v) for k in range(n)) >= 0: break
        total = [a + b for a, b in zip(total, v)]
    return total


def pcgrad(J, G, n):
    total = [F(0)] * len(J[0])
    for k in range(n):
        own = list(J[k])
        for j in [(k + i) % n for i in range(1, n)]:
            p = dot(own, J[j])
            if p < 0: own = [x - p / dot(J[j], J[j]) * y for x, y in zip(own, J[j])]
        total = [x + y for x, y in zip(total, own)]
    return total


def cagrad(J, G, n, c):
    """d = g0 + sum z_k g_k, z = G^-1 (level 1 - b) on the support, of length c |g0|: a quadratic equation for the level."""
    g0 = [sum(g[i] for g in J) / n for i in range(len(J[0]))]; b = [dot(g, g0) for g in J]; r2 = c * c * dot(g0, g0)
    if r2 == 0: return [D(0)] * len(g0)
    for S in supports(n):
        A = [[G[i][j] for j in S] for i in S]; p, rank = eliminate(A, [F(1)] * len(S))
        if rank < len(S): continue
        q, _ = eliminate(A, [b[k] for k in S]); bs = [b[k] for k in S]
        # (level 1 - b)' G^-1 (level 1 - b) = r2
        e, f, h = sum(p), -2 * sum(q), dot(bs, q) - r2; disc = f * f - 4 * e * h
        if disc < 0: continue
        for sign in (1, -1):
            level = (-D(f) + sign * D(disc).sqrt()) / (2 * D(e)); z = [level * D(x) - D(y) for x, y in zip(p, q)]
            d = [D(x) + sum(zk * D(J[k][i]) for zk, k in zip(z, S)) for i, x in enumerate(g0)]
            slack = Decimal(10) ** -50 * D(max(G[k][k] for k in range(n)))
            if min(z) >= 0 and all(sum(D(x) * y for x, y in zip(g, d)) >= level - slack for g in J): return d
    return [D(x) for x in g0]  # The best for the worst is not to move along it: one of them vanishes.


def imtl(J, G, n):
    """Equal projections. v: the shortest solution of C v = 1, or else what the null space of C has of 1."""
    keep = [k for k in range(n) if G[k][k]]; l = [root(G[k][k]) for k in keep]; m = len(keep)
    C = [[G[i][j] / x / y for j, y in zip(keep, l)] for i, x in zip(keep, l)]; one = [F(1)] * m
    C2 = [[sum(C[i][k] * C[k][j] for k in range(m)) for j in range(m)] for i in range(m)]; times = lambda u: [dot(r, u) for r in C]
    inside = times(eliminate(C2, times(one))[0]); outside = [x - y for x, y in zip(one, inside)]
    v = outside if any(outside) else times(eliminate(C2, one)[0])
    w = [x / y for x, y in zip(v, l)]; d = [sum(x * J[k][i] for x, k in zip(w, keep)) for i in range(len(J[0]))]
    length = D(dot(d, d)).sqrt() / D(max(l))
    return [D(x) / max(abs(D(sum(w))), length) for x in d]


def eigen(A):
    """Jacobi's rotations, 70 digits."""
    n = len(A); A = [[D(x) for x in r] for r in A]; V = [[D(int(i == j)) for j in range(n)] for i in range(n)]
    for _ in range(60):
        for p in range(n):
            for q in range(p + 1, n):
                if A[p][q] == 0: continue
                th = (A[q][q] - A[p][p]) / (2 * A[p][q]); t = (1 if th >= 0 else -1) / (abs(th) + (th * th + 1).sqrt())
                c = 1 / (t * t + 1).sqrt(); s = t * c
                for X in (A, V):
                    for r in X: r[p], r[q] = c * r[p] - s * r[q], s * r[p] + c * r[q]
                A[p], A[q] = [c * x - s * y for x, y in zip(A[p], A[q])], [s * x + c * y for x, y in zip(A[p], A[q])]
    return sorted(((A[k][k], [V[i][k] for i in range(n)]) for k in range(n)), key=lambda e: -e[0])


def aligned(J, G, n):
    pairs = eigen(G)[: eliminate(G, [F(0)] * n)[1]]; w = [D(0)] * n
    for value, e in pairs: w = [x + (pairs[-1][0] / value).sqrt() * sum(e) / n * y for x, y in zip(w, e)]
    return combine(J, w)


def bargain(J, G, n, alpha):
    """G w = w^(-1/alpha), G of Frobenius norm 1, by Newton in log w; None where there is none (a positive sum that is zero)."""
    keep = [k for k in range(n) if G[k][k]]; m = len(keep)
    size = D(sum(G[i][j] ** 2 for i in keep for j in keep)).sqrt(); A = [[D(G[i][j]) / size for j in keep] for i in keep]
    low = mgda([J[k] for k in keep], [[G[i][j] for j in keep] for i in keep], m)
    if not any(sum(x * J[k][i] for x, k in zip(low, keep)) for i in range(len(J[0]))): return [D(0)] * len(J[0])
    u = [-A[k][k].ln() / (1 + 1 / D(alpha)) for k in range(m)]; residual = None
    for _ in range(400):
        w = [x.exp() for x in u]; pull = [(-x / D(alpha)).exp() for x in u]; g = [dot(r, w) for r in A]
        slope = [w[k] * (g[k] - pull[k]) for k in range(m)]; residual = max(abs(g[k] / pull[k] - 1) for k in range(m))
        if residual < Decimal(10) ** -40: break
        H = [[w[i] * A[i][j] * w[j] + (max(slope[i], D(0)) + w[i] * pull[i] / D(alpha) if i == j else 0) for j in range(m)] for i in range(m)]
        step, _ = eliminate(H, [-s for s in slope]); reach = max(1, *(abs(s) for s in step)); u = [x + s / reach for x, s in zip(u, step)]
    assert residual < Decimal(10) ** -30, residual
    full = [D(0)] * n
    for x, k in zip(w, keep): full[k] = x
    return combine(J, full)


cases = []
for name, J in CASES.items():
    J = [[F(x) for x in g] for g in J]; n = len(J); G = [[dot(x, y) for y in J] for x in J]; L = LOSSES[:n]
    norms = [root(G[k][k]) for k in range(n)]; logs = [x / l for x, l in zip(norms, L)]
    # Adam's first step is its rate times the sign; afterwards the sum is K again.
    mean = sum(norms) / n; stepped = [1 - F(25, 1000) * ((x > mean) - (x < mean)) * (x > 0) for x in norms]
    out = dict(
        mgda=combine(J, mgda(J, G, n)), pcgrad=pcgrad(J, G, n), gradvac=pcgrad(J, G, n), cagrad=[x / D(F(5, 4)) for x in cagrad(J, G, n, F(1, 2))],
        imtl_g=imtl(J, G, n), nash_mtl=bargain(J, G, n, 1), aligned_mtl=aligned(J, G, n), fairgrad=bargain(J, G, n, 2),
        db_mtl=combine(J, [max(logs) / (x * l) if x else F(0) for x, l in zip(logs, L)]),
        upgrad=combine(J, dual(J, G, n, True)), dual_proj=combine(J, dual(J, G, n, False)))
    numbers = lambda v: [float(x) for x in v]
    cases.append(dict(name=name, gradients=[numbers(g) for g in J], losses=numbers(L),
                      combined={k: numbers(v) for k, v in out.items()}, gradnorm=numbers(x * n / sum(stepped) for x in stepped)))
    print(name, {k: [float(f"{float(x):.4g}") for x in v] for k, v in out.items()})
json.dump(dict(cases=cases), open(a.out, "w"))
