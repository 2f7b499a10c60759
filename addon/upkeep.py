"""What the preferences' buttons do: jobs that make, mend and empty what the backend needs."""

from __future__ import annotations

from collections.abc import Callable

from ..vmg_backend.protocol import LibrarySize, Place
from . import hardware, installation, paths
from .session import Job, Session


def set_up(session: Session, *extras: str) -> Job:
    """Make our environment, go on with an interrupted set-up, bring it up to date, or add extras.

    Raises
    ------
    UserError
        When another job runs, or this copy of the extension brings no backend.
    """
    environment, recipe = installation.environment(), installation.recipe(*extras)
    title = "Set up HMInterp" if extras else "Set up the backend"
    return session.run(title, lambda progress: environment.set_up(recipe, progress), on_result=_is_other, alone=True)


def repair(session: Session) -> Job:
    """Make our environment anew; raises as `set_up`."""
    environment, recipe = installation.environment(), installation.recipe()
    return session.run(
        "Repair the backend", lambda progress: environment.repair(recipe, progress), on_result=_is_other, alone=True
    )


def remove(session: Session) -> Job:
    """Delete our environment; raises as `set_up`."""
    environment = installation.environment()
    return session.run("Remove the backend", lambda _: environment.remove(), on_result=_is_other, alone=True)


def test(session: Session) -> Job:
    """Ask the backend who it is; `session.hello` has the answer then. Raises `UserError` while another job runs."""
    installation.look_again()
    return session.submit("hello", None, title="Test the backend", on_result=_nothing)


def measure_library(session: Session, on_size: Callable[[LibrarySize], None]) -> Job:
    """Ask for the size of the library; raises `UserError` while another job runs."""
    return session.submit("library", Place(paths.library_folder()), title="Measure the library", on_result=on_size)


def clear_library(session: Session, on_size: Callable[[LibrarySize], None]) -> Job:
    """Empty the library; raises `UserError` while another job runs."""
    return session.submit("clear_library", Place(paths.library_folder()), title="Clear the library", on_result=on_size)


def _is_other(_: object) -> None:
    """What was known of the backend does not hold any more."""
    hardware.forget()


def _nothing(result: object) -> None:
    del result
