"""Render the sample's frames, the empty room behind them and the ground truth, in Blender's Python.

    python render.py FOLDER

Run with a Python that can ``import bpy`` (Blender 5.0). Frames that lie in FOLDER already are kept, so that an
interrupted run goes on where it stopped. To be cheap, only the box around the performer is traced, with few samples and
Blender's denoiser; ``encode.py`` lays each box upon the empty room.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bpy
import choreography
import numpy as np
import performer
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector
from numpy.typing import NDArray

JOINTS = (
    "nose",
    "neck",
    *(
        f"{side}_{joint}"
        for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "toe")
        for side in choreography.SIDES
    ),
)
SAMPLES = 4
PLATE_SAMPLES = 64
_MARGIN = {"left": 0.22, "right": 0.33, "below": 0.14, "above": 0.18}
"""Metres about the joints that belong to the box: fingers, hair, shadows (the key light's fall to the right) and the
width over which `encode.py` fades the box into the empty room."""


def main() -> None:
    """Render what the command line asks for."""
    parser = argparse.ArgumentParser(description="Render the sample's frames and ground truth.")
    parser.add_argument("folder", type=Path, help="where the frames, plate.png and truth.json go")
    parser.add_argument("--only", type=int, nargs="+", metavar="FRAME", help="render these frames alone")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)

    bpy.ops.wm.read_factory_settings(use_empty=True)
    performer.build_room()
    dancer = performer.Performer()
    _set_up_cycles()
    dance = choreography.dance()
    solved = [choreography.solve(pose) for pose in dance.poses]
    bpy.context.view_layer.update()  # the camera's matrix
    _write_truth(options.folder / "truth.json", dance, [joints for joints, _ in solved])
    _render_plate(options.folder / "plate.png", dancer)

    for frame in options.only or range(choreography.FRAMES):
        path = options.folder / f"{frame:04d}.png"
        if not path.exists():
            joints, rotations = solved[frame]
            dancer.take(joints, rotations)
            _frame_box(np.array([_project(point) for point in joints.values()]))
            _render(path, SAMPLES, "RGBA")


def _set_up_cycles() -> None:
    scene = bpy.context.scene
    render, cycles = scene.render, scene.cycles
    render.engine = "CYCLES"
    render.resolution_x, render.resolution_y = performer.SIZE
    render.use_persistent_data = True
    render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    cycles.device = "CPU"
    cycles.use_adaptive_sampling = False
    cycles.max_bounces = cycles.diffuse_bounces = 1
    cycles.glossy_bounces = cycles.transmission_bounces = 0
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.use_denoising, cycles.denoiser = True, "OPENIMAGEDENOISE"
    cycles.denoising_input_passes = "RGB_ALBEDO_NORMAL"
    cycles.denoising_prefilter = cycles.denoising_quality = "FAST"


def _render(path: Path, samples: int, mode: str) -> None:
    scene = bpy.context.scene
    aside = path.with_name(f".{path.name}")
    scene.cycles.samples = samples
    scene.render.image_settings.color_mode = mode
    scene.render.filepath = str(aside)
    bpy.ops.render.render(write_still=True)
    aside.replace(path)


def _render_plate(path: Path, dancer: performer.Performer) -> None:
    """The empty room."""
    if path.exists():
        return
    for mesh in dancer.meshes:
        mesh.hide_render = True
    _render(path, PLATE_SAMPLES, "RGB")
    for mesh in dancer.meshes:
        mesh.hide_render = False


def _frame_box(points: NDArray[np.float64]) -> None:
    """Let Blender trace the box about the joints ([J, 2] px) alone; the rest of the picture stays transparent."""
    width, height = performer.SIZE
    scale = height / performer.VIEW_HEIGHT
    render = bpy.context.scene.render
    render.use_border, render.use_crop_to_border = True, False
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    render.border_min_x = max(0.0, (left - _MARGIN["left"] * scale) / width)
    render.border_max_x = min(1.0, (right + _MARGIN["right"] * scale) / width)
    render.border_min_y = max(0.0, 1 - (bottom + _MARGIN["below"] * scale) / height)
    render.border_max_y = min(1.0, 1 - (top - _MARGIN["above"] * scale) / height)


def _project(point: NDArray[np.float64]) -> tuple[float, float]:
    """Pixels (x right, y down, whole numbers at the pixels' corners) of a point of the world."""
    scene = bpy.context.scene
    seen = world_to_camera_view(scene, scene.camera, Vector(point))
    return seen.x * performer.SIZE[0], (1 - seen.y) * performer.SIZE[1]


def _write_truth(path: Path, dance: choreography.Dance, frames: list[dict[str, NDArray[np.float64]]]) -> None:
    image = [[[round(part, 1) for part in _project(joints[name])] for name in JOINTS] for joints in frames]
    world = [[[round(float(part), 3) for part in joints[name]] for name in JOINTS] for joints in frames]
    truth = {
        "fps": choreography.FPS,
        "size": performer.SIZE,
        "frames": len(frames),
        "camera": {
            "position": [0.0, -performer.CAMERA_DISTANCE, performer.CAMERA_HEIGHT],
            "looks_along": [0.0, 1.0, 0.0],
            "focal_px": round(performer.SIZE[1] * performer.CAMERA_DISTANCE / performer.VIEW_HEIGHT, 3),
        },
        "tempo": choreography.TEMPO,
        "beats": [round(float(beat), 4) for beat in dance.beats],
        "figures": [{"name": name, "start": start} for name, start in dance.figures],
        "joints": list(JOINTS),
        "image": image,
        "world": world,
    }
    path.write_text(json.dumps(truth, separators=(",", ":")), encoding="utf-8")


if __name__ == "__main__":
    main()
