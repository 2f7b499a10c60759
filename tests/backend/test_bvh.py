"""BVH files and motion capture: forward kinematics by hand and by scipy, broken files, units, rates, and CMU's data."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vmg_backend.errors import UserError
from vmg_backend.pose.skeletons import CMU31, MOTION, ROOT
from vmg_backend.training import mocap
from vmg_backend.training.bvh import read_bvh
from vmg_backend.training.mocap import PARTS, RATE, Motion, read_motions, split

ARM = """HIERARCHY
ROOT hip
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT elbow
  {
    OFFSET 10 0 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    End Site
    {
      OFFSET 0 5 0
    }
  }
  JOINT other
  {
    OFFSET 0 -4 0
    CHANNELS 3 Xrotation Yrotation Zrotation
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
0 0 0  0 0 0  0 0 0  0 0 0
7 8 9  90 0 0  0 0 0  0 0 0
0 0 0  0 0 90  90 0 0  0 0 0
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="take.bvh"):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8")
        return file

    return write


# ---------------------------------------------------------------- the format
def test_a_small_arm_is_where_it_is_by_hand(write):
    bvh = read_bvh(write(ARM))
    assert bvh.joints == ("hip", "elbow", "elbow_end", "other")
    assert bvh.parents == (-1, 0, 1, 0)
    assert bvh.offsets.tolist() == [[1, 2, 3], [10, 0, 0], [0, 5, 0], [0, -4, 0]]
    assert bvh.frame_time == pytest.approx(1 / 30, abs=1e-6)
    # Nothing turned; the root's channels take the place of its offset.
    np.testing.assert_allclose(bvh.positions[0], [[0, 0, 0], [10, 0, 0], [10, 5, 0], [0, -4, 0]], atol=1e-9)
    # The hip turned by 90 degrees about z: x becomes y, y becomes -x.
    np.testing.assert_allclose(bvh.positions[1], [[7, 8, 9], [7, 18, 9], [2, 18, 9], [11, 8, 9]], atol=1e-9)
    # The hip about y (x becomes -z), then the elbow about its own z.
    np.testing.assert_allclose(bvh.positions[2], [[0, 0, 0], [0, 0, -10], [0, 0, -5], [0, -4, 0]], atol=1e-9)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "Y", "ZX"])
def test_channels_in_any_order_turn_as_scipys_intrinsic_angles(write, order):
    rng = np.random.default_rng(len(order))
    first, second = rng.uniform(-180, 180, (2, len(order)))
    channels = f"CHANNELS {len(order)} " + " ".join(f"{axis}rotation" for axis in order)
    angles = " ".join(map(str, [*first, *second]))
    text = f"""HIERARCHY
ROOT a
{{ OFFSET 0 0 0 {channels}
JOINT b {{ OFFSET 1 2 3 {channels} End Site {{ OFFSET -2 1 0.5 }} }} }}
MOTION
Frames: 1
Frame Time: 0.01
{angles}"""
    positions = read_bvh(write(text)).positions[0]
    one, two = Rotation.from_euler(order, first, degrees=True), Rotation.from_euler(order, second, degrees=True)
    np.testing.assert_allclose(positions[1], one.apply([1, 2, 3]), atol=1e-9)
    np.testing.assert_allclose(positions[2], one.apply([1, 2, 3]) + (one * two).apply([-2, 1, 0.5]), atol=1e-9)


