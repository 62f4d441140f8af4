"""SFD-IQA as far as it is public: two discriminators on frozen CLIP features, undistorted against distorted."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from edge_iqa.models.clip import load_clip
from edge_iqa.models.clip_teachers import DiscriminatorTeacher, prompt_table
from edge_iqa.models.methods.base import TrainingMethod, flat_pixels
from edge_iqa.models.objectives.qualiclip import PROMPT_PAIRS
from edge_iqa.models.objectives.sfd_iqa import feature_loss, prompt_pair_loss
from edge_iqa.models.training_batches import Batch
from edge_iqa.models.training_recipe import TrainingRecipe


@dataclass(frozen=True)
class SfdIqaObjective:
    """Weights of the two losses, the discriminator's width and κ, the scale of the prompt margins."""

    feature: float = 1.0
    prompt: float = 1.0
    hidden: int = 256
    prompt_scale: float = 10.0


class SfdIqaMethod(TrainingMethod):
    """The discriminator and the prompt pairs learn, CLIP stands."""

    network: DiscriminatorTeacher

    def __init__(self, recipe: TrainingRecipe, spec: SfdIqaObjective) -> None:
        super().__init__()
        self._spec = spec
        clip = load_clip(recipe.clip)
        self.network = DiscriminatorTeacher(clip.image.architecture, len(PROMPT_PAIRS), spec.hidden, spec.prompt_scale)
        self.network_name = "sfd-iqa"
        self.network.image.load_state_dict(clip.image.state_dict())
        prompts = [positive for positive, _ in PROMPT_PAIRS] + [negative for _, negative in PROMPT_PAIRS]
        self.network.prompts.copy_(prompt_table(clip.text.encode(prompts), PROMPT_PAIRS))
        self.start = clip.source

    def pretrained_parameters(self) -> list[nn.Parameter]:
        return []

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        maps, margins, _ = self.network.judge(flat_pixels(batch, self.network))
        undistorted = batch["levels"].flatten() == 0
        terms = {
            "feature": feature_loss(maps.float(), undistorted),
            "prompt": prompt_pair_loss(margins.float(), undistorted),
        }
        return {"loss": self._spec.feature * terms["feature"] + self._spec.prompt * terms["prompt"], **terms}

    def fix_scale(self, logits: Tensor) -> None:
        scale = self.network.scale
        scale.settle(logits.to(scale.centre.device) * scale.spread + scale.centre)
