"""Pictures that a person edited, to be given to an engine in place of a real frame."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import UserError


def edited_bytes(file: str) -> bytes:
    """The file of an edited picture.

    Raises
    ------
    UserError
        When it cannot be read.
    """
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UserError(
            f"The edited picture {file} of a keyframe cannot be read.", "Put it back, or take it out of the keyframe."
        ) from error


def edited_picture(file: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """An edited picture [H, W, 3].

    Raises
    ------
    UserError
        When it cannot be read, or has not the footage's `size` (width, height).
    """
    picture = cv2.imdecode(np.frombuffer(edited_bytes(file), dtype=np.uint8), cv2.IMREAD_COLOR)
    if picture is None or picture.shape[1::-1] != size:
        raise UserError(
            f"The edited picture {file} is no picture of {size[0]} x {size[1]} pixels.",
            "Save it in the footage's size.",
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
