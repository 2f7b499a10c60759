"""Video Motion Graphs, the Blender extension.

Nothing is imported at module level: tools that merely look at this folder (pytest, mypy) have no Blender.
"""

from __future__ import annotations


def register() -> None:
    """Register everything in order; called by Blender when the extension is enabled."""
    from .addon import registration
    from .ui import panels

    registration.register([panels])


def unregister() -> None:
    """Undo `register`; called by Blender when the extension is disabled."""
    from .addon import registration

    registration.unregister()
