"""HiRQA-S itself as the student: the authors' checkpoint made int8 as it is, and trained from random weights."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import edge_iqa
from edge_iqa.assets import photographs_folder
from edge_iqa.backends.base import CPU_BACKENDS
from edge_iqa.bundle import Bundle, read_bundle
from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.models.checkpoint import EMBEDDED_TEACHER, import_authors_checkpoint, load_network, save_network
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.student import RESNET_STUDENT
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet, find_photographs
from edge_iqa.models.teacher import normalised
from edge_iqa.models.trunk_teachers import Ranker
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.distill import TeacherTargets, distill
from edge_iqa.quantize.recipe import RANDOM, WEIGHTS, FloatStage, QatStage, Recipe, read_recipe
from edge_iqa.quantize.run import plan, quantize

RECIPE = Recipe(
    schema_version=1,
    name="tiny",
    student=RESNET_STUDENT,
    start=WEIGHTS,
    float_stage=FloatStage(steps=0),
    # the widest layers take a minute each to rebuild; they are of the same kind as the others
    qat_stage=QatStage(
        steps=1, batch=2, crop_size=64, pictures=16, float_layers=("backbone.features.6", "backbone.features.7")
    ),
    height=64,
    width=96,
    data=SynthesisSpec(crop_size=64, metrics=()),
)


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    return [read_image(path) for path in find_photographs(photographs_folder())[:2]]


@pytest.fixture(scope="module")
def weights(pictures: list[NDArray[np.uint8]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what ``import`` makes of a checkpoint in the authors' layout, whose head tells two pictures apart."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("weights")
    network = HiRQA(18).eval()
    pixels = [torch.from_numpy(preprocess(picture, PreprocessSpec(64, 96))) for picture in pictures]
    with torch.no_grad():
        first, second = (network.features(normalised(one, network.mean, network.std))[0] for one in pixels)
        apart = 2 * (first - second) / (first - second).square().sum()
        network.fc[0].weight.copy_(apart[None])
        network.fc[0].bias.copy_(-(apart @ (first + second) / 2)[None])
    torch.save({"model_state_dict": network.state_dict()}, folder / "S.pth")
    path = folder / "s.safetensors"
    save_network(import_authors_checkpoint(folder / "S.pth"), RESNET_STUDENT, path, {})
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for path in find_photographs(photographs_folder())[:2]:
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture(scope="module")
def made(weights: Path, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, set[str]]:
    stages: set[str] = set()
    output = tmp_path_factory.mktemp("made") / "s.eiqa"
    quantize(
        photographs, EMBEDDED_TEACHER, RECIPE, "", output, weights=weights, report=lambda stage, *_: stages.add(stage)
    )
    return read_bundle(output), stages


def test_given_weights_are_quantized_as_they_are(made: tuple[Bundle, set[str]], weights: Path) -> None:
    bundle, stages = made
    assert stages == {"distorting", "rebuilding for TensorRT", "rebuilding", "quantizing", "exporting and measuring"}
    assert bundle.manifest.model == RESNET_STUDENT
    assert bundle.manifest.provenance["start"] == weights.name
    assert "teacher" not in bundle.manifest.provenance
    card = bundle.files["CARD.md"].decode()
    assert "ResNet-18" in card
    assert "the weights were quantized as they were" in card


def test_every_runtime_scores_as_the_network_does(
    made: tuple[Bundle, set[str]], weights: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    bundle = made[0]
    network, _, _ = load_network(weights)
    tensors = [torch.from_numpy(preprocess(picture, bundle.manifest.preprocess)) for picture in pictures]
    with torch.no_grad():
        expected = [float(network(normalised(tensor, network.mean, network.std))) for tensor in tensors]
    assert abs(expected[0] - expected[1]) > 0.05  # or agreement would mean little
    for backend in CPU_BACKENDS:
        for precision, tolerance in (("fp32", 0.005), ("int8", 0.05)):  # the float weights are stored shortened
            with edge_iqa.load(bundle.path, backend, precision=precision) as scorer:
                assert [scorer(picture).value for picture in pictures] == pytest.approx(expected, abs=tolerance)


def test_weights_of_another_network_are_refused(photographs: Path, tmp_path: Path) -> None:
    other = tmp_path / "ranker.safetensors"
    save_network(Ranker("resnet-18"), "ranker", other, {})
    for weights, words in ((other, "holds ranker, not the student hirqa-s"), (None, "needs float weights")):
        with pytest.raises(InvalidInput, match=words):
            quantize(
                photographs, EMBEDDED_TEACHER, RECIPE, "", tmp_path / "s.eiqa", weights=weights, report=lambda *_: None
            )


def test_recipes_are_found_by_student() -> None:
    assert read_recipe("quick", RESNET_STUDENT)[0].name == "hirqa-s-quick"
    assert read_recipe("quick")[0].student == "hirqa-s-lite"
    with pytest.raises(InvalidInput, match="recipe of hirqa-s, not of hirqa-s-lite"):
        read_recipe("hirqa-s-quick", "hirqa-s-lite")
    with pytest.raises(InvalidInput, match="no student"):
        read_recipe("quick", "hirqa-m")


def test_the_plan_counts_its_layers() -> None:
    found = plan(dataclasses.replace(RECIPE, qat_stage=QatStage(steps=1)), photographs=2)
    assert found["int8_layers"] == 20
    assert found["float_layers"] == [*(f"global_pool_quality.{kind}_proj" for kind in "kqvc"), "fc.0"]


@pytest.mark.parametrize("start", [RANDOM, WEIGHTS])
def test_batch_statistics_are_learnt_from_random_weights_only(start: str) -> None:
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (1, VERSIONS, 64, 64, 3), np.uint8)
    known = np.zeros((1, VERSIONS), int)
    data = SyntheticSet(
        pictures, known, known, [[() for _ in range(VERSIONS)]], {}, [""], SynthesisSpec(crop_size=64), "sha"
    )
    targets = TeacherTargets(torch.randn(1, VERSIONS), torch.randn(1, VERSIONS, 8))
    student = HiRQA(18)
    before = student.state_dict()["backbone.features.1.running_mean"].clone()
    spec = FloatStage(steps=1, batch=2, crop_size=64)
    distill(student, data, targets, spec, 0, lambda *_: None, pretrained=start != RANDOM)
    changed = not torch.equal(student.state_dict()["backbone.features.1.running_mean"], before)
    assert changed == (start == RANDOM)