def test_position_channels_of_a_joint_take_the_place_of_its_offset(write):
    text = ARM.replace(
        "OFFSET 10 0 0\n    CHANNELS 3 Zrotation Yrotation Xrotation", "OFFSET 10 0 0\n CHANNELS 1 Yposition"
    )
    text = text.replace("0 0 0  0 0 0  0 0 0  0 0 0", "0 0 0  0 0 0  6  0 0 0")
    text = text.replace("7 8 9  90 0 0  0 0 0  0 0 0\n0 0 0  0 0 90  90 0 0  0 0 0\n", "").replace("mes: 3", "mes: 1")
    assert read_bvh(write(text)).positions[0, 1].tolist() == [10, 6, 0]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HIERARCHY", "", "HIERARCHY is expected"),
        ("MOTION", "", "no MOTION section"),
        ("Frames: 3", "Frames: 4", "promises 4 frames of 12 channels, and holds 36"),
        ("Frames: 3", "Frames: 0", "no frames"),
        ("Frame Time: 0.0333333", "", "MOTION of take.bvh cannot be read"),
        ("0.0333333", "-1", "no valid frame time"),
        ("7 8 9", "7 x 9", "MOTION of take.bvh cannot be read"),
        ("7 8 9", "7 nan 9", "no numbers"),
        ("Zrotation Yrotation", "Zrotation Wrotation", "Wrotation is no channel"),
        ("OFFSET 10 0 0", "OFFSET 10 0", "cannot be read"),
        ("JOINT other", "JOIN other", "JOINT is expected where JOIN"),
        ("  }\n}\nMOTION", "  }\nMOTION", "it ends too early"),
        ("  }\n}\nMOTION", "  }\n}\nROOT second\nMOTION", "ROOT follows the root's end"),
    ],
)
def test_a_broken_file_is_said_in_one_sentence(write, old, new, said):
    assert old in ARM
    with pytest.raises(UserError) as error:
        read_bvh(write(ARM.replace(old, new, 1)))
    assert said in error.value.message
    assert "take.bvh" in error.value.message


def test_a_file_that_is_no_text_is_said(tmp_path):
    file = tmp_path / "film.bvh"
    file.write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=r"film\.bvh cannot be read as text"):
        read_bvh(file)


# ---------------------------------------------------------------- takes
OFFSETS = {
    "UpLeg": (1.6, -1.8, 0.7), "Leg": (0, -7.2, 0), "Foot": (0, -7.6, 0), "ToeBase": (0, -0.5, 1.9),
    "ToeBase_end": (0, 0, 1), "Spine": (0, 2.2, 0), "Spine1": (0, 2.2, 0), "Neck1": (0, 1.7, 0), "Head": (0, 1.7, 0),
    "Head_end": (0, 1.8, 0), "Arm": (3.3, 1.2, 0), "ForeArm": (5.3, 0, 0), "Hand": (3.3, 0, 0),
    "HandIndex1": (0.6, 0, 0), "HandIndex1_end": (0.4, 0, 0),
}  # fmt: skip


def person(root, fps, scale=1.0, up="y"):
    """A BVH of CMU's skeleton that stands still with its arms out while its hips move along `root` [T, 3]."""

    def node(joint, depth):
        name = CMU31.joints[joint]
        side = -1 if name.startswith(("Right", "R")) else 1
        x, y, z = OFFSETS.get(name.removeprefix("Left").removeprefix("Right"), (0, 0, 0))
        place = np.array([side * x, y, z]) * scale
        if up == "z":
            place = place[[0, 2, 1]]
        inside = "".join(node(child, depth + 1) for child, parent in enumerate(CMU31.parents) if parent == joint)
        if name.endswith("_end"):
            return f"End Site {{ OFFSET {place[0]} {place[1]} {place[2]} }}\n"
        turn = "Zrotation Yrotation Xrotation"
        channels = f"6 Xposition Yposition Zposition {turn}" if depth == 0 else f"3 {turn}"
        word = "JOINT" if depth else "ROOT"
        return f"{word} {name} {{ OFFSET {place[0]} {place[1]} {place[2]} CHANNELS {channels}\n{inside} }}\n"

    still = " ".join(["0"] * (3 * 31))
    rows = "\n".join(f"{x} {y} {z} {still}" for x, y, z in root)
    tree = node(CMU31.parents.index(ROOT), 0)
    return f"HIERARCHY\n{tree}MOTION\nFrames: {len(root)}\nFrame Time: {1 / fps}\n{rows}\n"


def walk(seconds, fps, unit):
    """Hips that swing along x, y up, in units of the file."""
    time = np.arange(round(seconds * fps) + 1) / fps
    return np.stack([np.sin(2 * np.pi * 0.7 * time), 0.95 + 0 * time, 0.4 * time], axis=1) / unit


@pytest.mark.parametrize("fps", [120, 60, 30, 24, 50])
def test_takes_come_at_30_fps_in_metres(write, fps):
    unit = 0.0254 / 0.45
    (motion,) = read_motions([write(person(walk(2, fps, unit), fps), "07_03.bvh")])
    assert (motion.name, motion.subject) == ("07_03", "07")
    assert motion.joints.shape == (61, 17, 3)
    assert motion.joints.dtype == np.float32
    left, right, head = MOTION.index("left_hip", "right_hip", "head")
    hips = motion.joints[:, [left, right]].mean(1) - np.array([0, -1.8, 0.7]) * unit
    np.testing.assert_allclose(hips, walk(2, RATE, 1), atol=1e-3)
    assert motion.joints[0, left, 0] > motion.joints[0, right, 0]  # one who faces z has the left at x
    height = motion.joints[0, head, 1] - motion.joints[0, MOTION.index("left_toe")[0], 1]
    assert height == pytest.approx((2.2 + 2.2 + 1.7 + 1.7 + 0.9 + 1.8 + 7.2 + 7.6 + 0.5) * unit, abs=1e-4)


