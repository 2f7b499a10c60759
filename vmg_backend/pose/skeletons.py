"""Skeletons as data: the joints that an estimator finds and how they hang together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

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
_LIMB_PARENTS = {"shoulder": "hip", "elbow": "shoulder", "wrist": "elbow", "knee": "hip", "ankle": "knee"}
_FACE_PARENTS = {"eye_inner": "nose", "eye": "eye_inner", "eye_outer": "eye", "ear": "eye_outer", "mouth": "nose"}
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
_KNUCKLES = [
    ("hand_index_finger_mcp", "hand_middle_finger_mcp"),
    ("hand_middle_finger_mcp", "hand_ring_finger_mcp"),
    ("hand_ring_finger_mcp", "hand_pinky_finger_mcp"),
]
_SIDES = ("left", "right")
_TORSO = ("shoulder", "hip")
_CORE = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_PREFIXES = (("left_", "right_"), ("Left", "Right"), ("l_", "r_"), ("L", "R"))


def _both(names: Iterable[str]) -> list[str]:
    """Each joint of a side, left and right in turn."""
    return [f"{side}_{name}" for name in names for side in _SIDES]


def _sided(left: str, right: str, names: str) -> list[str]:
    return [side + name for name in names.split() for side in (left, right)]


def _other_side(joint: str, joints: Sequence[str]) -> str:
    for left, right in _PREFIXES:
        for prefix, other in ((left, right), (right, left)):
            if joint.startswith(prefix) and (swapped := other + joint.removeprefix(prefix)) in joints:
                return swapped
    return joint


def _skeleton(
    name: str,
    joints: Sequence[str],
    parents: Mapping[str, str],
    *,
    across: Iterable[str] = (),
    along: Iterable[tuple[str, str]] = (),
    torso: Sequence[str] = tuple(_both(_TORSO)),
    core: Sequence[str] = tuple(_both(_CORE)),
    loose: Collection[str] = (),
    mirror: Mapping[str, str] = MappingProxyType({}),
) -> Skeleton:
    """Put a skeleton together from names.

    `parents` and `along` name single joints, or joints of both sides without their ``left_`` and ``right_``. Bones to
    draw are those of the tree but for `loose` joints, `along`, and from left to right between the joints of `across`.
    `mirror` names the pairs that their names do not tell.
    """
    at = {joint: number for number, joint in enumerate(joints)}

    def pairs(links: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
        sided = [(f"{side}_{a}", f"{side}_{b}", b) for a, b in links for side in _SIDES]
        plain = [(a, b, b) for a, b in links]
        return [(at[a], at[b] if b in at else at[c]) for a, b, c in plain + sided if a in at and (b in at or c in at)]

    tree = [ROOT] * len(joints)
    for joint, parent in pairs(parents.items()):
        tree[joint] = parent
    bones = [(parent, joint) for joint, parent in enumerate(tree) if parent != ROOT and joints[joint] not in loose]
    bones += [(at[f"left_{joint}"], at[f"right_{joint}"]) for joint in across]
    bones += pairs(along)
    return Skeleton(
        name=name,
        joints=tuple(joints),
        parents=tuple(tree),
        bones=tuple(bones),
        mirror=tuple(at[mirror.get(joint) or _other_side(joint, joints)] for joint in joints),
        torso=tuple(at[joint] for joint in torso),
        core=tuple(at[joint] for joint in core),
        left_hand=tuple(at[joint] for joint in joints if joint.startswith("left_hand_")),
        right_hand=tuple(at[joint] for joint in joints if joint.startswith("right_hand_")),
    )


_HANDS = [f"{side}_{joint}" for side in _SIDES for joint in _HAND_PARENTS]

MEDIAPIPE = _skeleton(
    "mediapipe",
    [*_FACE, *_both(_LIMBS), *_HANDS],
    _FACE_PARENTS
    | _LIMB_PARENTS
    | _HAND_PARENTS
    | {"pinky": "wrist", "index": "wrist", "thumb": "wrist", "heel": "ankle", "foot_index": "heel"},
    across=("shoulder", "hip", "mouth"),
    along=[("pinky", "index"), ("ankle", "foot_index"), *_KNUCKLES],
)
"""mediapipe's 33 body joints, then 21 of the left and 21 of the right hand (their order is that of its landmarks)."""

MOTION = _skeleton(
    "motion",
    ["head", *_both([*_CORE[:3], "hand", *_CORE[3:], "toe"])],
    _LIMB_PARENTS | {"hand": "wrist", "toe": "ankle"},
    across=_TORSO,
    along=[("shoulder", "head")],
)
"""The 17 joints that in-betweens are made of: every skeleton has them, or something very near."""

