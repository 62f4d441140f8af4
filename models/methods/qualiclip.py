"""QualiCLIP: CLIP's image encoder learns that two overlapping crops lose quality alike, level by level."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput
from edge_iqa.models.clip import load_clip
from edge_iqa.models.clip_teachers import PromptTeacher, prompt_table
from edge_iqa.models.methods.base import TrainingMethod, normalise
from edge_iqa.models.objectives.qualiclip import PROMPT_PAIRS, consistency_loss, level_loss
from edge_iqa.models.training_batches import Batch, batch_generator
from edge_iqa.models.training_recipe import TrainingRecipe


@dataclass(frozen=True)
class QualiclipObjective:
    """Margins and weights of the three losses; ``crop_px`` is the side of the two crops of a window.

    The undistorted crop is not among the levels unless ``with_undistorted`` (ours) is set.
    """

    crop_px: int = 192
    consistency_margin: float = 0.0025
    rank_margin: float = 0.0675
    consistency: float = 1.0
    positive: float = 1.0
    negative: float = 1.0
    with_undistorted: bool = True


class QualiclipMethod(TrainingMethod):
    """The image encoder learns, the prompts' embeddings stand."""

    network: PromptTeacher

    def __init__(self, recipe: TrainingRecipe, spec: QualiclipObjective) -> None:
        super().__init__()
        window = recipe.training.window
        if not window / 2 < spec.crop_px <= window:
            raise InvalidInput(
                f"Two crops of {spec.crop_px} pixels need not overlap in a window of {window}",
                fix="set objective.crop_px above half of training.window and not above it",
            )
        if recipe.data.compositions:
            raise InvalidInput("The method qualiclip takes no compositions", fix="set data.compositions = 0")
        self._spec = spec
        self._levels = len(recipe.data.levels)
        clip = load_clip(recipe.clip)
        self.network, self.network_name = PromptTeacher(clip.image.architecture, len(PROMPT_PAIRS)), "qualiclip"
        self.network.image.load_state_dict(clip.image.state_dict())
        prompts = [positive for positive, _ in PROMPT_PAIRS] + [negative for _, negative in PROMPT_PAIRS]
        self.network.prompts.copy_(prompt_table(clip.text.encode(prompts), PROMPT_PAIRS))
        self.start = clip.source

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return list(self.network.image.parameters())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        spec = self._spec
        crops = overlapping_crops(batch["pictures"], spec.crop_px, batch_generator(batch))
        pixels = normalise(crops.flatten(0, 2), self.network)
        positive, negative = (
            self._series(torch.unflatten(one.float(), 0, crops.shape[:3]))
            for one in self.network.cosines(self._embed(pixels))
        )
        terms = {
            "consistency": consistency_loss(positive[0], positive[1], margin=spec.consistency_margin)
            + consistency_loss(negative[0], negative[1], margin=spec.consistency_margin),
            "positive": level_loss(positive, margin=spec.rank_margin),
            "negative": level_loss(-negative, margin=spec.rank_margin),
        }
        loss = sum((getattr(spec, name) * value for name, value in terms.items()), torch.zeros_like(terms["positive"]))
        return {"loss": loss, **terms}

    def _embed(self, pixels: Tensor) -> Tensor:
        return self.network.features(pixels)

    def _series(self, cosines: Tensor) -> Tensor:
        """Arrange cosines ``(2, B, V, P)`` as series of rising level: ``(2, B, chains, P, L)``."""
        chains = torch.unflatten(cosines[:, :, 1:], 2, (-1, self._levels))
        if self._spec.with_undistorted:
            first = cosines[:, :, :1, None].expand(-1, -1, chains.shape[2], -1, -1)
            chains = torch.cat([first, chains], dim=3)
        return torch.transpose(chains, 3, 4)

    def fix_scale(self, logits: Tensor) -> None:
        scale = self.network.scale
        scale.settle(logits.to(scale.centre.device) * scale.spread + scale.centre)


def overlapping_crops(pictures: Tensor, crop_px: int, generator: torch.Generator) -> Tensor:
    """Cut two squares at random places from ``(B, V, S, S, 3)``: ``(2, B, V, crop, crop, 3)``.

    All versions of a content are cut at the same places; with a crop of more than half the side the two overlap.
    """
    room = pictures.shape[2] - crop_px + 1
    places = torch.randint(room, (2, len(pictures), 2), generator=generator).tolist()
    return torch.stack(
        [
            torch.stack(
                [
                    versions[:, top : top + crop_px, left : left + crop_px]
                    for versions, (top, left) in zip(pictures, view, strict=True)
                ]
            )
            for view in places
        ]
    )
