"""The performer's skeleton and dance, in numpy alone.

World axes: x to the performer's left, y away from the camera, z up; the performer faces -y. Metres, seconds, and
degrees in poses. A dance is a row of figures; a figure is one key pose per beat. Between two beats every number of the
pose is eased, hands along arcs about the shoulders, so that all joints rest together on the beat: that is what makes
the beat of the *dance* measurable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

FPS = 24
FRAMES = 672
FIRST_BEAT = 0.4
TEMPO = 105.0
SIDES = {"left": 1.0, "right": -1.0}

_CENTRE = {
    "pelvis": (0, 0, 0.93),
    "spine": (0, 0.015, 1.06),
    "chest": (0, 0.02, 1.22),
    "neck": (0, 0.02, 1.43),
    "head": (0, 0, 1.52),
    "nose": (0, -0.120, 1.583),
    "crown": (0, 0, 1.72),
}
_SIDE = {
    "hip": (0.095, 0, 0.91),
    "knee": (0.105, -0.01, 0.50),
    "ankle": (0.11, 0.02, 0.085),
    "toe": (0.125, -0.13, 0.03),
    "clavicle": (0.03, 0, 1.39),
    "shoulder": (0.175, 0.02, 1.385),
    "elbow": (0.455, 0.035, 1.385),
    "wrist": (0.70, 0.02, 1.385),
    "hand": (0.80, 0.02, 1.385),
}

REST: dict[str, Vector] = {name: np.array(at, float) for name, at in _CENTRE.items()}
"""Joints of the rest pose (a T), by name; the performer's own left and right."""
for _side, _sign in SIDES.items():
    REST |= {f"{_side}_{name}": np.array([_sign * x, y, z]) for name, (x, y, z) in _SIDE.items()}

BONES: dict[str, tuple[str, str]] = {
    "pelvis": ("pelvis", "spine"),
    "spine": ("spine", "chest"),
    "chest": ("chest", "neck"),
    "neck": ("neck", "head"),
    "head": ("head", "crown"),
}
"""Bone name: (joint at its head, joint at its tail)."""
for _side in SIDES:
    for _bone, _head, _tail in (
        ("clavicle", "clavicle", "shoulder"),
        ("upper_arm", "shoulder", "elbow"),
        ("forearm", "elbow", "wrist"),
        ("hand", "wrist", "hand"),
        ("thigh", "hip", "knee"),
        ("shin", "knee", "ankle"),
        ("foot", "ankle", "toe"),
    ):
        BONES[f"{_side}_{_bone}"] = (f"{_side}_{_head}", f"{_side}_{_tail}")


@dataclass(frozen=True)
class Pose:
    """One key pose, in numbers that can be eased one by one.

    Attributes
    ----------
    pelvis : (x, y, z)
        Metres from the rest pose.
    torso : (yaw, lean, roll)
        Degrees; yaw to the performer's left, lean forwards, roll to the performer's right.
    hips_yaw : float
        Degrees.
    head : (yaw, nod)
        Degrees on top of the torso's yaw and of a part of its lean.
    left_arm, right_arm : (azimuth, elevation, reach)
        The wrist seen from its shoulder, in the chest's axes: azimuth 0 is straight out to the side and 90 straight
        ahead, elevation is degrees above the shoulder, reach a share of the arm's length.
    left_foot, right_foot : (outward, y, z)
        Metres that the ankle lies from the rest pose.
    """

    pelvis: tuple[float, float, float] = (0, 0, -0.03)
    torso: tuple[float, float, float] = (0, 0, 0)
    hips_yaw: float = 0
    head: tuple[float, float] = (0, 0)
    left_arm: tuple[float, float, float] = (40, -72, 0.9)
    right_arm: tuple[float, float, float] = (40, -72, 0.9)
    left_foot: tuple[float, float, float] = (0.06, 0, 0)
    right_foot: tuple[float, float, float] = (0.06, 0, 0)

    def mirrored(self) -> Pose:
        """The same pose to the other side."""
        x, y, z = self.pelvis
        yaw, lean, roll = self.torso
        return Pose(
            (-x, y, z),
            (-yaw, lean, -roll),
            -self.hips_yaw,
            (-self.head[0], self.head[1]),
            self.right_arm,
            self.left_arm,
            self.right_foot,
            self.left_foot,
        )

    def vector(self) -> Vector:
        """The pose as 21 numbers, in the order of the attributes."""
        return np.array(
            [
                *self.pelvis,
                *self.torso,
                self.hips_yaw,
                *self.head,
                *self.left_arm,
                *self.right_arm,
                *self.left_foot,
                *self.right_foot,
            ],
            float,
        )


