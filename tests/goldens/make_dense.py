#!/usr/bin/env python3
"""Golden values of a network with a head of every kind: a residual trunk, decoders for a mask and for depth, a number, attributes.

Usage: python make_dense.py OUT_DIR [--seed 0]     needs: torch, numpy, safetensors

Writes dense.safetensors and dense.json: one pass in training, its losses, every gradient and running statistic, then evaluation.
float64 arithmetic stored as float32, PyTorch's layouts. Images of 13x11, so that no stage halves evenly.
"""
import argparse, json, pathlib
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
out = pathlib.Path(a.out); torch.manual_seed(a.seed)
CHANNELS, WIDTH, CLASSES, ATTRIBUTES = (4, 8, 16), 8, 5, 3


class Block(nn.Module):
    def __init__(self, i, o, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        if stride != 1 or i != o:
            self.downsample = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))


class Decoder(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        for i, c in enumerate(CHANNELS, 1):
            setattr(self, f"lateral{i}", nn.Sequential(nn.Conv2d(c, WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH)))
        self.smooth = nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH))
        self.answers = nn.Linear(WIDTH, outputs)

    def forward(self, maps):
        p = None
        for i in range(len(maps), 0, -1):
            y = getattr(self, f"lateral{i}")(maps[i - 1])
            if p is not None:
                y = y + F.interpolate(p, size=y.shape[2:], mode="bilinear", align_corners=False)
            p = F.relu(y)
        # At stride 1 the finest map is as large as the image.
        return self.answers(F.relu(self.smooth(p)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, CHANNELS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS[0])
        for i, o in enumerate(CHANNELS):
            setattr(self, f"layer{i + 1}", nn.Sequential(Block(CHANNELS[max(i - 1, 0)], o, 2 if i else 1)))
        self.heads = nn.ModuleDict(dict(mask=Decoder(CLASSES), depth=Decoder(1), number=nn.Linear(CHANNELS[-1], 1),
                                        attributes=nn.Linear(CHANNELS[-1], ATTRIBUTES)))

    def forward(self, x):
        x, maps = F.relu(self.bn1(self.conv1(x))), []
        for i in (1, 2, 3):
            x = getattr(self, f"layer{i}")(x); maps.append(x)
        pooled = x.mean((2, 3))
        return {k: h(maps if k in ("mask", "depth") else pooled) for k, h in self.heads.items()}


net, n, h, w = Net(), 4, 13, 11
t = {f"before.{k}": v.detach().clone() for k, v in net.state_dict().items()}
x = torch.randn(n, 3, h, w)
mask = torch.randint(0, CLASSES, (n, h, w)); mask[torch.rand(n, h, w) < 0.1] = 255
depth = torch.randn(n, h, w); there = torch.rand(n, h, w) < 0.8
number, known = torch.randn(n), torch.tensor([True, True, False, True])
attributes = torch.randint(0, 2, (n, ATTRIBUTES)).double(); answered = torch.rand(n, ATTRIBUTES) < 0.7
z = net(x)
losses = dict(
    mask=F.cross_entropy(z["mask"], mask, ignore_index=255),
    depth=F.huber_loss(z["depth"][:, 0][there], depth[there], delta=0.7),
    number=F.mse_loss(z["number"][:, 0][known], number[known]),
    attributes=F.binary_cross_entropy_with_logits(z["attributes"][answered], attributes[answered]))
weights = dict(mask=0.5, depth=0.3, number=0.2, attributes=0.1)
sum(weights[k] * l for k, l in losses.items()).backward()
t["x"], t["mask"] = x, mask
t["depth"] = torch.where(there, depth, torch.full_like(depth, 2e30))
t["number"] = torch.where(known, number, torch.full_like(number, 2e30))
t["attributes"] = torch.where(answered, attributes, torch.full_like(attributes, -1))
for k in weights:
    t[f"logits.{k}"], t[f"loss.{k}"] = z[k].detach(), losses[k].detach().reshape(1)
t.update({f"grad.{k}": p.grad for k, p in net.named_parameters()})
t.update({f"after.{k}": v.detach().clone() for k, v in net.state_dict().items()})
net.eval()
t.update({f"eval.{k}": v.detach() for k, v in net(x).items()})
keep = {k: v.contiguous() if v.dtype == torch.int64 else v.contiguous().float() for k, v in t.items() if "num_batches" not in k}
save_file(keep, out / "dense.safetensors")
(out / "dense.json").write_text(json.dumps(dict(attrs=dict(weights=weights, delta=0.7, torch=torch.__version__))))
print(len(keep), "tensors")
