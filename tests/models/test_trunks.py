"""Trunks: they start from the usual weight files, take any size, and refuse what does not fit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge_iqa.errors import InvalidInput, ModelRefused
from edge_iqa.models.grepq_teacher import GRepQTeacher, moments
from edge_iqa.models.pristine_bank import colourfulness, pristine_patches, sharpness
from edge_iqa.models.resnet import ResNetTrunk
from edge_iqa.models.trunk_teachers import HiRQALite, Ranker, spread_head
from edge_iqa.models.trunks import load_resnet, make_trunk, start_trunk

CLASSIFIER = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}


def classifier_state(trunk: ResNetTrunk) -> dict[str, torch.Tensor]:
    """Return a trunk's weights under the names of an image classifier, with a last layer."""
    state = {}
    for key, value in trunk.state_dict().items():
        _, number, rest = key.split(".", 2)
        state[f"{CLASSIFIER[number]}.{rest}"] = value
    return state | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_classifier_starts_a_trunk(ending: str, tmp_path: Path) -> None:
    source = ResNetTrunk(18)
    path = tmp_path / f"resnet{ending}"
    state = classifier_state(source)
    if ending == ".pth":
        torch.save({"state_dict": state}, path)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, path)
    trunk = make_trunk("resnet-18")
    assert start_trunk(trunk, str(path)) == path.name
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in trunk.state_dict().items())


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    torch.save(classifier_state(ResNetTrunk(18)), tmp_path / "18.pth")
    with pytest.raises(ModelRefused, match="does not fit"):
        load_resnet(ResNetTrunk(50), tmp_path / "18.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelRefused, match="cannot be read"):
        load_resnet(ResNetTrunk(18), tmp_path / "text.pth")
    with pytest.raises(InvalidInput, match="ResNet backbone only"):
        start_trunk(make_trunk("efficientnet-lite0"), str(tmp_path / "18.pth"))


@pytest.mark.parametrize("size", [(64, 64), (97, 130), (33, 200)])
def test_networks_take_any_size_and_learn(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    for network in (HiRQALite(), Ranker("efficientnet-lite0"), GRepQTeacher("efficientnet-lite0", None, 48)):
        network.train()
        score = network(torch.randn(2, 3, *size))
        assert score.shape == (2, 1)
        score.sum().backward()
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)
        assert max(float(gradient.abs().max()) for gradient in gradients) > 0


def test_spreading_a_head_keeps_the_order() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(5, 1)
    features = torch.randn(50, 5)
    before = head(features).detach()
    spread_head(head, before.flatten())
    after = head(features).detach()
    assert torch.equal(before.flatten().argsort(), after.flatten().argsort())
    assert float(after.mean()) == pytest.approx(0, abs=1e-5)
    assert float(after.std()) == pytest.approx(1, abs=1e-5)


def test_pristine_patches_are_sharp_and_colourful() -> None:
    generator = torch.Generator().manual_seed(0)
    noisy = torch.rand(3, 24, 24, generator=generator)
    grey = torch.rand(1, 24, 24, generator=generator).expand(3, 24, 24)
    flat = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 24, 24)
    patches = torch.stack([noisy, grey, flat, noisy.flip(2)])
    assert sharpness(patches)[2] == pytest.approx(0, abs=1e-3)
    assert colourfulness(patches)[1] == pytest.approx(0, abs=1e-6)
    # Hasler and Süsstrunk by hand: no spread, means 1 and 0.5
    assert float(colourfulness(patches)[2]) == pytest.approx(0.3 * 1.25**0.5, rel=1e-5)
    assert torch.equal(pristine_patches(patches[1:3]), patches[1:2])  # nothing is both: the sharpest stays
    assert len(pristine_patches(patches[[0, 3]])) == 2


def test_moments_by_hand() -> None:
    mean, covariance = moments(torch.tensor([[[0.0, 1.0], [2.0, 1.0]]]))
    assert mean.tolist() == [[1.0, 1.0]]
    assert covariance.tolist() == [[[1.0, 0.0], [0.0, 0.0]]]
