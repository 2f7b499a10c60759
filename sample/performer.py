"""The performer's body, the room and the camera, built in Blender from numbers alone (no asset of a third party).

The body is closed primitives (tapered capsules, ellipsoids, one lofted torso) that are joined and remeshed per garment.
It is weighted once: Blender's automatic weights of one rough body are copied to every garment from its nearest points.
The face matters: without brow, nose and mouth a pose estimator cannot tell the front of a body from its back.
"""

# ruff: noqa: RUF005 - points are arrays: + adds them

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

import bmesh
import bpy
import numpy as np
from choreography import BONES, REST, SIDES
from mathutils import Matrix, Vector
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

Solid = tuple[NDArray[np.float64], list[tuple[int, ...]]]
"""Points [N, 3] in metres and faces of a closed surface."""

SIZE = (512, 768)
CAMERA_DISTANCE = 6.0
CAMERA_HEIGHT = 1.10
VIEW_HEIGHT = 2.8  # metres seen at the performer's distance

_HEAD_CENTRE = REST["head"] + (0, -0.012, 0.095)
_COLOURS = {
    "skin": (0.58, 0.34, 0.23),
    "trousers": (0.06, 0.065, 0.09),
    "shoes": (0.75, 0.73, 0.68),
    "hair": (0.035, 0.02, 0.013),
    "eye": (0.85, 0.83, 0.80),
    "iris": (0.06, 0.035, 0.015),
    "lips": (0.48, 0.19, 0.14),
    "brow": (0.04, 0.025, 0.018),
    "skirting": (0.80, 0.78, 0.74),
}


class Performer:
    """The body on its rig, in the current scene."""

    def __init__(self) -> None:
        self._rig = _rig()
        self._rest = {bone: self._rig.data.bones[bone].matrix_local.copy() for bone in BONES}
        for bone in self._rig.pose.bones:
            bone.rotation_mode = "QUATERNION"
        self.meshes = _dress(self._rig)

    def take(self, joints: dict[str, NDArray[np.float64]], rotations: dict[str, NDArray[np.float64]]) -> None:
        """Take the pose that `choreography.solve` returned."""
        for bone, (head, _) in BONES.items():
            moved = (
                Matrix.Translation(Vector(joints[head]))
                @ Matrix(rotations[bone].tolist()).to_4x4()
                @ Matrix.Translation(-Vector(REST[head]))
            )
            rest = self._rest[bone]
            self._rig.pose.bones[bone].matrix_basis = rest.inverted() @ moved @ rest


def build_room() -> None:
    """A floor of boards, a plain wall 3 m behind the performer, two large soft lights and the camera."""
    scene = bpy.context.scene
    floor = _material("floor", (0.36, 0.22, 0.12), roughness=0.45)
    nodes, links = floor.node_tree.nodes, floor.node_tree.links
    boards = nodes.new("ShaderNodeTexBrick")
    for name, value in (("Scale", 1.0), ("Brick Width", 1.2), ("Row Height", 0.14), ("Mortar Size", 0.004)):
        boards.inputs[name].default_value = value
    for name, colour in (
        ("Color1", (0.38, 0.23, 0.12, 1)),
        ("Color2", (0.28, 0.165, 0.085, 1)),
        ("Mortar", (0.09, 0.05, 0.03, 1)),
    ):
        boards.inputs[name].default_value = colour
    links.new(nodes.new("ShaderNodeTexCoord").outputs["Object"], boards.inputs["Vector"])
    links.new(boards.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    wall = _material("wall", (0.62, 0.58, 0.52), roughness=0.9, mottle=0.05, scale=6, bound_to="Object")
    _object("floor", [_quad((-5, -6, 0), (5, -6, 0), (5, 3, 0), (-5, 3, 0))], floor)
    _object("wall", [_quad((-5, 3, 0), (5, 3, 0), (5, 3, 5), (-5, 3, 5))], wall)
    _object("skirting", [_quad((-5, 2.97, 0), (5, 2.97, 0), (5, 2.97, 0.11), (-5, 2.97, 0.11))], _material("skirting"))

    scene.world = bpy.data.worlds.new("world")
    _with_nodes(scene.world)
    background = scene.world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.85, 0.92, 1, 1)
    background.inputs["Strength"].default_value = 0.42
    _area_light((-2.2, -3.2, 3.2), (48, 0, -34), 94, (1, 0.95, 0.88))
    _area_light((2.6, -2.6, 2.4), (58, 0, 44), 33, (0.9, 0.95, 1))

    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.sensor_height = "VERTICAL", 24
    camera.lens = 24 * CAMERA_DISTANCE / VIEW_HEIGHT
    scene.camera = bpy.data.objects.new("camera", camera)
    scene.camera.location = (0, -CAMERA_DISTANCE, CAMERA_HEIGHT)
    scene.camera.rotation_euler = (math.radians(90), 0, 0)
    scene.collection.objects.link(scene.camera)


