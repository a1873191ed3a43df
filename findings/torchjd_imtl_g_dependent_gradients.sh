#!/bin/sh
# TorchJD's IMTL-G takes steps longer than any gradient where gradients are opposite, or nearly so in float32.
#
# Guess:     IMTL-G makes the projections onto all gradients' directions equal, with weights of sum 1. TorchJD documents that its
#            version, by the pseudo-inverse of the Gramian, supports linearly dependent gradients. Where no projections but zero can
#            be equal (two opposite gradients, three in a plane), the pseudo-inverse's weights may have a sum near zero, and dividing by
#            it gives a step longer than any gradient, with projections that are not equal. In float32 the sum is rounding where
#            gradients are opposite but for a hundred-thousandth, and so is the length of the step.
# Versions:  torchjd 0.18.0, torch 2.15.0 (CPU), Python 3.11, Linux x86_64.
# Behaviour: as guessed. The published definition allows only the zero step for the first two; in float64 the third is 6e-6 long.
# Output seen:
#   opposite                step [-15.0, -20.0], 2.50 times the longest gradient; projections [-25.0, 25.0]
#   three in a plane        step [-12.18, -15.89], 2.00 times the longest gradient; projections [-12.18, -5.401, 20.02]
#   nearly opposite         at most 4.97 times the longest gradient in float32, 6.3e-06 times in float64
#
# Usage: sh torchjd_imtl_g_dependent_gradients.sh     (installs into a temporary folder, several GB; removed afterwards)
# Exit:  0: as described. 1: the behaviour has changed. 2: the packages could not be installed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" && "$folder/venv/bin/pip" install --quiet torch==2.15.0 torchjd==0.18.0 || exit 2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import torch
from torchjd.aggregation import IMTLG


def step(rows):
    d = IMTLG()(rows)
    return d, float(d.norm() / rows.norm(dim=1).max())


short = lambda v: [float(f"{x:.4g}") for x in v.tolist()]
as_described = True
for name, rows, least in [
    ("opposite", [[3, 4], [-6, -8]], 2.4),
    ("three in a plane", [[5, 0], [-3, 4], [-6, -8]], 1.9),
]:
    rows = torch.tensor(rows, dtype=torch.float64)
    d, share = step(rows)
    projections = rows @ d / rows.norm(dim=1)
    print(f"{name:23} step {short(d)}, {share:.2f} times the longest gradient; projections {short(projections)}")
    as_described &= share > least and float(projections.max() - projections.min()) > 1

worst = {torch.float32: 0.0, torch.float64: 0.0}
for seed in range(200):
    g = torch.Generator().manual_seed(seed)
    first = torch.randn(1, 1000, generator=g)
    rows = torch.cat([first, -0.7 * first + 1e-5 * torch.randn(1, 1000, generator=g)])
    for dtype in worst:
        worst[dtype] = max(worst[dtype], step(rows.to(dtype))[1])
single, double = worst.values()
print(f"{'nearly opposite':23} at most {single:.2f} times the longest gradient in float32, {double:.1e} times in float64")
as_described &= single > 1.5 and double < 1e-3
sys.exit(0 if as_described else 1)
PYTHON
