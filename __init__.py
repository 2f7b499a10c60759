"""Video Motion Graphs, the Blender extension.

Nothing is imported at module level: tools that merely look at this folder (pytest, mypy) have no Blender.
"""

from __future__ import annotations


def register() -> None:
    """Register everything in order; called by Blender when the extension is enabled."""
    from .addon import hardware, installation, jobs, picture, properties, registration, session, training, ways
    from .operators import actions, beats, environment, final_cut, generate, keyframes, models, setup, takes
    from .operators import training as training_verbs
    from .operators import ways as ways_verbs
    from .ui import actions as actions_panel
    from .ui import beats as beats_panel
    from .ui import final_cut as final_cut_panel
    from .ui import generate as generate_panel
    from .ui import hardware as hardware_panel
    from .ui import keyframes as keyframes_panel
    from .ui import menus, preferences, skeleton, status, watch
    from .ui import setup as setup_panel
    from .ui import takes as takes_panel
    from .ui import training as training_panel
    from .ui import ways as ways_panel

    registration.register(  # taken back in the opposite order: a job that ends then still needs an operator
        [
            *(installation, hardware, picture, properties, training, ways),
            *(environment, setup, beats, actions, keyframes, generate, models, training_verbs, takes, ways_verbs),
            *(final_cut, session, jobs),
            *(skeleton, preferences, setup_panel, hardware_panel, beats_panel, actions_panel, keyframes_panel),
            *(generate_panel, training_panel, takes_panel, ways_panel, final_cut_panel, menus, status, watch),
        ]
    )


def unregister() -> None:
    """Undo `register`; called by Blender when the extension is disabled."""
    from .addon import registration

    registration.unregister()
