"""Skeletons as data: the joints that an estimator finds and how they hang together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

ROOT = -1
"""The parent of joints that hang on the middle of the hips, which is no joint itself but the origin of world joints."""


@dataclass(frozen=True)
class Skeleton:
    """A set of named joints.

    Attributes
    ----------
    name : str
        Key in `SKELETONS` and in `PoseTrack.skeleton`.
    joints : tuple of str
        Names; left and right are the person's own.
    parents : tuple of int
        The joint that each joint hangs on, or `ROOT`; a tree.
    bones : tuple of (int, int)
        Pairs of joints to draw a line between.
    mirror : tuple of int
        For each joint, the joint of the other side (itself on the middle line).
    torso : tuple of int
        Shoulders and hips.
    core : tuple of int
        Torso and limbs down to wrists and ankles, without face, fingers and toes.
    left_hand, right_hand : tuple of int
        Joints of each hand, its root (at the wrist) first; empty where the skeleton has no hands.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    torso: tuple[int, ...]
    core: tuple[int, ...]
    left_hand: tuple[int, ...] = ()
    right_hand: tuple[int, ...] = ()

    @cached_property
    def order(self) -> tuple[int, ...]:
        """All joints, every parent before its children."""
        placed: list[int] = []
        waiting = list(range(len(self.joints)))
        while waiting:
            ready = [joint for joint in waiting if self.parents[joint] == ROOT or self.parents[joint] in placed]
            if not ready:
                raise ValueError(f"The parents of skeleton {self.name} are no tree.")
            placed += ready
            waiting = [joint for joint in waiting if joint not in ready]
        return tuple(placed)

    def index(self, *names: str) -> tuple[int, ...]:
        """Look up the numbers of the joints with these names."""
        return tuple(self.joints.index(name) for name in names)


_FACE = [
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "left_mouth", "right_mouth",
]  # fmt: skip
_LIMBS = ["shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index"]
_LIMB_PARENTS = {
    "eye_inner": "nose", "eye": "eye_inner", "eye_outer": "eye", "ear": "eye_outer", "mouth": "nose",
    "shoulder": "hip", "elbow": "shoulder", "wrist": "elbow", "pinky": "wrist", "index": "wrist", "thumb": "wrist",
    "knee": "hip", "ankle": "knee", "heel": "ankle", "foot_index": "heel",
}  # fmt: skip
_FINGERS = {
    "thumb": ("cmc", "mcp", "ip", "tip"),
    "index_finger": ("mcp", "pip", "dip", "tip"),
    "middle_finger": ("mcp", "pip", "dip", "tip"),
    "ring_finger": ("mcp", "pip", "dip", "tip"),
    "pinky_finger": ("mcp", "pip", "dip", "tip"),
}
_HAND_PARENTS = {"hand_root": "wrist"}
for _finger, _parts in _FINGERS.items():
    _chain = ["hand_root", *(f"hand_{_finger}_{_part}" for _part in _parts)]
    _HAND_PARENTS |= dict(zip(_chain[1:], _chain, strict=False))
_ACROSS = [("shoulder", "shoulder"), ("hip", "hip"), ("mouth", "mouth")]
_ALONG = [
    ("pinky", "index"),
    ("ankle", "foot_index"),
    ("hand_index_finger_mcp", "hand_middle_finger_mcp"),
    ("hand_middle_finger_mcp", "hand_ring_finger_mcp"),
    ("hand_ring_finger_mcp", "hand_pinky_finger_mcp"),
]
_SIDES = ("left", "right")


def _mediapipe() -> Skeleton:
    joints = [
        *_FACE,
        *(f"{side}_{limb}" for limb in _LIMBS for side in _SIDES),  # mediapipe lists left and right in turn
        *(f"{side}_{joint}" for side in _SIDES for joint in _HAND_PARENTS),
    ]
    at = {joint: number for number, joint in enumerate(joints)}
    parents = [ROOT] * len(joints)
    for joint, parent in (_LIMB_PARENTS | _HAND_PARENTS).items():
        for side in _SIDES:
            parents[at[f"{side}_{joint}"]] = at.get(f"{side}_{parent}", at["nose"])
    bones = [(parent, joint) for joint, parent in enumerate(parents) if parent != ROOT]
    bones += [(at[f"left_{a}"], at[f"right_{b}"]) for a, b in _ACROSS]
    bones += [(at[f"{side}_{a}"], at[f"{side}_{b}"]) for side in _SIDES for a, b in _ALONG]
    swap = {"left": "right", "right": "left"}
    mirror = []
    for joint in joints:
        side, _, rest = joint.partition("_")
        mirror.append(at[f"{swap[side]}_{rest}"] if side in swap else at[joint])

    def pairs(*limbs: str) -> tuple[int, ...]:
        return tuple(at[f"{side}_{limb}"] for limb in limbs for side in _SIDES)

    return Skeleton(
        name="mediapipe",
        joints=tuple(joints),
        parents=tuple(parents),
        bones=tuple(bones),
        mirror=tuple(mirror),
        torso=pairs("shoulder", "hip"),
        core=pairs("shoulder", "elbow", "wrist", "hip", "knee", "ankle"),
        left_hand=tuple(range(33, 54)),
        right_hand=tuple(range(54, 75)),
    )


MEDIAPIPE = _mediapipe()
"""mediapipe's 33 body joints, then 21 of the left and 21 of the right hand (their order is that of its landmarks)."""

SKELETONS = {skeleton.name: skeleton for skeleton in (MEDIAPIPE,)}