_PELVIS, _TORSO, _HIPS_YAW, _HEAD = slice(0, 3), slice(3, 6), 6, slice(7, 9)
_ARM = {"left": slice(9, 12), "right": slice(12, 15)}
_FOOT = {"left": slice(15, 18), "right": slice(18, 21)}

_VARIATION = np.zeros(21)
"""Standard deviation by which one occurrence of a key pose differs from another; feet stay where they are planted."""
_VARIATION[_PELVIS] = 0.008, 0.004, 0.006
_VARIATION[_TORSO] = 2.5, 1.5, 1.2
_VARIATION[_HEAD] = 3, 1.5
for _slice in _ARM.values():
    _VARIATION[_slice] = 4, 4, 0.015

# Arms: (azimuth, elevation, reach)
_DOWN, _UP, _DIAGONAL, _SIDEWAYS = (40, -72, 0.9), (20, 74, 0.95), (15, 42, 0.9), (25, 6, 0.86)
_ON_HIP, _AHEAD, _CLAP, _BENT_LOW = (-25, -70, 0.64), (78, 2, 0.8), (101, -28, 0.62), (62, -42, 0.66)
_CLAP_ABOVE = (110, 78, 0.9)

_HOME = Pose()
_FIGURES: dict[str, tuple[Pose, ...]] = {
    "step": (
        Pose((0.12, 0, -0.07), (0, 0, 4), 0, (10, 0), _SIDEWAYS, (70, -50, 0.75), (0.28, 0, 0)),
        Pose((0.01, 0, -0.03), (0, 4, 0), 0, (0, 0), _BENT_LOW, _BENT_LOW),
    ),
    "wave": (
        Pose((0.03, 0, -0.05), (0, 0, -9), 0, (6, -4), _UP, _SIDEWAYS),
        Pose((0, 0, -0.03), (0, 0, 0), 0, (0, 0), _DIAGONAL, _BENT_LOW),
    ),
    "clap": (
        Pose((0, 0, -0.07), (0, -3, 0), 0, (0, -3), _SIDEWAYS, _SIDEWAYS),
        Pose((0, 0, -0.03), (0, 4, 0), 0, (0, 4), _CLAP, _CLAP),
    ),
    "twist": (
        Pose((0.02, 0, -0.07), (46, 3, 0), 20, (-28, 0), (48, -14, 0.8), (80, -20, 0.66)),
        Pose((-0.02, 0, -0.07), (-46, 3, 0), -20, (28, 0), (80, -20, 0.66), (48, -14, 0.8)),
    ),
    "point": (
        Pose((0.05, 0, -0.08), (22, 0, -8), 10, (8, -6), (10, 56, 0.95), _ON_HIP),
        Pose((-0.03, 0, -0.10), (-26, 10, 3), -10, (16, 6), (88, -34, 0.8), _ON_HIP),
    ),
    "squat": (
        Pose((0, 0.07, -0.27), (0, 20, 0), 0, (0, -12), _AHEAD, _AHEAD),
        Pose((0, 0, -0.025), (0, -3, 0), 0, (0, -8), _CLAP_ABOVE, _CLAP_ABOVE),
    ),
    "kick": (
        Pose((0.08, 0, -0.04), (-12, -5, 0), -6, (6, 0), _DIAGONAL, (70, -30, 0.7), (0.06, 0, 0), (0.03, -0.30, 0.24)),
        Pose((0, 0, -0.05), (0, 3, 0), 0, (0, 0), _BENT_LOW, _SIDEWAYS),
    ),
    "sway": (
        Pose((0.09, 0, -0.05), (8, 0, -8), 10, (-4, 0), _ON_HIP, _ON_HIP),
        Pose((-0.09, 0, -0.05), (-8, 0, 8), -10, (4, 0), _ON_HIP, _ON_HIP),
    ),
    "sweep": (
        Pose((0.07, 0, -0.06), (14, 0, 5), 6, (6, -4), (10, 28, 0.88), (108, -8, 0.74)),
        Pose((-0.07, 0, -0.06), (-14, 0, -5), -6, (-6, -4), (108, -8, 0.74), (10, 28, 0.88)),
    ),
    "lunge": (
        Pose((0.17, 0, -0.19), (10, 4, 6), 8, (8, 0), (15, 30, 0.82), (40, -38, 0.9), (0.40, 0, 0)),
        Pose((0.01, 0, -0.04), (0, 0, 0), 0, (0, 0), _DOWN, _CLAP),
    ),
}

