"""Activations that are bounded in float: where the bounds lie, that int8 clips nothing more, and their training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from edge_iqa.errors import InvalidInput
from edge_iqa.models.hirqa import HIRQA_MEAN, HIRQA_STD, HiRQA
from edge_iqa.models.synthesis import SyntheticSet
from edge_iqa.quantize import following
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.bounds import bounded, put_bounds
from edge_iqa.quantize.fake_quantization import ActivationFakeQuant
from edge_iqa.quantize.head import read
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.recipe import BoundStage, read_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 64
PIXELS = Normalisation(HIRQA_MEAN, HIRQA_STD)
SPEC = BoundStage(deviations=2.0, steps=6, batch=2, crop_size=SIDE, pictures=8, learning_rate=3e-3)
BOUNDS_OF_RESNET_18 = 17, 11  # ReLUs; convolutions without one: eight branches, three shortcuts


@pytest.fixture(scope="module")
def student() -> fx.GraphModule:
    """Return a random HiRQA-S without batch norm."""
    torch.manual_seed(5)
    return fold_batch_norm(HiRQA(18).eval())


@pytest.fixture(scope="module")
def pictures() -> list[Tensor]:
    """Return two batches of noise of two deviations."""
    return [torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) * seed for seed in (1, 2)]


def _limits(network: nn.Module) -> list[nn.Hardtanh]:
    return [module for module in network.modules() if isinstance(module, nn.Hardtanh)]


class _Shown(fx.Interpreter):
    """Runs a network and keeps what goes into and comes out of modules of one kind."""

    def __init__(self, network: fx.GraphModule, kind: type[nn.Module]) -> None:
        super().__init__(network)
        self.kind = kind
        self.pairs: list[tuple[nn.Module, Tensor, Tensor]] = []

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        out = super().call_module(target, args, kwargs)
        module = self.fetch_attr(target)
        if isinstance(module, self.kind):
            self.pairs.append((module, args[0], out))
        return out


@torch.no_grad()
def test_everything_that_will_be_rounded_is_bounded(student: fx.GraphModule, pictures: list[Tensor]) -> None:
    network = put_bounds(student, pictures, 2.0)
    after_relu = [limit for limit in _limits(network) if limit.min_val == 0]
    assert (len(after_relu), len(_limits(network)) - len(after_relu)) == BOUNDS_OF_RESNET_18
    assert not any(isinstance(module, nn.ReLU) for module in network.modules())
    assert not _limits(student)
    rounders = [one for one in prepare(network).modules() if isinstance(one, ActivationFakeQuant)]
    assert len(rounders) == 1 + sum(BOUNDS_OF_RESNET_18)


@torch.no_grad()
def test_bounds_lie_at_deviations_of_what_was_seen(student: fx.GraphModule, pictures: list[Tensor]) -> None:
    far = put_bounds(student, pictures, 1000.0)
    for batch in pictures:
        assert torch.allclose(far(batch), student(batch), atol=1e-6)
    seen = _Shown(student, nn.ReLU)
    for batch in pictures:
        seen.run(batch)
    place = "backbone.features.4.0.relu1"  # inside a block, so that it meets no other
    before, after = (
        torch.cat([pair[index] for pair in seen.pairs if pair[0] is student.get_submodule(place)]) for index in (1, 2)
    )
    limit = put_bounds(student, pictures, 2.0).get_submodule(place)
    assert isinstance(limit, nn.Hardtanh)
    assert limit.max_val == pytest.approx(2 * float((2 * after.square().mean()).sqrt()), rel=1e-4)
    assert limit.max_val == pytest.approx(2 * float(before.square().mean().sqrt()), rel=0.1)  # as often below as above


@pytest.mark.parametrize("signed", [False, True])
@torch.no_grad()
def test_rounding_clips_nothing_that_float_does_not(
    signed: bool, student: fx.GraphModule, pictures: list[Tensor]
) -> None:
    for network, clips in ((put_bounds(student, pictures, 2.0), False), (student, True)):
        prepared = prepare(network, signed=signed).eval()
        set_ranges(prepared, pictures)
        shown = _Shown(prepared, ActivationFakeQuant)
        shown.run(10 * pictures[1])
        inner = [(one, x, out) for one, x, out in shown.pairs if isinstance(one, ActivationFakeQuant)][1:]
        steps = max(float((out - x).abs().max() / one.scale) for one, x, out in inner)
        assert (steps > 0.51) is clips


def test_training_gives_back_what_bounds_took(student: fx.GraphModule, noise_set: SyntheticSet) -> None:
    def distance(network: nn.Module) -> float:
        x = PIXELS(torch.from_numpy(noise_set.pictures[0]))
        with torch.no_grad():
            return float((read(network, x)[0] - read(student, x)[0]).square().mean())

    untrained = bounded(student, PIXELS, noise_set, replace(SPEC, steps=0), 0, lambda *_: None)
    trained = bounded(student, PIXELS, noise_set, replace(SPEC, steps=20), 0, lambda *_: None)
    assert [limit.max_val for limit in _limits(trained)] == [limit.max_val for limit in _limits(untrained)]
    assert distance(trained) < 0.8 * distance(untrained)
    assert bounded(student, PIXELS, noise_set, BoundStage(), 0, lambda *_: None) is student


def test_a_stopped_training_ends_with_the_weights_of_an_unbroken_one(
    student: fx.GraphModule, noise_set: SyntheticSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Stopped(Exception):
        pass

    def stop(step: int, *_: object) -> None:
        if step > 4:
            raise _Stopped

    monkeypatch.setattr(following, "CHECKPOINT_EVERY", 2)
    unbroken = bounded(student, PIXELS, noise_set, SPEC, 0, lambda *_: None)
    path = tmp_path / "bounds.checkpoint.safetensors"
    with pytest.raises(_Stopped):
        bounded(student, PIXELS, noise_set, SPEC, 0, stop, checkpoint=path)
    steps: list[int] = []
    resumed = bounded(student, PIXELS, noise_set, SPEC, 0, lambda step, *_: steps.append(step), checkpoint=path)
    assert steps == [5, 6]
    for name, value in unbroken.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("deviations = 0.5", "deviations 0.5"),
        ("steps = 3", "without deviations"),
        ("deviations = 4.0\ncrop_size = 30", "30"),
        ("deviations = 4.0\nattention_deviation = 0.0", "attention_deviation 0.0"),
        ("attention_deviation = 6.0", "attention_deviation 6.0 without deviations"),
    ],
)
def test_bounds_that_cannot_be_are_refused(table: str, words: str, tmp_path: Path) -> None:
    _, text = read_recipe("hirqa-s-quick")
    path = tmp_path / "mine.toml"
    path.write_text(f"{text}\n[bound_stage]\n{table}\n")
    with pytest.raises(InvalidInput, match=words):
        read_recipe(str(path))
