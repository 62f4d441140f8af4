"""The promises that every runtime keeps, checked on the embedded bundle; one class of promises, a subclass each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.backends.base import backend_class
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.decode import decode_image
from edge_iqa.errors import DeviceUnavailable, EdgeIqaError, InvalidInput
from edge_iqa.preprocess import preprocess
from edge_iqa.scorer import Scorer


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(default_bundle_path())


@pytest.fixture(scope="module")
def golden(bundle: Bundle) -> list[tuple[NDArray[np.uint8], dict[str, Any]]]:
    """Return the golden pictures and what is expected of them."""
    expected = json.loads(bundle.files["golden/expected.json"])["pictures"]
    return [(decode_image(bundle.files[entry["picture"]], entry["picture"]), entry) for entry in expected]


GROWTH_OF_A_THOUSAND_CALLS = """
import json, os, sys
from pathlib import Path

from edge_iqa.bundle import default_bundle_path, read_bundle
from edge_iqa.decode import decode_image
from edge_iqa.preprocess import preprocess
from edge_iqa.scorer import Scorer


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


bundle = read_bundle(default_bundle_path())
names = [entry["picture"] for entry in json.loads(bundle.files["golden/expected.json"])["pictures"]]
tensors = [preprocess(decode_image(bundle.files[name], name), bundle.manifest.preprocess) for name in names]
with Scorer(bundle, sys.argv[1], threads=1) as scorer:
    for index in range(1000):
        scorer.backend.infer(tensors[index % len(tensors)])
        if index == 100:
            before = resident_bytes()
    print(resident_bytes() - before)