# Surfaces


def _with_nodes(block: bpy.types.ID) -> None:
    if block.node_tree is None:  # Blender 5 gives every material and world its nodes
        block.use_nodes = True


def _material(
    name: str,
    colour: tuple[float, float, float] | None = None,
    roughness: float = 0.6,
    mottle: float = 0.0,
    scale: float = 8,
    bound_to: str = "Generated",
) -> bpy.types.Material:
    """A matt colour that varies by the share `mottle`.

    The noise is bound to the surface's rest state ("Generated"), so that it moves with the cloth and not through it.
    """
    red, green, blue = colour or _COLOURS[name]
    material = bpy.data.materials.new(name)
    _with_nodes(material)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    principled = nodes["Principled BSDF"]
    principled.inputs["Base Color"].default_value = (red, green, blue, 1)
    principled.inputs["Roughness"].default_value = roughness
    if mottle:
        noise, ramp = nodes.new("ShaderNodeTexNoise"), nodes.new("ShaderNodeValToRGB")
        noise.inputs["Scale"].default_value = scale
        for stop, position, factor in zip(ramp.color_ramp.elements, (0.3, 0.7), (1 - mottle, 1 + mottle), strict=True):
            stop.position = position
            stop.color = (*(min(1.0, factor * part) for part in (red, green, blue)), 1)
        links.new(nodes.new("ShaderNodeTexCoord").outputs[bound_to], noise.inputs["Vector"])
        links.new(noise.outputs["Fac"], ramp.inputs["Fac"])
        links.new(ramp.outputs["Color"], principled.inputs["Base Color"])
    return material


