"""Image-text models (CLIP) for the methods that start from one: what they need of it, and the loader of open_clip.

``open_clip_torch`` is not installed with edge-iqa: it brings torchvision and timm. Only training needs it; a trained
teacher carries its image encoder and the embeddings of its prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from edge_iqa.errors import InvalidInput, MissingDependency, ModelRefused, WeightsMissing
from edge_iqa.models.checkpoint import fill
from edge_iqa.models.clip_resnet import ClipResNet
from edge_iqa.models.text import TextEncoder

_POSITION = "attnpool.positional_embedding"


@dataclass(frozen=True)
class Clip:
    """An image-text model: the image encoder, which methods may train, and the frozen text encoder.

    ``text.width`` equals ``image.embedding``; ``source`` says where the weights are from.
    """

    image: ClipResNet
    text: TextEncoder
    source: str


class OpenClipText:
    """The text half of a model that open_clip loaded."""

    def __init__(self, model: Any, tokenizer: Callable[[list[str]], Tensor], name: str, width: int) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self.name = name
        self.width = width

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return one unit vector per prompt, float32 ``(P, width)``."""
        rows = [
            self._model.encode_text(self._tokenizer(list(prompts[start : start + 64])))
            for start in range(0, len(prompts), 64)
        ]
        return F.normalize(torch.cat(rows).float(), dim=1)


def load_open_clip(source: str) -> Clip:
    """Load ``MODEL:WEIGHTS`` by open_clip, e.g. ``RN50:openai`` (a tag) or ``RN50:/path/to/weights.safetensors``.

    Raises MissingDependency without open_clip, InvalidInput for a malformed name, WeightsMissing where the weights
    cannot be had, and ModelRefused where the image encoder is not one of CLIP's ResNets.
    """
    model_name, _, weights = source.partition(":")
    if not model_name or not weights:
        raise InvalidInput(
            f"The image-text model {source!r} is not named in full",
            fix='write clip = "open_clip:RN50:openai", or a file in place of the tag',
        )
    try:
        import open_clip
    except ImportError as error:
        raise MissingDependency(
            "The package open_clip_torch is not installed",
            why=f"the method starts from an image-text model ({error})",
            fix="pip install 'edge-iqa[clip]' (it brings torchvision and timm), and have the weights in a file",
        ) from error
    looks_like_a_file = "/" in weights or Path(weights).suffix in (".pt", ".pth", ".bin", ".safetensors")
    if looks_like_a_file and not Path(weights).is_file():
        raise WeightsMissing(
            f"There is no file {weights}", fix="name the weights of the image-text model in the recipe"
        )
    try:
        model = open_clip.create_model(model_name, pretrained=weights, precision="fp32", device="cpu")
        tokenizer = open_clip.get_tokenizer(model_name)
    except Exception as error:  # a hub that cannot be reached ends in many kinds of error
        raise WeightsMissing(
            f"open_clip cannot give {model_name} with the weights {weights}",
            why=" ".join(f"{type(error).__name__}: {error}".split())[:300],
            fix="fetch the weights on a machine with a connection and name the file: open_clip:MODEL:/path/to/file",
        ) from error
    image = image_encoder(model.visual, source)
    return Clip(image, OpenClipText(model, tokenizer, f"open_clip {source}", image.embedding), f"open_clip:{source}")


def image_encoder(visual: Any, name: str) -> ClipResNet:
    """Copy the image encoder of an open_clip model into our network, without its positional embedding."""
    state: dict[str, Tensor] = visual.state_dict()
    if _POSITION not in state:
        raise ModelRefused(
            f"{name} is not a ResNet of CLIP",
            why="a transformer's positions fix the size of the picture; quality is scored at the picture's own size",
            fix="use RN50, RN101 or another RN model of open_clip",
        )
    layers = [len(getattr(visual, f"layer{index}")) for index in range(1, 5)]
    width = state["conv3.weight"].shape[0]
    embedding = state["attnpool.c_proj.weight"].shape[0]
    image = ClipResNet(layers, width, int(visual.attnpool.num_heads), embedding)
    fill(image, {key: value.float() for key, value in state.items() if key != _POSITION}, name)
    return image


CLIP_LOADERS: dict[str, Callable[[str], Clip]] = {"open_clip": load_open_clip}
"""Loaders by the first word of a name; a program may add its own, which gets what stands after the colon."""


def load_clip(source: str) -> Clip:
    """Return the image-text model called ``LOADER:NAME``; raises InvalidInput for an unknown loader."""
    loader, _, name = source.partition(":")
    if loader not in CLIP_LOADERS:
        raise InvalidInput(
            f"There is no image-text model {source!r}" if source else "The recipe names no image-text model",
            why="this method starts from CLIP",
            fix='set clip = "open_clip:RN50:/path/to/weights" in the recipe',
        )
    return CLIP_LOADERS[loader](name)