@pytest.mark.parametrize("unit", [1.0, 0.1, 0.0254, 0.01, 0.001])
def test_other_units_are_found_by_the_length_of_the_legs(write, unit):
    scale = 0.0254 / 0.45 / unit
    (motion,) = read_motions([write(person(walk(1, 30, unit), 30, scale))])
    np.testing.assert_allclose(motion.joints[-1, 0, 2], 0.4, atol=1e-3)
    leg = motion.joints[0, MOTION.index("left_hip")[0], 1] - motion.joints[0, MOTION.index("left_ankle")[0], 1]
    assert leg == pytest.approx(14.8 * 0.0254 / 0.45, abs=1e-4)


def test_a_take_is_cut_where_it_jumps(write):
    root = walk(4, 120, 0.0254 / 0.45)
    root[0] += 10
    root[240:, 0] += 10
    motions = read_motions([write(person(root, 120), "01_01.bvh")])
    assert [motion.name for motion in motions] == ["01_01", "01_01:252"]
    assert {motion.subject for motion in motions} == {"01"}
    for motion in motions:
        assert np.abs(np.diff(motion.joints, axis=0)).max() * RATE < 5
    unit = 0.0254 / 0.45
    assert motions[1].joints[0, :, 0].mean() == pytest.approx((root[252, 0]) * unit, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (person(walk(1, 30, 1), 30, 30.0), "a person's size in no unit"),
        (person(walk(1, 30, 1), 30, up="z"), "never stands along y"),
        (person(walk(1, 30, 1), 30).replace("JOINT LeftFoot", "JOINT LeftAnkle"), "lacks joints for left_ankle"),
    ],
)
def test_what_is_no_upright_person_of_cmus_skeleton_is_said(write, text, said):
    with pytest.raises(UserError) as error:
        read_motions([write(text)])
    assert said in error.value.message


def test_names_may_have_a_name_space(write):
    text = person(walk(1, 30, 0.0254 / 0.45), 30)
    for joint in CMU31.joints:
        text = text.replace(f"JOINT {joint} ", f"JOINT actor:{joint} ")
    assert len(read_motions([write(text)])) == 1


def test_folders_are_searched_and_nothing_is_said_to_be_nothing(tmp_path, write):
    write(person(walk(1, 30, 0.0254 / 0.45), 30), "b.bvh")
    (tmp_path / "deep").mkdir()
    write(person(walk(1, 30, 0.0254 / 0.45), 30), "deep/a.BVH")
    assert [motion.name for motion in read_motions([tmp_path])] == ["b", "a"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UserError, match="no motion capture among"):
        read_motions([empty])
    with pytest.raises(UserError, match="is no motion capture"):
        read_motions([tmp_path / "missing.bvh"])
    (empty / "other.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read as motion capture"):
        read_motions([empty])


# ---------------------------------------------------------------- the split
def test_no_subject_is_in_two_parts():
    table = json.loads(Path(mocap.__file__).with_name("split.json").read_text("utf-8"))
    subjects = [subject for part in PARTS for subject in table[part]]
    assert len(subjects) == len(set(subjects))
    assert {name.partition("_")[0] for name in table["copies"].values()} <= set(subjects)
    assert set(table["subjects"].values()) <= set(subjects)


def test_every_take_is_in_one_part_and_strangers_are_for_training():
    motions = [Motion(f"{subject}_01", subject, np.zeros((1, 17, 3), np.float32)) for subject in ("02", "03", "me")]
    parts = split(motions)
    assert [[motion.subject for motion in parts[part]] for part in PARTS] == [["me"], ["03"], ["02"]]