DANCE: tuple[str, ...] = (
    *("step", "-step", "wave", "-wave", "clap", "twist", "step", "-step"),
    *("kick", "squat", "clap", "sway", "point", "twist", "wave", "-wave"),
    *("sweep", "step", "kick", "squat", "clap", "lunge", "wave", "twist"),
)
"""The figures in order, two beats each; a minus sign mirrors one."""


@dataclass(frozen=True)
class Dance:
    """The dance over time.

    Attributes
    ----------
    poses : float64 [T, 21]
        A pose vector per frame.
    beats : float64 [K]
        Seconds at which a key pose is reached.
    figures : tuple of (str, float)
        Name of each figure (a minus sign for a mirrored one) and the second of its first key pose.
    """

    poses: NDArray[np.float64]
    beats: NDArray[np.float64]
    figures: tuple[tuple[str, float], ...]


def dance(seed: int = 5) -> Dance:
    """The whole dance: figures with small variations, each at a tempo of its own near `TEMPO`."""
    random = np.random.default_rng(seed)
    keys, beats, figures = [replace(_HOME, left_arm=_DOWN, right_arm=_DOWN).vector()], [-0.2], []
    time = FIRST_BEAT
    for name in DANCE:
        interval = 60 / (TEMPO * random.uniform(0.96, 1.04))
        figures.append((name, round(time, 4)))
        for key in _FIGURES[name.removeprefix("-")]:
            keys.append((key.mirrored() if name.startswith("-") else key).vector() + random.normal(0, _VARIATION))
            beats.append(time)
            time += interval
    keys.append(_HOME.vector())
    beats.append(max(time, FRAMES / FPS + 0.1))
    times = np.array(beats)
    poses = np.array([_between(np.array(keys), times, frame / FPS) for frame in range(FRAMES)])
    heard = times[(times >= 0) & (times < FRAMES / FPS)]
    return Dance(poses, heard, tuple(figures))


def _between(keys: NDArray[np.float64], beats: NDArray[np.float64], time: float) -> Vector:
    """The pose at `time`: still for 7 % of the interval on either side of a beat, eased in the middle."""
    k = int(np.clip(np.searchsorted(beats, time, side="right") - 1, 0, len(keys) - 2))
    phase = (time - beats[k]) / (beats[k + 1] - beats[k])
    moved = np.clip((phase - 0.07) / 0.86, 0, 1)
    moved = moved * moved * (3 - 2 * moved)
    pose = keys[k] + (keys[k + 1] - keys[k]) * moved
    for foot in _FOOT.values():
        step = float(np.linalg.norm((keys[k + 1] - keys[k])[foot][:2]))
        pose[foot.stop - 1] += min(0.09, 0.5 * step) * np.sin(np.pi * moved)
    pose[_PELVIS.stop - 1] -= 0.022 * np.sin(np.pi * moved) ** 2  # the knees give between the beats
    return pose


