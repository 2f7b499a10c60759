"""The in-between engines as a person chooses among them; loads nothing.

Seconds: 12 frames of 1280x720 with one person 720 px high, made and written, on two cores of a 2.x GHz server
processor without a graphics card; those of the public models are reckoned from their operations.
"""

from __future__ import annotations

from ..protocol import Engine

CATALOGUE = (
    Engine("fade", "Fade", "A cross fade of both sides while they move on: quick, and the person is seen twice", 0.7),
    Engine("flow", "Flow", "A moving morph: the limbs travel from one side to the other, the background stays", 5.0),
    Engine("hminterp", "HMInterp", "A diffusion model that knows the person draws them along a generated motion", 60.0),
    Engine("vace", "VACE", "A public video model, Wan2.1-VACE, draws anybody; for strong graphics cards", 30_000.0),
    Engine("sparsectrl", "SparseCtrl", "Public picture models, AnimateDiff and others, draw anybody", 20_000.0),
)
