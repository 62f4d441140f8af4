"""The convolutional trunks that a teacher is built on, by name, and the weights that they start from."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput, ModelRefused
from edge_iqa.models.efficientnet_lite import LITE_MEAN, LITE_STD, EfficientNetLite0, load_imagenet
from edge_iqa.models.hirqa import HIRQA_MEAN, HIRQA_STD
from edge_iqa.models.resnet import ResNetTrunk

LITE = "efficientnet-lite0"
BACKBONES = (LITE, "resnet-18", "resnet-50")
_LITE_TAPS = (10, 15)  # the last block at stride 16, which carries most of the quality signal, and the last at 32
# the names of a classifier's ResNet → the numbers in ResNetTrunk.features
_CLASSIFIER_NAMES = {"conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7"}


class LiteTrunk(nn.Module):
    """EfficientNet-Lite0 read at two depths: ``(N, 3, H, W)`` → ``(N, 432, H/32, W/32)``; sides are cut to 32s.

    The 112 channels at stride 16 are averaged over 2x2 positions and stand before the 320 at stride 32. The batch
    statistics of ImageNet are kept while training: small batches of distorted pictures would spoil them. Ours.
    """

    mean = LITE_MEAN
    std = LITE_STD

    def __init__(self) -> None:
        super().__init__()
        self.trunk = EfficientNetLite0(_LITE_TAPS)
        self.channels = sum(self.trunk.tap_channels)

    def train(self, mode: bool = True) -> LiteTrunk:
        """Set the mode of all but the batch norms, which always use their stored statistics."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2] // 32 * 32, x.shape[3] // 32 * 32
        middle, last = self.trunk(x[:, :, :height, :width])
        return torch.cat([nn.functional.avg_pool2d(middle, 2), last], dim=1)


class HiRQATrunk(ResNetTrunk):
    """A ResNet trunk with the normalisation of HiRQA's authors."""

    mean = HIRQA_MEAN
    std = HIRQA_STD


Trunk = LiteTrunk | HiRQATrunk


def make_trunk(backbone: str) -> Trunk:
    """Return a trunk with random weights; raises InvalidInput for a name that is not in ``BACKBONES``."""
    if backbone not in BACKBONES:
        raise InvalidInput(f"There is no backbone {backbone!r}", fix=f"one of: {', '.join(BACKBONES)}")
    return LiteTrunk() if backbone == LITE else HiRQATrunk(18 if backbone == "resnet-18" else 50)


def start_trunk(trunk: nn.Module, weights: str) -> str:
    """Fill a trunk with what it starts from and return that in words.

    EfficientNet-Lite0 starts from the ImageNet weights of its package; a ResNet from the file ``weights``, or from
    random numbers where that is empty. Raises InvalidInput for a missing or needless file and ModelRefused for one
    that does not fit.
    """
    if isinstance(trunk, LiteTrunk):
        if weights:
            raise InvalidInput(
                "Weights can be named for a ResNet backbone only", why="EfficientNet-Lite0 brings its own"
            )
        load_imagenet(trunk.trunk)
        return "ImageNet"
    if not isinstance(trunk, ResNetTrunk):
        raise TypeError(f"{type(trunk).__name__} is not a trunk")
    if not weights:
        return "random"
    load_resnet(trunk, Path(weights))
    return Path(weights).name


def load_resnet(trunk: ResNetTrunk, path: Path) -> None:
    """Fill a ResNet trunk from a ``.safetensors`` or a plain ``.pth``; a classifier's last layer is left out.

    Understood are the usual classifier names (``layer1.0.conv1.weight``) and those of HiRQA's authors. Raises
    InvalidInput where there is no file, ModelRefused where it is not one or does not fit.
    """
    from edge_iqa.models.checkpoint import fill

    if not path.is_file():
        raise InvalidInput(f"There is no file {path}", fix="name the weights of the backbone")
    state = {_trunk_key(key): value for key, value in _read_state(path).items()}
    fill(trunk, {key: value for key, value in state.items() if key.startswith("features.")}, path.name)


def _read_state(path: Path) -> Mapping[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelRefused(
            f"{path.name} cannot be read as plain weights",
            why=" ".join(str(error).split())[:200],
            fix="give a .safetensors, or a .pth that holds tensors only",
        ) from error
    for key in ("model_state_dict", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ModelRefused(f"{path.name} holds no table of tensors", fix="give the state dict of a ResNet")
    return content


def _trunk_key(key: str) -> str:
    key = key.removeprefix("module.").removeprefix("backbone.")
    first, _, rest = key.partition(".")
    return f"features.{_CLASSIFIER_NAMES[first]}.{rest}" if first in _CLASSIFIER_NAMES else key
