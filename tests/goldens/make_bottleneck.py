#!/usr/bin/env python3
"""Golden values of a ResNet-50 whose last two stages are dilated, with a linear head and a decoder: torchvision's own blocks and its
own rule of dilation (replace_stride_with_dilation = [False, True, True]), at a width that keeps the file small.

Usage: python make_bottleneck.py OUT_DIR [--seed 0]     needs: torch, torchvision, safetensors

Writes bottleneck.safetensors and bottleneck.json: one pass in training, its losses, every gradient and running statistic, then
evaluation. float64 arithmetic stored as float32, PyTorch's layouts. Grey images of 35x31, whose maps are 9x8 and then 5x4.
"""
import argparse, json, pathlib
import torch, torch.nn as nn, torch.nn.functional as F
from safetensors.torch import save_file
from torchvision.models.resnet import Bottleneck, ResNet

torch.set_default_dtype(torch.float64)
ap = argparse.ArgumentParser(); ap.add_argument("out"); ap.add_argument("--seed", type=int, default=0); a = ap.parse_args()
out = pathlib.Path(a.out); torch.manual_seed(a.seed)
# limbeck's widths for width = 0.0235: multiples of four.
STEM, WIDTHS, BLOCKS, DECODER, CLASSES, MASK = 4, (4, 4, 8, 12), (3, 4, 6, 3), 4, 5, 2
CHANNELS = tuple(Bottleneck.expansion * w for w in WIDTHS)


class Decoder(nn.Module):
    """As in make_dense.py, for maps that are smaller than the image."""
    def __init__(self):
        super().__init__()
        for i, c in enumerate(CHANNELS, 1):
            setattr(self, f"lateral{i}", nn.Sequential(nn.Conv2d(c, DECODER, 1, bias=False), nn.BatchNorm2d(DECODER)))
        self.smooth = nn.Sequential(nn.Conv2d(DECODER, DECODER, 3, 1, 1, bias=False), nn.BatchNorm2d(DECODER))
        self.answers = nn.Linear(DECODER, MASK)

    def forward(self, maps, size):
        p = None
        for i in range(len(maps), 0, -1):
            y = getattr(self, f"lateral{i}")(maps[i - 1])
            p = F.relu(y if p is None else y + F.interpolate(p, size=y.shape[2:], mode="bilinear", align_corners=False))
        y = self.answers(F.relu(self.smooth(p)).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.interpolate(y, size=size, mode="bilinear", align_corners=False)


class Net(ResNet):
    """torchvision's constructor fixes the widths, so the layers are made here, by its _make_layer."""
    def __init__(self):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, STEM, 1, 1, 64
        self.conv1, self.bn1 = nn.Conv2d(1, STEM, 7, 2, 3, bias=False), nn.BatchNorm2d(STEM)
        for i, (width, blocks) in enumerate(zip(WIDTHS, BLOCKS)):
            layer = self._make_layer(Bottleneck, width, blocks, stride=2 if i else 1, dilate=i >= 2)
            setattr(self, f"layer{i + 1}", layer)
        self.heads = nn.ModuleDict(dict(fc=nn.Linear(CHANNELS[-1], CLASSES), mask=Decoder()))

    def forward(self, x):
        size, maps = x.shape[2:], []
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in (1, 2, 3, 4):
            x = getattr(self, f"layer{i}")(x); maps.append(x)
        assert [tuple(m.shape[2:]) for m in maps] == [(9, 8), (5, 4), (5, 4), (5, 4)]
        return dict(fc=self.heads["fc"](x.mean((2, 3))), mask=self.heads["mask"](maps, size)), maps


net, n, h, w = Net(), 2, 35, 31
dilations = [m.dilation[0] for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)]
assert dilations == [1] * 8 + [2] * 6 + [4] * 2 + [1], dilations
# Norms that are not all alike.
for p in (m for m in net.modules() if isinstance(m, nn.BatchNorm2d)):
    nn.init.uniform_(p.weight, 0.7, 1.3); nn.init.normal_(p.bias, 0, 0.2)
# Weak residual branches (Goyal et al. 2017 begin them at 0): otherwise 50 layers of so few channels amplify the rounding of float32,
# PyTorch's own too, beyond what a comparison may allow.
for p in (m.bn3 for m in net.modules() if isinstance(m, Bottleneck)):
    nn.init.uniform_(p.weight, 0.1, 0.3)
t = {f"before.{k}": v.detach().clone() for k, v in net.state_dict().items()}
x, y = torch.randn(n, 1, h, w), torch.randint(0, CLASSES, (n,))
mask = torch.randint(0, MASK, (n, h, w)); mask[torch.rand(n, h, w) < 0.1] = 255
z, maps = net(x)
losses = dict(fc=F.cross_entropy(z["fc"], y), mask=F.cross_entropy(z["mask"], mask, ignore_index=255))
weights = dict(fc=0.4, mask=0.6)
sum(weights[k] * l for k, l in losses.items()).backward()
t.update(x=x, y=y, mask=mask.to(torch.int64))
t.update({f"logits.{k}": v.detach() for k, v in z.items()})
t["map"] = maps[-1].detach()
t.update({f"loss.{k}": l.detach().reshape(1) for k, l in losses.items()})
t.update({f"grad.{k}": p.grad for k, p in net.named_parameters()})
t.update({f"after.{k}": v.detach().clone() for k, v in net.state_dict().items() if "running" in k})
net.eval()
t["eval.fc"] = net(x)[0]["fc"].detach()
keep = {k: v.contiguous() if v.dtype == torch.int64 else v.contiguous().float() for k, v in t.items() if "num_batches" not in k}
save_file(keep, out / "bottleneck.safetensors")
(out / "bottleneck.json").write_text(json.dumps(dict(attrs=dict(weights=weights, torch=torch.__version__))))
print(len(keep), "tensors,", (out / "bottleneck.safetensors").stat().st_size, "bytes")
