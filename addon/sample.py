"""The project's own sample: a dancer and music, which come with the backend."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..vmg_backend.errors import UserError
from ..vmg_backend.files import cache_root, writing
from . import installation
from .platforms import Platform


def sample() -> tuple[Path, Path]:
    """The footage and the music, copied out of the chosen backend's packages: those may be replaced or removed.

    Raises
    ------
    UserError
        When they are not there.
    """
    packages = Platform.here().packages_in(installation.python().parent.parent)
    folder, target = (packages or Path()) / "vmg_backend" / "sample", cache_root() / "sample"
    names = ("performer.mp4", "music.ogg")
    if packages is None or not all((folder / name).is_file() for name in names):
        raise UserError("The sample comes with the backend, which is not there.", "Set the backend up, or repair it.")
    for name in names:
        if not (target / name).is_file() or (target / name).stat().st_size != (folder / name).stat().st_size:
            with writing(target / name) as temporary:
                shutil.copyfile(folder / name, temporary)
    return target / names[0], target / names[1]
