"""The in-between engines by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import UserError
from .fade import Fade
from .flow import Flow
from .guide import shipped_guide
from .interpolator import Interpolator


def guided_flow() -> Flow:
    """The flow engine with the guide that comes with the package."""
    return Flow(guide=shipped_guide())


ENGINES: Mapping[str, Callable[[], Interpolator]] = {Fade.name: Fade, Flow.name: guided_flow}


def make_engine(name: str) -> Interpolator:
    """The engine of that name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in ENGINES:
        raise UserError(
            f'There is no in-between engine "{name}".',
            f"Choose one of: {', '.join(sorted(ENGINES))}.",
            title="Unknown engine",
        )
    return ENGINES[name]()
