#!/usr/bin/env python3
"""Golden values of a network with a head of every kind: a residual trunk, decoders for a mask and for depth, a number, attributes,
and a detector with FCOS's losses (torchvision's focal and GIoU losses).

Usage: python make_dense.py OUT_DIR [--seed 0]     needs: torch, torchvision, numpy, safetensors

Writes dense.safetensors and dense.json: one pass in training, its losses, every gradient and running statistic, then evaluation.
float64 arithmetic stored as float32, PyTorch's layouts. Images of 13x11, so that no stage halves evenly.
"""
import argparse, json, pathlib
import torch, torch.nn as nn, torch.nn.functional as F
import torchvision.ops as ops
from safetensors.torch import save_file

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
out = pathlib.Path(a.out); torch.manual_seed(a.seed)
CHANNELS, WIDTH, CLASSES, ATTRIBUTES, SHAPES = (4, 8, 16), 8, 5, 3, 3


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


class Detector(nn.Module):
    """Levels 2 and 3 of the trunk, each with a convolution and answers of its own."""
    def __init__(self):
        super().__init__()
        for i in (2, 3):
            setattr(self, f"lateral{i}", nn.Sequential(nn.Conv2d(CHANNELS[i - 1], WIDTH, 1, bias=False), nn.BatchNorm2d(WIDTH)))
            setattr(self, f"tower{i}", nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH)))
            setattr(self, f"answers{i}", nn.Linear(WIDTH, SHAPES + 5))

    def forward(self, maps):
        p3 = F.relu(self.lateral3(maps[2]))
        up = F.interpolate(p3, size=maps[1].shape[2:], mode="bilinear", align_corners=False)
        p2 = F.relu(self.lateral2(maps[1]) + up)
        say = lambda i, p: getattr(self, f"answers{i}")(F.relu(getattr(self, f"tower{i}")(p)).permute(0, 2, 3, 1)).flatten(1, 2)
        return torch.cat([say(2, p2), say(3, p3)], 1)


