"""A small image-text model with random weights, and twenty small photographs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge_iqa.assets import photographs_folder
from edge_iqa.models.clip import CLIP_LOADERS, Clip
from edge_iqa.models.clip_resnet import ClipResNet

EMBEDDING = 32


class RandomText:
    """Every prompt gets the random unit vector that its hash seeds."""

    name = "random"
    width = EMBEDDING

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return ``(P, 32)``."""
        seeds = [int(hashlib.sha256(prompt.encode()).hexdigest()[:12], 16) for prompt in prompts]
        rows = [torch.randn(EMBEDDING, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return F.normalize(torch.stack(rows), dim=1)


def random_clip(name: str) -> Clip:
    """Return a small CLIP whose activations are alive: He initialisation, batch statistics taken from noise."""
    torch.manual_seed(0)
    image = ClipResNet((1, 1, 1, 1), 16, 4, EMBEDDING)
    for module in image.modules():
        module.training = True
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        image(torch.randn(8, 3, 64, 64))
    image.eval()
    return Clip(image, RandomText(), f"random:{name}")


@pytest.fixture
def small_clip(monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name under which recipes find the small random model."""
    monkeypatch.setitem(CLIP_LOADERS, "random", random_clip)
    return "random:small"


@pytest.fixture(scope="session")
def twenty_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the ten embedded photographs, small, and of a mirrored cut of each."""
    folder = tmp_path_factory.mktemp("twenty")
    for path in sorted(photographs_folder().glob("*.jpg")):
        picture = cv2.imread(str(path))
        assert picture is not None
        scale = 200 / min(picture.shape[:2])
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / f"{path.stem}.png"), small)
        cv2.imwrite(str(folder / f"{path.stem}-mirrored.png"), small[:180, 179::-1])
    return folder
