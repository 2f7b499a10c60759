"""Arrays on disk: written row by row, read by mapping them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError

REMEDY = "Prepare the clips again."


class ArrayWriter:
    """Writes a `.npy` file in rows of any order; a context manager.

    A mapped array would do, but a disk that is full then ends the process.

    Parameters
    ----------
    path : Path
    shape : tuple of int
    kind : type
        Of the numbers.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> None:
        self._kind = np.dtype(kind)
        self._file = path.open("wb")
        header = {"descr": self._kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)  # type: ignore[no-untyped-call] # numpy's own
        self._begin = self._file.tell()
        self._stride = int(np.prod(shape[1:])) * self._kind.itemsize

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, row: int, rows: NDArray[Any]) -> None:
        """Write rows [n, ...], from one on."""
        self._file.seek(self._begin + row * self._stride)
        self._file.write(rows.astype(self._kind, copy=False).tobytes())


def mapped(path: Path, shape: tuple[int, ...], kind: type[np.generic]) -> NDArray[Any]:
    """An array on disk, of which only what is looked at is read.

    Raises
    ------
    UserError
        When it is missing, or not of that shape and kind.
    """
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}.", REMEDY, title="File damaged") from error
    if array.shape != shape or array.dtype != kind:
        raise UserError(f"{path} is damaged, or does not belong there.", REMEDY, title="File damaged")
    return array
