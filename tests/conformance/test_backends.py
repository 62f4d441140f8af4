"""The promises that every runtime keeps, checked on the embedded bundle; one class of promises, a subclass each."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_iqa.backends.base import backend_class
from edge_iqa.bundle import Bundle, default_bundle_path, read_bundle
from edge_iqa.decode import decode_image
from edge_iqa.errors import EdgeIqaError, InvalidInput
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


class BackendPromises:
    """What a Scorer on this runtime does, whatever the runtime."""

    backend: ClassVar[str]

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

    def test_a_hundred_calls_give_one_score(self, scorer: Scorer, golden: list[Any]) -> None:
        picture = golden[0][0]
        assert len({scorer(picture).value for _ in range(100)}) == 1

    def test_many_equals_singles_in_any_order(self, scorer: Scorer, golden: list[Any]) -> None:
        pictures = [picture for picture, _ in golden]
        singles = [scorer(picture).value for picture in pictures]
        assert [score.value for score in scorer.many(reversed(pictures))] == singles[::-1]

    def test_threads_do_not_change_the_score(self, bundle: Bundle, scorer: Scorer, golden: list[Any]) -> None:
        with Scorer(bundle, self.backend, threads=2) as other:
            for picture, _ in golden:
                assert other(picture).value == pytest.approx(scorer(picture).value, abs=1e-4)

    @pytest.mark.parametrize("size", [(1, 1), (1, 500), (31, 33), (384, 384), (700, 90), (1080, 1920)])
    def test_any_picture_size(self, scorer: Scorer, size: tuple[int, int]) -> None:
        picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        score = scorer(picture)
        assert 0 <= score.value <= 1
        assert (score.height, score.width) == size

    @pytest.mark.parametrize(
        "tensor",
        [
            np.zeros((1, 100, 100, 3), np.uint8),
            np.zeros((2, 384, 384, 3), np.uint8),
            np.zeros((1, 3, 384, 384), np.uint8),
            np.zeros((1, 384, 384, 3), np.float32),
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


class TestOnnxRuntime(BackendPromises):
    backend = "onnxruntime"


class TestOpenVino(BackendPromises):
    backend = "openvino"


class TestTflite(BackendPromises):
    backend = "tflite"


def test_runtimes_agree_with_each_other(bundle: Bundle, golden: list[Any]) -> None:
    for precision, tolerance in (("fp32", 1e-4), ("int8", 0.02)):
        scores = []
        for name in ("onnxruntime", "openvino", "tflite"):
            if backend_class(name).unavailable() is None:
                with Scorer(bundle, name, precision) as scorer:
                    scores.append([scorer(picture).value for picture, _ in golden])
        assert np.ptp(np.array(scores), axis=0).max() < tolerance
