"""Models whose entropy networks have integer twins (fixed_point.py)."""

from __future__ import annotations

from typing import Any, ClassVar

from lictor.models.base import Network
from lictor.models.coding.fixed_point import exact


class Twinned(Network):
    """Keeps the twins of some parts, made once from the weights as they are."""

    twinned: ClassVar[tuple[str, ...]] = ()
    """Names of these parts."""

    _twins: dict[str, Any] | None = None

    def train(self, mode: bool = True) -> Any:
        self._twins = None
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        self._twins = None  # they follow the weights to another device
        return super()._apply(*args, **kwargs)

    def _exact(self) -> dict[str, Any]:
        """The twins by name. Raises InexactWeights."""
        if self._twins is None:
            self._twins = {name: exact(getattr(self, name)) for name in self.twinned}
        return self._twins