# ---------------------------------------------------------------- CMU's own
@pytest.fixture(scope="module")
def cmu(media, tmp_path_factory):
    """Some takes of the database, and all of the archive of actions."""
    folder = tmp_path_factory.mktemp("mocap")
    wanted = {"02_01.bvh", "06_04.bvh", "07_05.bvh"}
    with tarfile.open(media / "mocap" / "cmu_bvh_120fps.tar.xz") as archive:
        for member in archive:
            if (name := Path(member.name).name) in wanted:
                (folder / name).write_bytes(archive.extractfile(member).read())
                wanted.remove(name)
            if not wanted:
                break
    return folder


def test_cmus_bones_keep_the_lengths_of_their_offsets(cmu):
    bvh = read_bvh(cmu / "07_05.bvh")
    assert bvh.joints == CMU31.joints
    assert bvh.parents == CMU31.parents
    bones = bvh.positions[:, 1:] - bvh.positions[:, list(bvh.parents[1:])]
    lengths = np.linalg.norm(bvh.offsets[1:], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(bones, axis=-1), np.broadcast_to(lengths, bones.shape[:2]), atol=1e-9)


@pytest.mark.parametrize("take", ["02_01", "06_04", "07_05"])
def test_cmus_people_stand_on_the_floor_and_are_of_human_size(cmu, take):
    (motion,) = read_motions([cmu / f"{take}.bvh"])
    feet = motion.joints[:, MOTION.index("left_ankle", "right_ankle", "left_toe", "right_toe")][..., 1]
    assert -0.1 < feet.min() < 0.1
    assert feet.min(axis=1).max() < 0.25  # one foot is always near it
    assert 1.3 < np.median(motion.joints[:, 0, 1]) < 1.75


def faces(joints):
    """Where a person faces: from the left side, the other way than gravity, by the right hand."""
    left, right = MOTION.index("left_hip", "right_hip")
    front = np.cross(joints[:, left] - joints[:, right], [0, 1, 0])
    return front / np.linalg.norm(front, axis=-1, keepdims=True)


def test_cmus_walkers_go_where_they_face_with_their_toes_in_front(cmu, media):
    motions = [m for m in read_motions([cmu, media / "mocap" / "cmu_actions_30fps.npz"]) if len(m.joints) > 60]
    walkers = [m for m in motions if m.name in ("02_01", "07_05", "walking_20", "walking_31", "walking_40")]
    assert len(walkers) == 5
    for motion in walkers:
        hips = motion.joints[:, MOTION.index("left_hip", "right_hip")].mean(1)
        step = np.gradient(hips, axis=0) * RATE
        assert 0.5 < np.median(np.linalg.norm(step, axis=-1)) < 3, motion.name
        assert np.median((step * faces(motion.joints)).sum(-1)) > 0.5, motion.name
        toe, ankle = (motion.joints[:, MOTION.index(f"left_{joint}")[0]] for joint in ("toe", "ankle"))
        assert ((toe - ankle) * faces(motion.joints)).sum(-1).mean() > 0.05, motion.name


def test_the_archives_copy_of_a_take_is_that_take(cmu, media, monkeypatch):
    """Its takes are in units, and on axes, of their own: what is made of them must be the BVH's motion."""
    table = mocap._table() | {"copies": {}}
    monkeypatch.setattr(mocap, "_table", lambda: table)
    archive = {m.name: m.joints for m in read_motions([media / "mocap" / "cmu_actions_30fps.npz"])}
    for copy, name in (("walking_1", "02_01"), ("basketball_3", "06_04")):
        bvh = read_bvh(cmu / f"{name}.bvh")
        hips = bvh.positions[1::4, 0] * 0.0254 / 0.45
        theirs = archive[copy][:, MOTION.index("left_hip", "right_hip")].mean(1)
        ours = bvh.positions[1::4][:, list(CMU31.index("LeftUpLeg", "RightUpLeg"))].mean(1) * 0.0254 / 0.45
        length = min(len(theirs), len(ours) - 1)
        way = np.linalg.norm(hips[length] - hips[0])
        for shift in (0, 1):  # the archive may begin a frame later
            error = (theirs[:length] - theirs[0]) - (ours[shift : shift + length] - ours[shift])
            if (worst := np.abs(error).max()) < 0.04:
                break
        assert worst < 0.04
        assert way > 1
        (motion,) = read_motions([cmu / f"{name}.bvh"])
        heights = [np.median(np.ptp(joints[..., 1], axis=1)) for joints in (archive[copy], motion.joints)]
        assert heights[0] == pytest.approx(heights[1], rel=0.08)  # one body for everyone
