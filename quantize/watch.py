"""What some tensors of a traced network hold while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, fx


def watch(
    network: fx.GraphModule, nodes: Iterable[fx.Node], pictures: Sequence[Tensor], note: Callable[[Tensor], Tensor]
) -> dict[fx.Node, list[Tensor]]:
    """Run ``network`` on batches ``(N, 3, H, W)``; return what ``note`` makes of each node's outputs."""
    watched = _Watch(network, nodes, note)
    for batch in pictures:
        watched.run(batch)
    return watched.found


class _Watch(fx.Interpreter):
    def __init__(self, network: fx.GraphModule, nodes: Iterable[fx.Node], note: Callable[[Tensor], Tensor]) -> None:
        super().__init__(network)
        self.found: dict[fx.Node, list[Tensor]] = {node: [] for node in nodes}
        self._note = note

    def run_node(self, n: fx.Node) -> Any:
        out = super().run_node(n)
        if n in self.found:
            self.found[n].append(self._note(out))
        return out
