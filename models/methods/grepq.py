"""GRepQ: quality-aware contrast on fragments, with CLIP's branch where the recipe names an image-text model.

The paper's: fragments at the same places for all versions of a content and an independent, mirrored sampling as the
second view, FSIM as the weight of positives, the pristine bank, both scores. Ours: the two branches are trained in one
run and the group contrast takes all versions of the batch, not undistorted pictures only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput
from edge_iqa.models.clip import load_clip
from edge_iqa.models.grepq_teacher import GRepQTeacher, moments
from edge_iqa.models.methods.base import TrainingMethod, flat_pixels, normalise, pristine_crops
from edge_iqa.models.objectives.grepq import group_contrastive_loss, quality_contrastive_loss
from edge_iqa.models.pristine_bank import pristine_patches
from edge_iqa.models.training_batches import Batch, batch_generator
from edge_iqa.models.training_data import TrainingSet
from edge_iqa.models.training_recipe import TrainingRecipe
from edge_iqa.models.trunks import LITE, start_trunk

PROMPTS = ("a Good photo.", "a Bad photo.")
_PSEUDO_LABEL_TEMPERATURE = 0.1
_GROUP_HEAD = 128


@dataclass(frozen=True)
class GrepqObjective:
    """Fragments of ``grid`` x ``grid`` pieces of ``piece_px``; patches of ``patch_px`` for the score; temperatures.

    ``group_weight`` and ``group_size`` are those of CLIP's branch.
    """

    grid: int = 7
    piece_px: int = 32
    patch_px: int = 96
    temperature: float = 0.5
    group_weight: float = 1.0
    group_size: int = 4
    group_temperature: float = 0.5


class GrepqMethod(TrainingMethod):
    """Both branches, or the low-level one alone."""

    network: GRepQTeacher

    def __init__(self, recipe: TrainingRecipe, spec: GrepqObjective) -> None:
        super().__init__()
        if not recipe.data.similarity:
            raise InvalidInput("The method grepq needs data.similarity", fix='set similarity = "fsim" in [data]')
        if spec.grid * spec.piece_px > recipe.training.window:
            raise InvalidInput(
                f"Fragments of {spec.grid} x {spec.piece_px} pixels do not fit a window of {recipe.training.window}"
            )
        self._spec = spec
        self._pretrained = recipe.backbone == LITE or bool(recipe.weights)
        clip = load_clip(recipe.clip) if recipe.clip else None
        architecture = None if clip is None else clip.image.architecture
        self.network = GRepQTeacher(recipe.backbone, architecture, spec.patch_px)
        self.network_name = "grepq"
        self.start = start_trunk(self.network.backbone, recipe.weights)
        self.group_head: nn.Sequential | None = None
        if clip is not None and self.network.image is not None:
            self.network.image.load_state_dict(clip.image.state_dict())
            self.network.prompts.copy_(clip.text.encode(PROMPTS))
            self.group_head = nn.Sequential(nn.Linear(clip.image.embedding, _GROUP_HEAD), nn.ReLU())
            self.start += f", {clip.source}"

    def pretrained_parameters(self) -> list[nn.Parameter]:
        parts: list[nn.Module] = [self.network.backbone] if self._pretrained else []
        parts += [] if self.network.image is None else [self.network.image]
        return [parameter for part in parts for parameter in part.parameters()]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        spec = self._spec
        pixels = flat_pixels(batch, self.network)
        versions = batch["levels"].shape[1]
        generator = batch_generator(batch)
        views = [fragments(pixels, versions, spec.grid, spec.piece_px, generator) for _ in range(2)]
        flips = torch.rand(2, generator=generator) < 0.5
        views[1] = views[1].flip([axis for axis, flip in zip((2, 3), flips.tolist(), strict=True) if flip])
        first, second = (torch.unflatten(self.network.embed(view).float(), 0, (-1, versions)) for view in views)
        loss = quality_contrastive_loss(first, second, batch["similarity"], temperature=spec.temperature)
        terms = {"contrast": loss}
        if self.group_head is not None:
            embedding, cosines = self.network.prompt_cosines(pixels)
            quality = torch.sigmoid((cosines[:, 0] - cosines[:, 1]) / _PSEUDO_LABEL_TEMPERATURE).detach()
            terms["groups"] = group_contrastive_loss(
                self.group_head(embedding).float(),
                quality,
                group_size=spec.group_size,
                temperature=spec.group_temperature,
            )
            loss = loss + spec.group_weight * terms["groups"]
        return {"loss": loss, **terms}

    @torch.no_grad()
    def settle(self, data: TrainingSet) -> None:
        """Fit the pristine bank with the network as it is."""
        device = self.network.pristine_mean.device
        was_training = self.network.training
        self.network.eval()
        embedded: list[Tensor] = []
        for crop in pristine_crops(data):
            pixels = crop.to(device).float().permute(0, 3, 1, 2) / 255
            patches = pristine_patches(self.network.patches(pixels, self.network.patch_px)[0])
            ready = normalise((patches * 255).round().to(torch.uint8).permute(0, 2, 3, 1), self.network)
            embedded.append(self.network.embed(ready))
        mean, covariance = moments(torch.cat(embedded)[None])
        self.network.pristine_mean.copy_(mean[0])
        self.network.pristine_covariance.copy_(covariance[0])
        self.network.train(was_training)

    def fix_scale(self, logits: Tensor) -> None:
        scale = self.network.scale
        scale.settle(logits.to(scale.centre.device) * scale.spread + scale.centre)


def fragments(pixels: Tensor, versions: int, grid: int, piece_px: int, generator: torch.Generator) -> Tensor:
    """Cut one ``piece_px`` square at a random place of each cell of a grid and put them together (FAST-VQA, 2022).

    ``pixels`` ``(B V, 3, H, W)`` → ``(B V, 3, grid piece_px, grid piece_px)``; all ``versions`` of a content are cut
    at the same places.
    """
    contents = len(pixels) // versions
    room = [side // grid - piece_px + 1 for side in pixels.shape[2:]]
    cell = [side // grid for side in pixels.shape[2:]]
    places = [torch.randint(one, (contents, grid, grid), generator=generator).tolist() for one in room]
    by_content: list[Tensor] = []
    for content, part in enumerate(torch.split(pixels, versions)):
        rows: list[Tensor] = []
        for row in range(grid):
            pieces: list[Tensor] = []
            for column in range(grid):
                top = row * cell[0] + places[0][content][row][column]
                left = column * cell[1] + places[1][content][row][column]
                pieces.append(part[:, :, top : top + piece_px, left : left + piece_px])
            rows.append(torch.cat(pieces, dim=3))
        by_content.append(torch.cat(rows, dim=2))
    return torch.cat(by_content)