def places(h, w):
    """Middle of every place, its stride, and the distances its level sees."""
    rows = []
    for stride, least, most in ((2, 0, 16), (4, 16, float("inf"))):
        for i in range(-(-h // stride)):
            for j in range(-(-w // stride)):
                rows.append(((j + 0.5) * stride, (i + 0.5) * stride, stride, least, most))
    return torch.tensor(rows)


def detection_losses(z, objects, h, w):
    """FCOS's three losses of z [n, places, classes + 5]; objects: for each image rows of left, upper, right, lower, class."""
    p = places(h, w)
    x, y, s, least, most = p.T
    label = torch.full(z.shape[:2], -1); target = torch.zeros(*z.shape[:2], 4)
    for n, boxes in enumerate(objects):
        for k in sorted(range(len(boxes)), key=lambda k: -float((boxes[k, 2] - boxes[k, 0]) * (boxes[k, 3] - boxes[k, 1]))):
            l, u, r, b, c = boxes[k]
            d = torch.stack([x - l, y - u, r - x, b - y], 1)
            off = torch.maximum((x - (l + r) / 2).abs(), (y - (u + b) / 2).abs())
            far = d.max(1).values
            own = (d.min(1).values > 0) & (off < 1.5 * s) & (far > least) & (far <= most)
            label[n, own], target[n, own] = int(c), d[own]  # the smallest comes last
    found = label >= 0
    count = found.sum().clamp(min=1)
    one_hot = F.one_hot(label.clamp(min=0), SHAPES).double() * found[..., None]
    focal = ops.sigmoid_focal_loss(z[..., :SHAPES], one_hot, alpha=0.25, gamma=2, reduction="sum") / count
    t = target[found]
    centre = (t[:, 0::2].min(1).values / t[:, 0::2].max(1).values * t[:, 1::2].min(1).values / t[:, 1::2].max(1).values).sqrt()
    at = p[:, :2].expand(z.shape[0], -1, -1)[found]
    said = z[..., SHAPES:SHAPES + 4].exp()[found] * s.expand(z.shape[0], -1)[found][:, None]
    box = lambda d: torch.cat([at - d[:, :2], at + d[:, 2:]], 1)
    giou = (ops.generalized_box_iou_loss(box(said), box(t), eps=0) * centre).sum() / centre.sum()
    bce = F.binary_cross_entropy_with_logits(z[..., -1][found], centre, reduction="sum") / count
    return dict(focal=focal, giou=giou, centre=bce), int(found.sum())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, CHANNELS[0], 3, 1, 1, bias=False), nn.BatchNorm2d(CHANNELS[0])
        for i, o in enumerate(CHANNELS):
            setattr(self, f"layer{i + 1}", nn.Sequential(Block(CHANNELS[max(i - 1, 0)], o, 2 if i else 1)))
        self.heads = nn.ModuleDict(dict(mask=Decoder(CLASSES), depth=Decoder(1), number=nn.Linear(CHANNELS[-1], 1),
                                        attributes=nn.Linear(CHANNELS[-1], ATTRIBUTES), boxes=Detector()))

    def forward(self, x):
        x, maps = F.relu(self.bn1(self.conv1(x))), []
        for i in (1, 2, 3):
            x = getattr(self, f"layer{i}")(x); maps.append(x)
        pooled = x.mean((2, 3))
        return {k: h(maps if k in ("mask", "depth", "boxes") else pooled) for k, h in self.heads.items()}


net, n, h, w = Net(), 4, 13, 11
t = {f"before.{k}": v.detach().clone() for k, v in net.state_dict().items()}
x = torch.randn(n, 3, h, w)
mask = torch.randint(0, CLASSES, (n, h, w)); mask[torch.rand(n, h, w) < 0.1] = 255
depth = torch.randn(n, h, w); there = torch.rand(n, h, w) < 0.8
number, known = torch.randn(n), torch.tensor([True, True, False, True])
attributes = torch.randint(0, 2, (n, ATTRIBUTES)).double(); answered = torch.rand(n, ATTRIBUTES) < 0.7
# Edges off the places' middles; the third image is empty, and its fourth row is no object.
objects = [torch.tensor([[0.3, 1.2, 9.4, 12.1, 0], [4.1, 5.3, 10.2, 9.9, 2], [1.1, 0.7, 4.9, 4.2, 1]]),
           torch.tensor([[2.2, 2.3, 6.7, 11.8, 1]]), torch.zeros(0, 5), torch.tensor([[-3.4, -2.1, 8.3, 7.7, 2], [6.1, 6.2, 10.9, 12.9, 0]])]
z = net(x)
detection, positives = detection_losses(z["boxes"], objects, h, w)
assert positives > 10
losses = dict(**detection,
    mask=F.cross_entropy(z["mask"], mask, ignore_index=255),
    depth=F.huber_loss(z["depth"][:, 0][there], depth[there], delta=0.7),
    number=F.mse_loss(z["number"][:, 0][known], number[known]),
    attributes=F.binary_cross_entropy_with_logits(z["attributes"][answered], attributes[answered]))
weights = dict(mask=0.5, depth=0.3, number=0.2, attributes=0.1, focal=0.4, giou=0.6, centre=0.7)
sum(weights[k] * l for k, l in losses.items()).backward()
t["x"], t["mask"] = x, mask
t["depth"] = torch.where(there, depth, torch.full_like(depth, 2e30))
t["number"] = torch.where(known, number, torch.full_like(number, 2e30))
t["attributes"] = torch.where(answered, attributes, torch.full_like(attributes, -1))
rows = torch.zeros(n, 3, 6)
for i, o in enumerate(objects):
    rows[i, : len(o), :5], rows[i, : len(o), 5] = o, 1
t["objects"] = rows
# Channels second, as everywhere else.
second = lambda k, v: (v.transpose(1, 2) if k == "boxes" else v).detach()
t.update({f"logits.{k}": second(k, v) for k, v in z.items()})
t.update({f"loss.{k}": losses[k].detach().reshape(1) for k in weights})
t.update({f"grad.{k}": p.grad for k, p in net.named_parameters()})
t.update({f"after.{k}": v.detach().clone() for k, v in net.state_dict().items()})
net.eval()
t.update({f"eval.{k}": second(k, v) for k, v in net(x).items()})
keep = {k: v.contiguous() if v.dtype == torch.int64 else v.contiguous().float() for k, v in t.items() if "num_batches" not in k}
save_file(keep, out / "dense.safetensors")
(out / "dense.json").write_text(json.dumps(dict(attrs=dict(weights=weights, delta=0.7, torch=torch.__version__))))
print(len(keep), "tensors")
