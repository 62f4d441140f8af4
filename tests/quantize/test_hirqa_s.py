"""HiRQA-S itself as the student: the authors' checkpoint made int8 as it is, and trained from random weights."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray

from edge_iqa.assets import photographs_folder
from edge_iqa.backends.base import CPU_BACKENDS, backend_class
from edge_iqa.decode import read_image
from edge_iqa.errors import InvalidInput
from edge_iqa.export.openvino import to_openvino
from edge_iqa.export.qdq import integer_pixels, round_biases, unsigned_dialect
from edge_iqa.export.tflite import onnx_to_tflite
from edge_iqa.models.checkpoint import import_authors_checkpoint, save_network
from edge_iqa.models.hirqa import HIRQA_MEAN, HIRQA_STD, HiRQA
from edge_iqa.models.student import RESNET_STUDENT
from edge_iqa.models.synthesis import VERSIONS, SynthesisSpec, SyntheticSet, find_photographs
from edge_iqa.models.trunk_teachers import Ranker
from edge_iqa.preprocess import PreprocessSpec, preprocess
from edge_iqa.quantize.batches import Normalisation
from edge_iqa.quantize.bounds import put_bounds
from edge_iqa.quantize.card import write_card
from edge_iqa.quantize.distill import TeacherTargets, distill
from edge_iqa.quantize.float_student import is_taught, make_float_student
from edge_iqa.quantize.freeze import export_float, export_int8
from edge_iqa.quantize.package import folded_student
from edge_iqa.quantize.pixel_grid import pixel_grid, take_exact_pixels
from edge_iqa.quantize.prepare import fold_batch_norm, prepare
from edge_iqa.quantize.ranges import set_ranges
from edge_iqa.quantize.recipe import RANDOM, WEIGHTS, FloatStage, QatStage, Recipe, read_recipe
from edge_iqa.quantize.run import plan

PIXELS = Normalisation(HIRQA_MEAN, HIRQA_STD)
SIDE = 64
RECIPE = Recipe(
    schema_version=1,
    name="tiny",
    student=RESNET_STUDENT,
    start=WEIGHTS,
    float_stage=FloatStage(steps=0),
    qat_stage=QatStage(steps=0),
    height=SIDE,
    width=SIDE,
    data=SynthesisSpec(crop_size=SIDE, metrics=()),
)


@pytest.fixture(scope="module")
def data() -> SyntheticSet:
    """Return a set of random pictures."""
    rng = np.random.default_rng(0)
    known = np.zeros((1, VERSIONS), int)
    pictures = rng.integers(0, 256, (1, VERSIONS, SIDE, SIDE, 3), np.uint8)
    return SyntheticSet(pictures, known, known, [[() for _ in range(VERSIONS)]], {}, [""], RECIPE.data, "sha")


@pytest.fixture(scope="module")
def tensors() -> list[NDArray[np.uint8]]:
    """Return input tensors: a photograph, and noise."""
    photograph = read_image(find_photographs(photographs_folder())[0])
    noise = np.random.default_rng(1).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    return [preprocess(photograph, PreprocessSpec(SIDE, SIDE)), noise]


@pytest.fixture(scope="module")
def network(tensors: list[NDArray[np.uint8]]) -> HiRQA:
    """Return a random HiRQA-S whose head tells the two tensors apart."""
    torch.manual_seed(3)
    made = HiRQA(18).eval()
    with torch.no_grad():
        first, second = (made.features(PIXELS(torch.from_numpy(tensor)))[0] for tensor in tensors)
        apart = 2 * (first - second) / (first - second).square().sum()
        made.fc[0].weight.copy_(apart[None])
        made.fc[0].bias.copy_(-(apart @ (first + second) / 2)[None])
    return made


def _scores(network: torch.nn.Module, pixels: Normalisation, tensors: list[NDArray[np.uint8]]) -> list[float]:
    with torch.no_grad():
        return [float(network(pixels(torch.from_numpy(tensor)))) for tensor in tensors]


def _runtime_scores(
    name: str, precision: str, files: dict[str, bytes], tensors: list[NDArray[np.uint8]]
) -> list[float]:
    found = backend_class(name)
    with closing(found({file: files[file] for file in found.artefacts[precision]})) as backend:
        return [backend.infer(tensor) for tensor in tensors]


@pytest.mark.parametrize(
    ("exact", "deviations"),
    [(False, None), (True, None), (True, 2.0)],
    ids=["pixels rounded", "pixels exact", "pixels exact, bounded"],
)
def test_every_runtime_scores_as_the_network_does(
    exact: bool, deviations: float | None, network: HiRQA, tensors: list[NDArray[np.uint8]], tmp_path: Path
) -> None:
    assert _scores(network, PIXELS, tensors) == pytest.approx([0.731, 0.269], abs=0.01)
    folded = fold_batch_norm(network)
    pixels = take_exact_pixels(folded, PIXELS) if exact else PIXELS
    if deviations is not None:
        folded = put_bounds(folded, [pixels(torch.from_numpy(tensor)) for tensor in tensors], deviations)
    expected = _scores(folded, pixels, tensors)
    rounded = prepare(folded, pixels=pixel_grid(pixels.mean, pixels.std))
    before = {name: value.clone() for name, value in rounded.state_dict().items() if name.endswith("weight")}
    set_ranges(rounded, [pixels(torch.from_numpy(tensor)) for tensor in tensors])
    assert all(torch.equal(rounded.state_dict()[name], value) for name, value in before.items())
    expected_int8 = _scores(rounded.eval(), pixels, tensors)
    graph = tmp_path / "graph.onnx"
    export_float(folded, pixels.mean, pixels.std, (SIDE, SIDE), graph)
    float_graph = onnx.load(graph)
    export_int8(rounded, pixels.mean, pixels.std, (SIDE, SIDE), graph)
    unsigned = round_biases(unsigned_dialect(onnx.load(graph)))
    xml, weights = to_openvino(unsigned)
    files = {
        "model.onnx": float_graph.SerializeToString(),
        "model.tflite": onnx_to_tflite(float_graph),
        "model.int8.u8.onnx": integer_pixels(unsigned).SerializeToString(),
        "model.int8.tflite": onnx_to_tflite(integer_pixels(unsigned)),
        "openvino/model.xml": xml,
        "openvino/model.bin": weights,
    }
    for name in CPU_BACKENDS:
        assert _runtime_scores(name, "fp32", files, tensors) == pytest.approx(expected, abs=0.005), name
        assert _runtime_scores(name, "int8", files, tensors) == pytest.approx(expected_int8, abs=0.02), name


@pytest.mark.parametrize("exact", [False, True])
def test_a_recipe_says_whether_given_weights_are_changed_for_exact_pixels(exact: bool, network: HiRQA) -> None:
    stored, pixels = folded_student(network, exact_pixels=exact)
    kept, given = (each.get_parameter("backbone.features.0.weight") for each in (stored, fold_batch_norm(network)))
    assert (pixels == PIXELS) is not exact
    assert (pixel_grid(pixels.mean, pixels.std) is None) is not exact
    assert torch.allclose(kept, given, rtol=1e-4) is not exact


def test_given_weights_are_taken_as_they_are_and_no_teacher_is_asked(
    network: HiRQA, data: SyntheticSet, tmp_path: Path
) -> None:
    torch.save({"model_state_dict": network.state_dict()}, tmp_path / "S.pth")
    weights = tmp_path / "s.safetensors"
    save_network(import_authors_checkpoint(tmp_path / "S.pth"), RESNET_STUDENT, weights, {})
    assert not is_taught(RECIPE, weights)
    stages: list[str] = []
    made = make_float_student(RECIPE, data, None, tmp_path, lambda stage, *_: stages.append(stage), weights=weights)
    assert stages == []
    assert weights.name in made.key
    for key, value in made.network.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]), key
    provenance = {"start": weights.name, "start_sha256": 64 * "a", "photographs": 1, "pictures": 12}
    card = write_card(RECIPE, {**provenance, "photographs_sha256": 64 * "b", "versions": {"torch": "2"}}, 8)
    assert "ResNet-18" in card
    assert "started from s.safetensors (sha256 aaaaaaaaaaaaaaaa)" in card
    assert "the weights were quantized as they were" in card


def test_weights_of_another_network_are_refused(data: SyntheticSet, tmp_path: Path) -> None:
    other = tmp_path / "ranker.safetensors"
    save_network(Ranker("resnet-18"), "ranker", other, {})
    for weights, words in ((other, "holds ranker, not the student hirqa-s"), (None, "needs float weights")):
        with pytest.raises(InvalidInput, match=words):
            make_float_student(RECIPE, data, None, tmp_path, lambda *_: None, weights=weights)


def test_recipes_are_found_by_student() -> None:
    assert read_recipe("quick", RESNET_STUDENT)[0].name == "hirqa-s-quick"
    assert read_recipe("quick")[0].student == "hirqa-s-lite"
    with pytest.raises(InvalidInput, match="recipe of hirqa-s, not of hirqa-s-lite"):
        read_recipe("hirqa-s-quick", "hirqa-s-lite")
    with pytest.raises(InvalidInput, match="no student"):
        read_recipe("quick", "hirqa-m")


def test_the_plan_counts_its_layers() -> None:
    found = plan(RECIPE, photographs=2)
    assert found["int8_layers"] == 20
    assert set(found["float_layers"]) == {*(f"global_pool_quality.{kind}_proj" for kind in "kqvc"), "fc.0"}


def test_the_plan_counts_steps_that_settle() -> None:
    recipe = replace(RECIPE, float_stage=FloatStage(steps=5, settle_steps=3, crop_size=SIDE))
    assert plan(recipe, photographs=2)["float_steps"] == 8


@pytest.mark.parametrize("start", [RANDOM, WEIGHTS])
def test_batch_statistics_are_learnt_from_random_weights_only(start: str, data: SyntheticSet) -> None:
    targets = TeacherTargets(torch.randn(1, VERSIONS), torch.randn(1, VERSIONS, 8))
    student = HiRQA(18)
    before = student.state_dict()["backbone.features.1.running_mean"].clone()
    spec = FloatStage(steps=1, batch=2, crop_size=SIDE)
    distill(student, data, targets, spec, 0, lambda *_: None, pretrained=start != RANDOM)
    changed = not torch.equal(student.state_dict()["backbone.features.1.running_mean"], before)
    assert changed == (start == RANDOM)
