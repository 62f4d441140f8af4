"""The operator set of an ONNX file is read without the package onnx, and other bytes are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_iqa.backends.onnx_opset import read_opset
from edge_iqa.errors import BundleRefused


def test_reads_the_operator_set_of_a_real_file() -> None:
    onnx = pytest.importorskip("onnx")
    large = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [3000], [0.0] * 3000)
    made = onnx.helper.make_graph([], "g", [], [], [large])
    for domains in (["", "other"], ["other", ""]):
        imports = [onnx.helper.make_opsetid(domain, 19 if domain == "" else 3) for domain in domains]
        assert read_opset(onnx.helper.make_model(made, opset_imports=imports).SerializeToString()) == 19


@given(st.binary(max_size=60))
def test_other_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    with contextlib.suppress(BundleRefused):
        assert read_opset(content) >= 0