def solve(pose: Vector) -> tuple[dict[str, Vector], dict[str, Matrix]]:
    """Joints and bone rotations of a pose vector.

    Parameters
    ----------
    pose : float64 [21]
        As `Pose.vector` lays it out.

    Returns
    -------
    joints : dict of float64 [3]
        World positions under the names of `REST`.
    rotations : dict of float64 [3, 3]
        By bone: takes a point given from the bone's head in the rest pose to the same from its head in this pose.
    """
    yaw, lean, roll = np.radians(pose[_TORSO])
    hips_yaw = np.radians(pose[_HIPS_YAW])
    head_yaw, nod = np.radians(pose[_HEAD])
    turn: dict[str, Matrix] = {
        "pelvis": _about_z(hips_yaw) @ _about_x(lean * 0.35),
        "spine": _about_z((hips_yaw + yaw) / 2) @ _about_y(roll * 0.5) @ _about_x(lean * 0.7),
        "chest": _about_z(yaw) @ _about_y(roll) @ _about_x(lean),
        "neck": _about_z(yaw + head_yaw * 0.4) @ _about_y(roll * 0.6) @ _about_x(lean * 0.75),
        "head": _about_z(yaw + head_yaw) @ _about_y(roll * 0.3) @ _about_x(lean * 0.5 + nod),
    }
    joints: dict[str, Vector] = {"pelvis": REST["pelvis"] + pose[_PELVIS]}

    def place(joint: str, bone: str) -> Vector:
        head = BONES[bone][0]
        joints[joint] = joints[head] + turn[bone] @ (REST[joint] - REST[head])
        return joints[joint]

    for joint, bone in (("spine", "pelvis"), ("chest", "spine"), ("neck", "chest"), ("head", "neck")):
        place(joint, bone)
    place("nose", "head")
    place("crown", "head")

    for side, sign in SIDES.items():
        azimuth, elevation, reach = pose[_ARM[side]]
        azimuth, elevation = np.radians(azimuth), np.radians(elevation)
        raised = float(_smooth(np.sin(elevation)))
        place(f"{side}_clavicle", "chest")
        turn[f"{side}_clavicle"] = turn["chest"] @ _about_y(-sign * raised * 0.36)
        shoulder = place(f"{side}_shoulder", f"{side}_clavicle")
        upper, fore = length(f"{side}_upper_arm"), length(f"{side}_forearm")
        aim = np.array(
            [
                sign * np.cos(azimuth) * np.cos(elevation),
                -np.sin(azimuth) * np.cos(elevation),
                np.sin(elevation),
            ]
        )
        # The elbow points back and down below a hanging arm and outwards from a raised one, without a switch between.
        out = float(_smooth((elevation + np.radians(50)) / np.radians(110)))
        pole = (1 - out) * np.array([sign * 0.45, 0.75, -0.5]) + out * np.array([sign, 0.3, -0.3])
        target = shoulder + turn["chest"] @ aim * (upper + fore) * min(float(reach), 0.985)
        elbow, wrist = two_bone(shoulder, target, upper, fore, turn["chest"] @ pole)
        joints[f"{side}_elbow"], joints[f"{side}_wrist"] = elbow, wrist
        _turn_limb(turn, joints, (f"{side}_upper_arm", f"{side}_forearm"), np.array([0, 0, -sign]))
        turn[f"{side}_hand"] = turn[f"{side}_forearm"]
        place(f"{side}_hand", f"{side}_hand")

        hip = place(f"{side}_hip", "pelvis")
        outward, forward, lift = pose[_FOOT[side]]
        target = REST[f"{side}_ankle"] + np.array([sign * outward, forward, lift])
        pole = _about_z(hips_yaw * 0.6) @ np.array([sign * 0.3, -1, 0])
        joints[f"{side}_knee"], joints[f"{side}_ankle"] = two_bone(
            hip, target, length(f"{side}_thigh"), length(f"{side}_shin"), pole
        )
        _turn_limb(turn, joints, (f"{side}_thigh", f"{side}_shin"), np.array([1.0, 0, 0]))
        turn[f"{side}_foot"] = _about_z(sign * 0.25 + hips_yaw * 0.3) @ _about_x(min(lift * 2, 0.8))
        place(f"{side}_toe", f"{side}_foot")
    return joints, turn


def length(bone: str) -> float:
    """The bone's length in metres."""
    head, tail = BONES[bone]
    return float(np.linalg.norm(REST[tail] - REST[head]))


def two_bone(root: Vector, target: Vector, first: float, second: float, pole: Vector) -> tuple[Vector, Vector]:
    """The middle and the end of a limb of two bones that reaches for a target, by the law of cosines.

    Parameters
    ----------
    root, target : float64 [3]
        Metres.
    first, second : float
        The bones' lengths in metres. A target out of reach is reached for with an almost straight limb.
    pole : float64 [3]
        Direction to which the middle joint points.
    """
    way = target - root
    distance = float(np.linalg.norm(way))
    way = way / distance
    distance = min(distance, 0.997 * (first + second))
    along = (first**2 + distance**2 - second**2) / (2 * distance)
    aside = _unit(pole - way * (pole @ way))
    middle = root + way * along + aside * np.sqrt(max(0.0, first**2 - along**2))
    return middle, root + way * distance


def _turn_limb(turn: dict[str, Matrix], joints: dict[str, Vector], bones: tuple[str, str], rest_hinge: Vector) -> None:
    """Rotations of a limb's two bones: along the joints, rolled so that the rest pose's hinge is the bend's axis."""
    (root, middle), (_, end) = BONES[bones[0]], BONES[bones[1]]
    hinge = np.cross(joints[middle] - joints[root], joints[end] - joints[middle])
    for bone in bones:
        head, tail = BONES[bone]
        now = _axes(joints[tail] - joints[head], hinge)
        turn[bone] = now @ _axes(REST[tail] - REST[head], rest_hinge).T


def _axes(along: Vector, hinge: Vector) -> Matrix:
    y = _unit(along)
    x = _unit(np.cross(y, hinge))
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _unit(vector: Vector) -> Vector:
    return vector / np.linalg.norm(vector)


def _smooth(value: float) -> float:
    value = float(np.clip(value, 0, 1))
    return value * value * (3 - 2 * value)


def _about_x(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def _about_y(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def _about_z(angle: float) -> Matrix:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