def _shirt_material() -> bpy.types.Material:
    """Teal with two pale bands across the chest."""
    material = _material("shirt", (0.03, 0.23, 0.25), roughness=0.85)
    nodes, links = material.node_tree.nodes, material.node_tree.links
    split, ramp = nodes.new("ShaderNodeSeparateXYZ"), nodes.new("ShaderNodeValToRGB")
    teal, pale = (0.03, 0.23, 0.25, 1), (0.72, 0.66, 0.52, 1)
    ramp.color_ramp.interpolation = "CONSTANT"
    stops = ((0.0, teal), (0.50, pale), (0.56, teal), (0.60, pale), (0.66, teal))
    ramp.color_ramp.elements[1].position = 1.0
    for position, _ in stops[1:]:
        ramp.color_ramp.elements.new(position)
    for stop, (position, colour) in zip(ramp.color_ramp.elements, (*stops, (1.0, teal)), strict=True):
        stop.position, stop.color = position, colour
    links.new(nodes.new("ShaderNodeTexCoord").outputs["Generated"], split.inputs["Vector"])
    links.new(split.outputs["Z"], ramp.inputs["Fac"])
    links.new(ramp.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    return material


def _area_light(
    at: tuple[float, float, float],
    degrees: tuple[float, float, float],
    energy: float,
    colour: tuple[float, float, float],
) -> None:
    light = bpy.data.lights.new("light", "AREA")
    light.size, light.energy, light.color = 2.5, energy, colour
    lamp = bpy.data.objects.new("light", light)
    lamp.location, lamp.rotation_euler = at, [math.radians(angle) for angle in degrees]
    bpy.context.scene.collection.objects.link(lamp)


# Solids


def _quad(*corners: tuple[float, float, float]) -> Solid:
    return np.array(corners, float), [(0, 1, 2, 3)]


def _capsule(
    start: Sequence[float], end: Sequence[float], first: float, second: float, around: int = 20, flat: float = 1.0
) -> Solid:
    """A capsule from radius `first` to `second`; its section's height (z) times `flat`."""
    start, end = np.array(start, float), np.array(end, float)
    along = end - start
    along = along / np.linalg.norm(along)
    across = np.cross((0, 1, 0) if abs(along[1]) < 0.9 else (1, 0, 0), along)
    across /= np.linalg.norm(across)
    other = np.cross(along, across)
    rings = [(start, first, angle) for angle in np.radians((-72, -54, -36, -18, 0))]
    rings += [(end, second, angle) for angle in np.radians((0, 18, 36, 54, 72))]
    turn = np.linspace(0, 2 * math.pi, around, endpoint=False)[:, None]
    points = [start - along * first]
    for centre, radius, angle in rings:
        offset = radius * math.cos(angle) * (across * np.cos(turn) + other * np.sin(turn))
        points.extend(centre + along * radius * math.sin(angle) + offset * (1, 1, flat))
    points.append(end + along * second)
    return np.array(points), _tube_faces(len(rings), around, poles=True)


def _ellipsoid(centre: Sequence[float], radii: Sequence[float]) -> Solid:
    points, faces = _capsule((0, 0, -1e-4), (0, 0, 1e-4), 1, 1, 24)
    return points * radii + centre, faces


def _loft(profile: Sequence[tuple[float, float, float]], grow: float, around: int = 32) -> Solid:
    """A torso of superellipse rings; `profile` gives (height, half width, half depth)."""
    height, width, depth = np.array(profile).T
    levels = np.linspace(height[0], height[-1], 26)
    turn = np.linspace(0, 2 * math.pi, around, endpoint=False)
    x, y = (np.sign(part) * np.abs(part) ** 0.85 for part in (np.cos(turn), np.sin(turn)))
    points = [
        (px * (np.interp(z, height, width) + grow), 0.015 + py * (np.interp(z, height, depth) + grow), z)
        for z in levels
        for px, py in zip(x, y, strict=True)
    ]
    return np.array(points), _tube_faces(len(levels), around, poles=False)


def _tube_faces(rings: int, around: int, *, poles: bool) -> list[tuple[int, ...]]:
    """Faces of stacked rings, closed by two polygons or by a pole before the first and after the last ring."""
    first = 1 if poles else 0
    faces: list[tuple[int, ...]] = []
    for ring in range(rings - 1):
        for k in range(around):
            a, b = first + ring * around + k, first + ring * around + (k + 1) % around
            faces.append((a, b, b + around, a + around))
    last = first + (rings - 1) * around
    if poles:
        end = last + around
        faces += [(0, 1 + (k + 1) % around, 1 + k) for k in range(around)]
        faces += [(end, last + k, last + (k + 1) % around) for k in range(around)]
    else:
        faces += [tuple(reversed(range(around))), tuple(range(last, last + around))]
    return faces


def _chain(start: NDArray[np.float64], end: NDArray[np.float64], profile: Sequence[tuple[float, float]]) -> list[Solid]:
    """Capsules from `start` to `end` with the radii at the given shares of the way."""
    return [
        _capsule(start + (end - start) * t0, start + (end - start) * t1, r0, r1)
        for (t0, r0), (t1, r1) in itertools.pairwise(profile)
    ]


# Parts of the body in the rest pose; `grow` is the cloth's distance from the skin


def _torso(grow: float) -> list[Solid]:
    profile = [
        (0.86, 0.185, 0.137),
        (0.90, 0.180, 0.132),
        (1.00, 0.152, 0.115),
        (1.08, 0.140, 0.105),
        (1.16, 0.145, 0.108),
        (1.27, 0.160, 0.115),
        (1.36, 0.145, 0.095),
    ]
    solids = [_loft(profile, grow), _capsule((0, 0.020, 1.39), (0, 0.010, 1.455), 0.070 + grow, 0.054 + grow)]
    for x in SIDES.values():
        solids += [
            _ellipsoid((0.070 * x, -0.040, 1.27), (0.090 + grow, 0.060 + grow, 0.095)),
            _capsule((0.04 * x, 0.010, 1.415), (0.165 * x, 0.018, 1.395), 0.048 + grow, 0.058 + grow),
            _ellipsoid((0.178 * x, 0.020, 1.378), (0.062 + grow, 0.060 + grow, 0.066 + grow)),
            _capsule((0.105 * x, 0.04, 1.20), (0.12 * x, 0.03, 1.33), 0.05 + grow, 0.055 + grow),
        ]
    return solids


def _hips(grow: float) -> list[Solid]:
    solids = [
        _ellipsoid((0, 0.015, 0.93), (0.150 + grow, 0.112 + grow, 0.10)),
        _ellipsoid((0, 0.010, 0.87), (0.145 + grow, 0.105 + grow, 0.08)),
    ]
    return solids + [
        _ellipsoid((0.075 * x, 0.05, 0.89), (0.08 + grow, 0.07 + grow, 0.085 + grow)) for x in SIDES.values()
    ]


def _leg(side: str, grow: float) -> list[Solid]:
    hip, knee, ankle = (REST[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
    thigh = [(0, 0.080 + grow), (0.3, 0.078 + grow), (0.75, 0.064 + grow), (1, 0.060 + grow)]
    shin = [(0, 0.059 + grow), (0.28, 0.060 + grow), (0.6, 0.052 + grow), (1, 0.043 + grow)]
    return _chain(hip, knee, thigh) + _chain(knee, ankle, shin)


def _sleeve(side: str, grow: float) -> list[Solid]:
    shoulder, elbow = REST[f"{side}_shoulder"], REST[f"{side}_elbow"]
    return _chain(shoulder, shoulder + (elbow - shoulder) * 0.55, [(0, 0.056 + grow), (1, 0.052 + grow)])


def _arm(side: str) -> list[Solid]:
    shoulder, elbow, wrist = (REST[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
    upper = [(0, 0.054), (0.35, 0.047), (0.9, 0.037), (1, 0.036)]
    return _chain(shoulder, elbow, upper) + _chain(elbow, wrist, [(0, 0.036), (0.25, 0.039), (0.7, 0.030), (1, 0.025)])


def _hand(side: str) -> list[Solid]:
    x, wrist = SIDES[side], REST[f"{side}_wrist"]
    solids = [
        _ellipsoid(wrist + (0.048 * x, 0, 0), (0.052, 0.040, 0.017)),
        _capsule(wrist - (0.02 * x, 0, 0), wrist + (0.03 * x, 0, 0), 0.024, 0.026, flat=0.75),
    ]
    for y, reach in ((-0.030, 0.070), (-0.010, 0.080), (0.011, 0.074), (0.030, 0.058)):
        knuckle = wrist + (0.088 * x, y, 0)
        middle, tip = knuckle + (reach * 0.5 * x, y * 0.15, -0.004), knuckle + (reach * x, y * 0.2, -0.018)
        solids += [_capsule(knuckle, middle, 0.0098, 0.009, 10), _capsule(middle, tip, 0.009, 0.0075, 10)]
    ball = wrist + (0.030 * x, -0.030, -0.004)
    middle, tip = ball + (0.032 * x, -0.030, -0.008), ball + (0.062 * x, -0.044, -0.014)
    return [*solids, _capsule(ball, middle, 0.013, 0.011, 10), _capsule(middle, tip, 0.011, 0.008, 10)]


def _shoe(side: str) -> list[Solid]:
    x, ankle = SIDES[side], REST[f"{side}_ankle"]
    sole = ankle * (1, 1, 0)
    return [
        _ellipsoid(sole + (0, 0.045, 0.045), (0.038, 0.045, 0.045)),
        _capsule(sole + (0, 0.03, 0.045), sole + (0.006 * x, -0.10, 0.038), 0.042, 0.036),
        _ellipsoid(sole + (0.010 * x, -0.135, 0.032), (0.046, 0.065, 0.034)),
        _capsule(ankle - (0, 0, 0.01), ankle + (0, 0, 0.02), 0.043, 0.042),
        _ellipsoid(sole + (0.003 * x, -0.030, 0.012), (0.045, 0.125, 0.013)),
        _ellipsoid(sole + (0.010 * x, -0.130, 0.012), (0.050, 0.075, 0.013)),
        _ellipsoid(sole + (0, 0.040, 0.012), (0.042, 0.052, 0.013)),
    ]


def _head() -> list[Solid]:
    c = _HEAD_CENTRE
    solids = [
        _ellipsoid(c + (0, 0.012, 0.022), (0.076, 0.094, 0.092)),
        _ellipsoid(c + (0, -0.030, -0.030), (0.062, 0.064, 0.080)),
        _ellipsoid(c + (0, -0.055, -0.085), (0.040, 0.038, 0.030)),
        _ellipsoid(c + (0, -0.035, -0.065), (0.055, 0.055, 0.045)),
        _ellipsoid(c + (0, -0.055, 0.030), (0.058, 0.038, 0.050)),
        _capsule(c + (0, 0.018, -0.110), c + (0, 0.01, -0.05), 0.050, 0.052),
        _capsule(c + (0, -0.090, 0.010), c + (0, -0.108, -0.028), 0.009, 0.013, 14),
    ]
    for x in SIDES.values():
        solids += [
            _ellipsoid(c + (0.040 * x, -0.062, -0.028), (0.026, 0.026, 0.024)),
            _capsule(c + (0.012 * x, -0.089, 0.020), c + (0.046 * x, -0.075, 0.022), 0.010, 0.008),
            _ellipsoid(c + (0.078 * x, 0.012, -0.012), (0.010, 0.020, 0.032)),
            _ellipsoid(c + (0.011 * x, -0.100, -0.032), (0.009, 0.010, 0.008)),
        ]
    return solids


def _face() -> dict[str, list[Solid]]:
    """What is painted on a face, as solids by material."""
    c = _HEAD_CENTRE
    face: dict[str, list[Solid]] = {"eye": [], "iris": [], "brow": []}
    for x in SIDES.values():
        face["eye"].append(_ellipsoid(c + (0.032 * x, -0.0795, 0.002), (0.0165, 0.013, 0.0075)))
        face["iris"].append(_ellipsoid(c + (0.032 * x, -0.0905, 0.002), (0.0065, 0.0035, 0.0066)))
        face["brow"] += [
            _capsule(c + (0.017 * x, -0.0880, 0.0080), c + (0.046 * x, -0.0830, 0.0075), 0.003, 0.003, 10),
            _capsule(c + (0.016 * x, -0.0975, 0.023), c + (0.034 * x, -0.0935, 0.027), 0.0038, 0.0038, 10),
            _capsule(c + (0.034 * x, -0.0935, 0.027), c + (0.050 * x, -0.081, 0.022), 0.0038, 0.003, 10),
        ]
    face["lips"] = [
        _capsule(c + (-0.022, -0.0855, -0.061), c + (0, -0.0935, -0.060), 0.004, 0.0058, 10),
        _capsule(c + (0, -0.0935, -0.060), c + (0.022, -0.0855, -0.061), 0.0058, 0.004, 10),
        _capsule(c + (-0.016, -0.0865, -0.068), c + (0.016, -0.0865, -0.068), 0.0062, 0.0062, 10),
    ]
    return face


def _hair() -> list[Solid]:
    c = _HEAD_CENTRE
    solids = [
        _ellipsoid(c + (0, 0.026, 0.036), (0.088, 0.100, 0.092)),
        _ellipsoid(c + (0, 0.070, -0.035), (0.062, 0.045, 0.055)),
        _capsule(c + (-0.050, -0.058, 0.078), c + (0.045, -0.066, 0.082), 0.022, 0.026),
    ]
    return solids + [_ellipsoid(c + (0.058 * x, 0.045, -0.010), (0.026, 0.045, 0.050)) for x in SIDES.values()]


# Objects, rig and skin


def _object(
    name: str, solids: Sequence[Solid], material: bpy.types.Material, voxel: float = 0.0, smooth: int = 0
) -> bpy.types.Object:
    """One object of the joined solids; with `voxel` metres their union is remeshed and smoothed `smooth` times."""
    points, faces, count = [], [], 0
    for solid_points, solid_faces in solids:
        points.append(solid_points)
        faces += [tuple(count + k for k in face) for face in solid_faces]
        count += len(solid_points)
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.concatenate(points).tolist(), [], faces)
    made = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(made)
    if voxel:
        edited = bmesh.new()
        edited.from_mesh(mesh)
        bmesh.ops.recalc_face_normals(edited, faces=edited.faces)
        edited.to_mesh(mesh)
        edited.free()
        remesh = made.modifiers.new("remesh", "REMESH")
        remesh.mode, remesh.voxel_size, remesh.adaptivity = "VOXEL", voxel, 0
        smoothing = made.modifiers.new("smooth", "SMOOTH")
        smoothing.iterations, smoothing.factor = smooth, 0.5
        graph = bpy.context.evaluated_depsgraph_get()
        made.data = bpy.data.meshes.new_from_object(made.evaluated_get(graph))
        made.modifiers.clear()
    made.data.materials.clear()
    made.data.materials.append(material)
    made.data.polygons.foreach_set("use_smooth", [True] * len(made.data.polygons))
    return made


def _rig() -> bpy.types.Object:
    armature = bpy.data.armatures.new("rig")
    rig = bpy.data.objects.new("rig", armature)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for name, (head, tail) in BONES.items():  # without parents: the choreography places each bone in the world
        bone = armature.edit_bones.new(name)
        bone.head, bone.tail = REST[head], REST[tail]
    bpy.ops.object.mode_set(mode="OBJECT")
    return rig


class _Weights:
    """Blender's automatic weights of one rough body, to be copied to garments."""

    def __init__(self, rig: bpy.types.Object, skin: bpy.types.Material) -> None:
        self._rig = rig
        solids = _torso(0.008) + _hips(0.008)
        for side in SIDES:
            solids += _leg(side, 0.006) + _arm(side) + _hand(side) + _shoe(side)
        solids.append(_capsule(REST["neck"] - (0, 0, 0.05), REST["crown"] - (0, 0, 0.1), 0.06, 0.09))
        body = _object("rough body", solids, skin, 0.012, 3)
        bpy.ops.object.select_all(action="DESELECT")
        body.select_set(True)
        rig.select_set(True)
        bpy.context.view_layer.objects.active = rig
        bpy.ops.object.parent_set(type="ARMATURE_AUTO")
        self._bones = [group.name for group in body.vertex_groups]
        self._table = np.zeros((len(body.data.vertices), len(self._bones)))
        self._tree = KDTree(len(body.data.vertices))
        for vertex in body.data.vertices:
            self._tree.insert(vertex.co, vertex.index)
            for group in vertex.groups:
                self._table[vertex.index, group.group] = group.weight
        self._tree.balance()
        bpy.data.objects.remove(body)

    def copy_to(self, garment: bpy.types.Object, bones: Collection[str]) -> None:
        """Weight a garment by the six nearest points of the body, with the given bones alone."""
        allowed = np.array([name in bones for name in self._bones])
        groups = {name: garment.vertex_groups.new(name=name) for name in self._bones if name in bones}
        for vertex in garment.data.vertices:
            near = self._tree.find_n(vertex.co, 6)
            weights = sum(self._table[index] / (distance + 0.004) for _, index, distance in near) * allowed
            weights /= weights.sum()
            for k in np.flatnonzero(weights > 0.01):
                groups[self._bones[k]].add([vertex.index], float(weights[k]), "REPLACE")
        self._deform(garment)

    def bind(self, garment: bpy.types.Object, bone: str) -> None:
        """Fix a garment to one bone."""
        group = garment.vertex_groups.new(name=bone)
        group.add(range(len(garment.data.vertices)), 1.0, "REPLACE")
        self._deform(garment)

    def bind_neck(self, neck: bpy.types.Object) -> None:
        """Weight the neck by height alone, its foot with the chest, so that it never leaves the collar."""
        heights = [REST["neck"][2] - 0.03, REST["neck"][2] + 0.03, REST["head"][2] + 0.01, REST["head"][2] + 0.05]
        groups = {name: neck.vertex_groups.new(name=name) for name in ("chest", "neck", "head")}
        for vertex in neck.data.vertices:
            rise = float(np.interp(vertex.co.z, heights, (0, 1, 1, 2)))
            for k, name in enumerate(groups):
                if (weight := 1 - abs(rise - k)) > 0:
                    groups[name].add([vertex.index], weight, "REPLACE")
        self._deform(neck)

    def _deform(self, garment: bpy.types.Object) -> None:
        modifier = garment.modifiers.new("rig", "ARMATURE")
        modifier.object, modifier.use_deform_preserve_volume = self._rig, True


def _dress(rig: bpy.types.Object) -> list[bpy.types.Object]:
    """All meshes of the body, bound to the rig."""
    skin = _material("skin", roughness=0.5, mottle=0.05, scale=12)
    weights = _Weights(rig, skin)
    meshes = []

    shirt = _object(
        "shirt", _torso(0.012) + _sleeve("left", 0.012) + _sleeve("right", 0.012), _shirt_material(), 0.012, 6
    )
    trunk = {"pelvis", "spine", "chest"}
    weights.copy_to(shirt, trunk | {f"{side}_{bone}" for side in SIDES for bone in ("clavicle", "upper_arm", "thigh")})
    trousers = _object(
        "trousers",
        _hips(0.006) + _leg("left", 0.005) + _leg("right", 0.005),
        _material("trousers", roughness=0.9, mottle=0.2, scale=10),
        0.012,
        4,
    )
    weights.copy_to(trousers, trunk | {f"{side}_{bone}" for side in SIDES for bone in ("thigh", "shin")})
    meshes += [shirt, trousers]
    shoes = _material("shoes", roughness=0.5)
    for side in SIDES:
        arm = _object(f"{side} arm", _arm(side) + _hand(side), skin, 0.0055, 2)
        weights.copy_to(arm, {f"{side}_{bone}" for bone in ("upper_arm", "forearm", "hand")})
        shoe = _object(f"{side} shoe", _shoe(side), shoes, 0.007, 2)
        weights.bind(shoe, f"{side}_foot")
        meshes += [arm, shoe]
    neck = _object(
        "neck", [_capsule(REST["neck"] - (0, 0, 0.01), REST["head"] + (0, 0, 0.02), 0.046, 0.050)], skin, 0.009, 2
    )
    weights.bind_neck(neck)

    features = [_object("head", _head(), skin, 0.005, 3)]
    features += [_object(name, solids, _material(name, roughness=0.4)) for name, solids in _face().items()]
    features.append(_object("hair", _hair(), _material("hair", roughness=0.45, mottle=0.3, scale=20), 0.007, 3))
    for feature in features:
        weights.bind(feature, "head")
    return [*meshes, neck, *features]