"""


class BackendPromises:
    """What a Scorer on this runtime does, whatever the runtime."""

    backend: ClassVar[str]
    absent_device: ClassVar[str]  # one that no machine of a test run has

    @pytest.fixture
    def scorer(self, bundle: Bundle) -> Iterator[Scorer]:
        reason = backend_class(self.backend).unavailable()
        if reason is not None:
            pytest.skip(reason)
        with Scorer(bundle, self.backend, threads=1) as scorer:
            yield scorer

    @pytest.mark.parametrize("precision", ["int8", "fp32"])
    def test_golden_scores(
        self, bundle: Bundle, golden: list[tuple[NDArray[np.uint8], dict[str, Any]]], precision: str
    ) -> None:
        if backend_class(self.backend).unavailable() is not None:
            pytest.skip("the runtime is not installed")
        tolerance = bundle.manifest.golden_tolerance if precision == "int8" else 1e-4
        with Scorer(bundle, self.backend, precision) as scorer:
            for picture, entry in golden:
                assert scorer(picture).value == pytest.approx(
                    entry["scores"][f"{self.backend}.{precision}"], abs=tolerance
                )

    def test_what_is_mostly_one_colour_scores_as_on_onnx_runtime(
        self, bundle: Bundle, scorer: Scorer, golden: list[Any]
    ) -> None:
        """Where a runtime rounds otherwise than the rest, a flat area is wrong as a whole, and nothing evens it out."""
        rng = np.random.default_rng(0)
        textured = preprocess(golden[0][0], bundle.manifest.preprocess)
        with Scorer(bundle, "onnxruntime", threads=1) as reference:
            for _ in range(24):
                tensor = textured.copy()
                tensor[:, :, : int(tensor.shape[2] * rng.uniform(0.4, 0.95))] = rng.integers(0, 40, 3)
                assert abs(scorer.backend.infer(tensor) - reference.backend.infer(tensor)) < 0.008

    def test_a_hundred_calls_give_one_score(self, scorer: Scorer, golden: list[Any]) -> None:
        picture = golden[0][0]
        assert len({scorer(picture).value for _ in range(100)}) == 1

    def test_many_equals_singles_in_any_order(self, scorer: Scorer, golden: list[Any]) -> None:
        pictures = [picture for picture, _ in golden]
        singles = [scorer(picture).value for picture in pictures]
        assert [score.value for score in scorer.many(reversed(pictures))] == singles[::-1]

    @pytest.mark.parametrize("threads", [2, 3, None])
    def test_threads_do_not_change_the_score(
        self, bundle: Bundle, scorer: Scorer, golden: list[Any], threads: int | None
    ) -> None:
        with Scorer(bundle, self.backend, threads=threads) as other:
            for picture, _ in golden:
                assert other(picture).value == pytest.approx(scorer(picture).value, abs=1e-4)

    @pytest.mark.parametrize("threads", [0, -1])
    def test_no_threads_are_refused(self, bundle: Bundle, threads: int) -> None:
        with pytest.raises(InvalidInput, match="at least 1"):
            Scorer(bundle, self.backend, threads=threads)

    @pytest.mark.slow
    @pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
    def test_memory_is_flat_over_a_thousand_calls(self) -> None:
        """The allocators settle in the first calls; then a leak of one page per call would show.

        In a process of its own: what other tests have freed moves the memory of this one by more.
        """
        reason = backend_class(self.backend).unavailable()
        if reason is not None:
            pytest.skip(reason)
        command = [sys.executable, "-c", GROWTH_OF_A_THOUSAND_CALLS, self.backend]
        grown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
        assert int(grown) < 3 * 1024**2

    @pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (288, 288), (512, 700), (700, 90), (1080, 1920)])
    def test_any_picture_size(self, scorer: Scorer, size: tuple[int, int]) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        score = scorer(picture)
        assert 0 <= score.value <= 1
        assert (score.height, score.width) == size

    @pytest.mark.parametrize(
        "tensor",
        [
            np.zeros((1, 100, 100, 3), np.uint8),
            np.zeros((2, 288, 288, 3), np.uint8),
            np.zeros((1, 3, 288, 288), np.uint8),
            np.zeros((1, 288, 288, 3), np.float32),
        ],
    )
    def test_wrong_tensors_are_refused(self, scorer: Scorer, tensor: NDArray[Any]) -> None:
        with pytest.raises(InvalidInput):
            scorer.backend.infer(tensor)

    def test_an_input_that_is_not_contiguous_scores_the_same(self, scorer: Scorer, golden: list[Any]) -> None:
        picture = golden[0][0]
        tensor = preprocess(picture, scorer.bundle.manifest.preprocess)
        strided = np.asfortranarray(tensor)
        assert scorer.backend.infer(strided) == scorer.backend.infer(tensor)

    def test_two_scorers_do_not_disturb_each_other(self, bundle: Bundle, scorer: Scorer, golden: list[Any]) -> None:
        with Scorer(bundle, self.backend, threads=1) as other:
            for picture, _ in golden:
                assert other(picture).value == scorer(picture).value

    def test_a_scorer_made_in_one_thread_works_in_another(self, scorer: Scorer, golden: list[Any]) -> None:
        picture = golden[0][0]
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(scorer, picture).result().value == scorer(picture).value

    def test_one_scorer_per_thread_gives_the_same_scores(self, bundle: Bundle, golden: list[Any]) -> None:
        if backend_class(self.backend).unavailable() is not None:
            pytest.skip("the runtime is not installed")
        found: dict[int, list[float]] = {}

        def work(number: int) -> None:
            with Scorer(bundle, self.backend, threads=1) as scorer:
                found[number] = [scorer(picture).value for picture, _ in golden]

        workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert len(found) == 3
        assert found[0] == found[1] == found[2]

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="Linux alone tells a thread's processors")
    def test_scoring_is_not_tied_to_a_processor(self, scorer: Scorer, golden: list[Any]) -> None:
        """Else two scorers in one process, or a scorer and a camera, wait for each other on one processor."""
        allowed, picture, done = os.sched_getaffinity(0), golden[0][0], threading.Event()

        def score() -> None:
            while not done.is_set():
                scorer(picture)

        worker = threading.Thread(target=score)
        worker.start()
        assert worker.native_id is not None
        seen = set()
        for _ in range(50):
            seen.add(frozenset(os.sched_getaffinity(worker.native_id)))
            time.sleep(0.002)
        done.set()
        worker.join()
        assert seen == {frozenset(allowed)}

    def test_close_is_final_and_may_be_repeated(self, bundle: Bundle, golden: list[Any]) -> None:
        if backend_class(self.backend).unavailable() is not None:
            pytest.skip("the runtime is not installed")
        scorer = Scorer(bundle, self.backend)
        scorer.close()
        scorer.close()
        with pytest.raises(EdgeIqaError):
            scorer(golden[0][0])

    def test_pre_processed_tensor_is_the_golden_one(self, bundle: Bundle, golden: list[Any]) -> None:
        for picture, entry in golden:
            tensor = preprocess(picture, bundle.manifest.preprocess)
            assert float(tensor.mean()) == pytest.approx(entry["tensor_mean"], abs=0.05)

    def test_a_device_that_is_not_here_is_refused_by_name(self, bundle: Bundle) -> None:
        if backend_class(self.backend).unavailable() is not None:
            pytest.skip("the runtime is not installed")
        with pytest.raises(DeviceUnavailable) as caught:
            Scorer(bundle, f"{self.backend}:{self.absent_device}")
        assert caught.value.fix
        with pytest.raises(InvalidInput, match="no device 'abacus'"):
            Scorer(bundle, f"{self.backend}:abacus")

    def test_the_first_device_by_name_is_the_plain_runtime(
        self, bundle: Bundle, scorer: Scorer, golden: list[Any]
    ) -> None:
        picture = golden[0][0]
        with Scorer(bundle, f"{self.backend}:cpu", threads=1) as named:
            assert named(picture).value == scorer(picture).value


class TestOnnxRuntime(BackendPromises):
    backend = "onnxruntime"
    absent_device = "cuda"


class TestOpenVino(BackendPromises):
    backend = "openvino"
    absent_device = "npu"

    def test_int8_kernels_really_run(self, bundle: Bundle, scorer: Scorer) -> None:
        """Every convolution that is not named as float in the manifest runs on 8-bit integers."""
        compiled = scorer.backend._compiled  # type: ignore[attr-defined]
        kinds = [
            str(node.get_rt_info()["runtimePrecision"].astype(str))
            for node in compiled.get_runtime_model().get_ordered_ops()
            if str(node.get_rt_info()["layerType"].astype(str)) == "Convolution"
        ]
        floats = [name for name in bundle.manifest.quantization.float_layers if not name.startswith("fc")]
        assert len(kinds) > 20
        assert sum(kind not in ("u8", "i8") for kind in kinds) <= len(floats)

    @pytest.mark.parametrize("precision", ["int8", "fp32"])
    def test_what_is_float_is_not_computed_in_bfloat16(self, bundle: Bundle, precision: str) -> None:
        if backend_class(self.backend).unavailable() is not None:
            pytest.skip("the runtime is not installed")
        with Scorer(bundle, "openvino", precision) as scorer:
            compiled = scorer.backend._compiled  # type: ignore[attr-defined]
            assert str(compiled.get_property("INFERENCE_PRECISION_HINT")) == "<Type: 'float32'>"
            kinds = {
                str(node.get_rt_info()["runtimePrecision"].astype(str))
                for node in compiled.get_runtime_model().get_ordered_ops()
            }
        assert "f32" in kinds
        assert "bf16" not in kinds

    def test_the_latency_hint_and_the_threads_arrive(self, scorer: Scorer) -> None:
        compiled = scorer.backend._compiled  # type: ignore[attr-defined]
        assert str(compiled.get_property("PERFORMANCE_HINT")).endswith("LATENCY")
        assert compiled.get_property("INFERENCE_NUM_THREADS") == 1

    def test_the_model_cache_gives_the_same_score(
        self, bundle: Bundle, scorer: Scorer, golden: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cache = tmp_path / "cache"
        monkeypatch.setenv("EDGE_IQA_OPENVINO_CACHE", str(cache))
        picture = golden[0][0]
        for _ in range(2):
            with Scorer(bundle, self.backend, threads=1) as cached:
                assert cached(picture).value == scorer(picture).value
        assert len(list(cache.glob("*.blob"))) == 1

    def test_a_cache_that_others_can_write_is_not_used(
        self, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache = tmp_path / "cache"
        cache.mkdir()
        cache.chmod(0o777)
        monkeypatch.setenv("EDGE_IQA_OPENVINO_CACHE", str(cache))
        Scorer(bundle, self.backend, threads=1).close()
        assert list(cache.iterdir()) == []
        assert "can be written by other users" in caplog.text


class TestTflite(BackendPromises):
    backend = "tflite"
    absent_device = "gpu"

    def test_the_edge_tpu_takes_only_what_its_compiler_made(self, bundle: Bundle) -> None:
        with pytest.raises(DeviceUnavailable, match="edgetpu_compiler"):
            Scorer(bundle, "tflite:edgetpu")


def test_runtimes_agree_with_each_other(bundle: Bundle, golden: list[Any]) -> None:
    for precision, tolerance in (("fp32", 1e-4), ("int8", 0.02)):
        scores = []
        for name in ("onnxruntime", "openvino", "tflite"):
            if backend_class(name).unavailable() is None:
                with Scorer(bundle, name, precision) as scorer:
                    scores.append([scorer(picture).value for picture, _ in golden])
        assert np.ptp(np.array(scores), axis=0).max() < tolerance
