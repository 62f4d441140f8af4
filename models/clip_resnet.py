"""CLIP's ResNet image encoder for pictures of any size (Radford et al., "Learning Transferable Visual Models", 2021).

Parameters are named as in the public checkpoints (``visual.layer1.0.conv1.weight`` …), so that the weights that
open_clip loads fit. As GRepQ, QualiCLIP and HiRQA do, the attention pool leaves its positional embedding out: it exists
for one size only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from edge_iqa.models.hirqa import AttentionPool

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_EXPANSION = 4


class ClipBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions; a stride is an average pool before the last one and in the shortcut."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.act2 = nn.ReLU()
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.act3 = nn.ReLU()
        self.downsample: nn.Sequential | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                OrderedDict(
                    [
                        ("-1", nn.AvgPool2d(stride)),
                        ("0", nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                        ("1", nn.BatchNorm2d(out_channels)),
                    ]
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.act1(self.bn1(self.conv1(x)))
        out = self.act2(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        shortcut: Tensor = x if self.downsample is None else self.downsample(x)
        result: Tensor = self.act3(out + shortcut)
        return result


class ClipResNet(nn.Module):
    """``(N, 3, H, W)`` → the embedding ``(N, embedding)`` and the third stage's map ``(N, 16 width, H/16, W/16)``.

    ``layers`` counts the blocks of the four stages, ``width`` is the stem's, ``heads`` the attention pool's. RN50 is
    (3, 4, 6, 3), 64, 32 and an embedding of 1024. Batch norms keep their stored statistics while training.
    """

    mean = CLIP_MEAN
    std = CLIP_STD

    def __init__(self, layers: Sequence[int], width: int, heads: int, embedding: int) -> None:
        super().__init__()
        self.architecture = {"layers": list(layers), "width": width, "heads": heads, "embedding": embedding}
        self.embedding = embedding
        self.middle_channels = width * 4 * _EXPANSION
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.act = nn.ReLU()
        self.avgpool = nn.AvgPool2d(2)
        channels = width
        stages: list[nn.Sequential] = []
        for index, count in enumerate(layers):
            blocks: list[nn.Module] = []
            for block in range(count):
                blocks.append(ClipBottleneck(channels, width << index, 2 if index > 0 and block == 0 else 1))
                channels = (width << index) * _EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.attnpool = AttentionPool(channels, heads, embedding)

    def train(self, mode: bool = True) -> ClipResNet:
        """Set the mode of all but the batch norms, which always use their stored statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = self.act(norm(conv(x)))
        x = self.avgpool(x)
        middle: Tensor = self.layer3(self.layer2(self.layer1(x)))
        embedding: Tensor = self.attnpool(self.layer4(middle))
        return embedding, middle
