"""The networks that can be distilled into and quantized, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from edge_iqa.models.hirqa import HiRQA
from edge_iqa.models.lite import HirqaSLite

StudentNetwork: TypeAlias = HirqaSLite | HiRQA
"""They tell ``maps`` of pictures normalised by ``mean`` and ``std``, and ``read`` them for ``fc``."""

LITE_STUDENT, RESNET_STUDENT = "hirqa-s-lite", "hirqa-s"
STUDENTS: dict[str, Callable[[], StudentNetwork]] = {LITE_STUDENT: HirqaSLite, RESNET_STUDENT: lambda: HiRQA(18)}
