"""Registers the extension's modules in order and takes them back in the opposite one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Registrable(Protocol):
    """A module that makes itself known to Blender."""

    def register(self) -> None:
        """Add the module's classes and properties."""

    def unregister(self) -> None:
        """Take them away again."""


_registered: list[Registrable] = []


def register(modules: Sequence[Registrable]) -> None:
    """Register `modules` in their order, all or none.

    The caller names them, because this ring does not know the outer ones.
    """
    for module in modules:
        try:
            module.register()
        except BaseException:
            unregister()
            raise
        _registered.append(module)


def unregister() -> None:
    """Unregister what `register` registered, last first."""
    while _registered:
        _registered.pop().unregister()
