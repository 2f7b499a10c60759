"""The project's own demo material: a rendered performer, music, and the ground truth of both.

All of it is made by the scripts in the repository's ``sample`` folder.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent

PERFORMER = _FOLDER / "performer.mp4"
"""28 s of one dancer before a still camera, 512 x 768 px, 24 frames a second, without sound."""

TRUTH = _FOLDER / "performer.json"
"""The performer's joints in every frame, in px and in metres of the world, the dance's beats and its figures."""

MUSIC = _FOLDER / "music.ogg"
"""35 s of music at 120 beats a minute, the first beat at 0.5 s."""

BEATS = _FOLDER / "music.beats"
"""The music's beats: lines of the second and the position in the bar, 1 for a downbeat."""