_COCO_PARENTS = {"shoulder": "neck", "nose": "neck", "eye": "nose", "ear": "eye"}

COCO18 = _skeleton(
    "coco18",
    [
        *("nose", "neck"),
        *(f"{side}_{limb}" for side in ("right", "left") for limb in _CORE[:3]),
        *(f"{side}_{limb}" for side in ("right", "left") for limb in _CORE[3:]),
        *("right_eye", "left_eye", "right_ear", "left_ear"),
        *_HANDS,
    ],
    _LIMB_PARENTS | _COCO_PARENTS | _HAND_PARENTS,
    along=[("hip", "neck"), *_KNUCKLES],
)
"""OpenPose's 18 body joints in its order, then 21 of each hand: what pose maps are drawn from."""

_FACE68 = [f"face_{number}" for number in range(68)]
_FACE68_MIRROR = {
    f"face_{a}": f"face_{b}"
    for numbers, total in (
        (range(17), 16), (range(17, 27), 43), (range(31, 36), 66), (range(36, 40), 81), (range(42, 46), 81),
        ((40, 41, 46, 47), 87), (range(48, 55), 102), (range(55, 60), 114), (range(60, 65), 124), (range(65, 68), 132),
    )
    for number in numbers
    for a, b in [(number, total - number)]
}  # fmt: skip

COCO_WHOLEBODY = _skeleton(
    "coco_wholebody",
    [
        *("nose", *_both(["eye", "ear", *_CORE])),
        *(f"{side}_{joint}" for side in _SIDES for joint in ("big_toe", "small_toe", "heel")),
        *_FACE68,
        *_HANDS,
    ],
    _LIMB_PARENTS
    | _HAND_PARENTS
    | {"eye": "nose", "ear": "eye", "big_toe": "ankle", "small_toe": "ankle", "heel": "ankle"}
    | dict.fromkeys(_FACE68, "nose"),
    across=_TORSO,
    along=_KNUCKLES,
    loose=_FACE68,
    mirror=_FACE68_MIRROR,
)
"""The 133 joints of COCO-WholeBody: 17 of the body, 6 of the feet, 68 of the face, 21 of each hand."""


def _chains(*chains: str) -> tuple[list[str], dict[str, str]]:
    """Joints in the order in which they are first named, and their parents: the names before theirs."""
    split = [chain.split() for chain in chains]
    joints = list(dict.fromkeys(joint for chain in split for joint in chain))
    return joints, {joint: parent for chain in split for parent, joint in pairwise(chain)}


CMU31 = _skeleton(
    "cmu31",
    *_chains(
        "Hips LHipJoint LeftUpLeg LeftLeg LeftFoot LeftToeBase LeftToeBase_end",
        "Hips RHipJoint RightUpLeg RightLeg RightFoot RightToeBase RightToeBase_end",
        "Hips LowerBack Spine Spine1 Neck Neck1 Head Head_end",
        "Spine1 LeftShoulder LeftArm LeftForeArm LeftHand LeftFingerBase LeftHandIndex1 LeftHandIndex1_end",
        "LeftHand LThumb LThumb_end",
        "Spine1 RightShoulder RightArm RightForeArm RightHand RightFingerBase RightHandIndex1 RightHandIndex1_end",
        "RightHand RThumb RThumb_end",
    ),
    torso=("LeftArm", "RightArm", "LeftUpLeg", "RightUpLeg"),
    core=_sided("Left", "Right", "Arm ForeArm Hand UpLeg Leg Foot"),
)
"""The 31 joints of the CMU database as BVH, and their 7 end sites."""

CMU38 = _skeleton(
    "cmu38",
    *_chains(
        "root l_hip l_femur l_tibia l_foot l_toes l_toes_end",
        "root r_hip r_femur r_tibia r_foot r_toes r_toes_end",
        "root lower_back upper_back thorax lower_neck upper_neck head head_end",
        "thorax l_clavicle l_humerus l_radius l_wrist l_hand l_fingers l_fingers_end",
        "l_wrist l_thumb l_thumb_end",
        "thorax r_clavicle r_humerus r_radius r_wrist r_hand r_fingers r_fingers_end",
        "r_wrist r_thumb r_thumb_end",
    ),
    torso=("l_humerus", "r_humerus", "l_femur", "r_femur"),
    core=_sided("l_", "r_", "humerus radius wrist femur tibia foot"),
)
"""The same bodies in the order and with the names of their action recordings (joint positions)."""

SKELETONS = {skeleton.name: skeleton for skeleton in (MEDIAPIPE, MOTION, COCO18, COCO_WHOLEBODY, CMU31, CMU38)}
