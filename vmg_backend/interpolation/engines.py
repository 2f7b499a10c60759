"""The in-between engines by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec

from ..errors import UserError
from ..protocol import NOT_INSTALLED, EngineChoice
from .fade import Fade
from .flow import Flow
from .guide import shipped_guide
from .interpolator import Interpolator
from .standins.needs import NEEDS


def guided_flow(_: EngineChoice) -> Flow:
    """The flow engine with the guide that comes with the package."""
    return Flow(guide=shipped_guide())


def missing_packages() -> tuple[str, ...]:
    """What engines with a model need and is not installed."""
    return tuple(name for name in ("torch", "diffusers", "transformers", "accelerate") if find_spec(name) is None)


def hminterp(choice: EngineChoice) -> Interpolator:
    """HMInterp with a model of the person's.

    Raises
    ------
    UserError
        When what it needs is not installed, there is no such model, or it does not fit the machine.
    """
    check_packages()
    from .hminterp.opening import open_engine

    return open_engine(choice)


def stand_in(choice: EngineChoice) -> Interpolator:
    """A public model in HMInterp's place.

    Raises
    ------
    UserError
        When what it needs is not installed, its files are not here, or there is no such device.
    """
    check_packages()
    from .standins.opening import open_stand_in

    return open_stand_in(choice)


def check_packages() -> None:
    """Make sure that what engines with a model need is installed.

    Raises
    ------
    UserError
        When it is not.
    """
    if missing := missing_packages():
        raise UserError(
            f"Engines with a model need {' and '.join(missing)}, which are not installed.",
            'Install the backend with "vmg_backend[generate]", or choose another engine.',
            title=NOT_INSTALLED,
        )


ENGINES: Mapping[str, Callable[[EngineChoice], Interpolator]] = {
    Fade.name: lambda _: Fade(),
    Flow.name: guided_flow,
    "hminterp": hminterp,
    **dict.fromkeys(NEEDS, stand_in),
}


def make_engine(choice: EngineChoice) -> Interpolator:
    """The engine that is chosen.

    Raises
    ------
    UserError
        When there is none of that name, or it cannot run here.
    """
    if choice.name not in ENGINES:
        raise UserError(
            f'There is no in-between engine "{choice.name}".',
            f"Choose one of: {', '.join(sorted(ENGINES))}.",
            title="Unknown engine",
        )
    return ENGINES[choice.name](choice)
