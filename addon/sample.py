"""The project's own sample: a dancer and music, which come with the backend."""

from __future__ import annotations

from pathlib import Path

from ..vmg_backend.errors import UserError
from . import installation
from .platforms import Platform


def sample() -> tuple[Path, Path]:
    """The footage and the music, in the packages of the chosen backend.

    Raises
    ------
    UserError
        When they are not there.
    """
    packages = Platform.here().packages_in(installation.python().parent.parent)
    folder = (packages or Path()) / "vmg_backend" / "sample"
    files = folder / "performer.mp4", folder / "music.ogg"
    if packages is None or not all(file.is_file() for file in files):
        raise UserError("The sample comes with the backend, which is not there.", "Set the backend up, or repair it.")
    return files
