"""Files of tensors (safetensors): opened with a word for the person when they are not what they should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

from .errors import UserError


def _any(_: Mapping[str, str]) -> bool:
    return True


@dataclass(frozen=True)
class Kind:
    """What a file of tensors should be.

    Attributes
    ----------
    name : str
        In words: "training state".
    remedy : str
        What to do when it is something else.
    fits : callable
        Whether what the file states of itself is what its reader understands.
    """

    name: str
    remedy: str
    fits: Callable[[Mapping[str, str]], bool] = _any


class TensorFile(Protocol):
    """A file of tensors while it is open."""

    def metadata(self) -> dict[str, str]:
        """What the file states of itself."""

    def keys(self) -> list[str]:
        """The tensors' names."""

    def get_tensor(self, name: str) -> Any:  # noqa: ANN401 - an array, or torch's
        """One of them."""


@contextmanager
def opened(path: Path, kind: Kind, framework: Literal["numpy", "pt"]) -> Iterator[TensorFile]:
    """A file's tensors, as arrays or as tensors of torch, and its metadata; read one by one while it is open.

    Raises
    ------
    UserError
        When the file is missing, damaged, or of another kind or version.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework) as file:
            if not kind.fits(file.metadata() or {}):
                raise UserError(f"{path} is no {kind.name} of this version.", kind.remedy, title="Another file")
            yield cast(TensorFile, file)
    except FileNotFoundError as error:
        raise UserError(f"There is no {kind.name} at {path}.", kind.remedy, title="File missing") from error
    except (OSError, SafetensorError) as error:
        message = f"{path} cannot be read as {kind.name}: {error}."
        raise UserError(message, kind.remedy, title="File damaged") from error
