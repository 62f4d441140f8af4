"""Full-reference quality metrics in plain torch: the labels that opinion-free training ranks pictures by.

They score, they are no losses: nothing here carries a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from edge_iqa.errors import InvalidInput
from edge_iqa.models.fr import fsim, gmsd, haarpsi, mdsi, vsi

__all__ = ["FR_METRICS", "FRMetric", "full_reference"]


@dataclass(frozen=True)
class FRMetric:
    """One full-reference metric: its direction, its value `best` for identical pictures, and its source."""

    name: str
    higher_is_better: bool
    best: float
    function: Callable[[Tensor, Tensor], Tensor]
    paper: str


_ALL = (
    FRMetric("fsim", True, 1.0, fsim.fsim, "Zhang et al., IEEE TIP 20(8), 2011"),
    FRMetric("fsimc", True, 1.0, fsim.fsimc, "Zhang et al., IEEE TIP 20(8), 2011"),
    FRMetric("gmsd", False, 0.0, gmsd.gmsd, "Xue et al., IEEE TIP 23(2), 2014"),
    FRMetric("haarpsi", True, 1.0, haarpsi.haarpsi, "Reisenhofer et al., Signal Process. Image Commun. 61, 2018"),
    FRMetric("mdsi", False, 0.0, mdsi.mdsi, "Nafchi et al., IEEE Access 4, 2016"),
    FRMetric("vsi", True, 1.0, vsi.vsi, "Zhang et al., IEEE TIP 23(10), 2014"),
)

#: Every metric by its name.
FR_METRICS: dict[str, FRMetric] = {metric.name: metric for metric in _ALL}


def full_reference(name: str, reference: Tensor, distorted: Tensor) -> Tensor:
    """Score `distorted` against `reference` by the metric called `name`.

    Args:
        name: a key of `FR_METRICS`.
        reference: RGB `(N, 3, H, W)`, float32 in [0, 1]; or `(1, 3, H, W)`, then its maps are made once.
        distorted: RGB `(N, 3, H, W)`, float32 in [0, 1], of the same size.

    Returns:
        float32 `(N,)`; `FR_METRICS[name].higher_is_better` says which way it points.

    Raises:
        InvalidInput: an unknown metric, or pictures that do not fit (`maps.check_pictures`).
    """
    if name not in FR_METRICS:
        raise InvalidInput(
            f"there is no full-reference metric {name!r}", fix=f"choose from {', '.join(sorted(FR_METRICS))}"
        )
    return FR_METRICS[name].function(reference, distorted)
