"""Pose maps: against ellipses worked out by hand, published colours, and a skeleton that others drew."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from vmg_backend.errors import UserError
from vmg_backend.footage import FrameReader, open_footage
from vmg_backend.pose import MediapipeEstimator
from vmg_backend.pose.maps import MIMICMOTION, MIMICMOTION_RELEASED, STYLES, VMG, draw, draw_run
from vmg_backend.pose.skeletons import COCO18, COCO_WHOLEBODY, MEDIAPIPE, MOTION

SIDE = 200
UNSCALED = replace(VMG, canvas=SIDE)
"""On a picture of 200 x 200 px the canvas is the picture."""

COLOURS = {
    ("neck", "right_shoulder"): (255, 0, 0), ("neck", "left_shoulder"): (255, 85, 0),
    ("right_shoulder", "right_elbow"): (255, 170, 0), ("right_elbow", "right_wrist"): (255, 255, 0),
    ("left_shoulder", "left_elbow"): (170, 255, 0), ("left_elbow", "left_wrist"): (85, 255, 0),
    ("neck", "right_hip"): (0, 255, 0), ("right_hip", "right_knee"): (0, 255, 85),
    ("right_knee", "right_ankle"): (0, 255, 170), ("neck", "left_hip"): (0, 255, 255),
    ("left_hip", "left_knee"): (0, 170, 255), ("left_knee", "left_ankle"): (0, 85, 255), ("neck", "nose"): (0, 0, 255),
    ("nose", "right_eye"): (85, 0, 255), ("right_eye", "right_ear"): (170, 0, 255),
    ("nose", "left_eye"): (255, 0, 255), ("left_eye", "left_ear"): (255, 0, 170),
}  # fmt: skip
"""OpenPose's 17 limbs and their colours before dimming."""
DOTS = [*COLOURS.values(), (255, 0, 85)]
"""OpenPose's 18 joints in its order have the same colours, and one more."""


def pose(places, confidence=1.0, skeleton=COCO18):
    """A pose with only these joints, and a confidence for all or each."""
    joints, sure = np.full((len(skeleton.joints), 2), np.nan, np.float32), np.zeros(len(skeleton.joints), np.float32)
    at = list(skeleton.index(*places))
    joints[at], sure[at] = list(places.values()), confidence
    return joints, sure, skeleton


def square(*posed, style=UNSCALED, side=SIDE):
    return draw(*posed, (side, side), style)


def whole_body(rng, skeleton=COCO18):
    """Joints anywhere in the picture."""
    joints = rng.uniform(20, SIDE - 20, (len(skeleton.joints), 2)).astype(np.float32)
    return joints, rng.uniform(0.1, 1, len(joints)).astype(np.float32), skeleton


def lit(picture):
    return picture.any(-1)


def from_middle(point):
    """Each pixel's middle, seen from a point: [H, W, 2]."""
    return np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), -1) + 0.5 - point


@pytest.mark.parametrize(("end", "half", "direction"), [((160, 100), 30, (1, 0)), ((136, 148), 30, (0.6, 0.8))])
def test_a_limb_is_an_ellipse_between_its_joints(end, half, direction):
    picture = square(*pose({"right_elbow": (100, 100), "right_wrist": end}))
    along = from_middle((np.array((100, 100)) + end) / 2) @ direction
    across = from_middle((np.array((100, 100)) + end) / 2) @ (-direction[1], direction[0])
    dots = np.minimum(*(np.linalg.norm(from_middle(joint), axis=-1) for joint in ((100, 100), end))) < 6
    inside = (along / (half - 1)) ** 2 + (across / 3) ** 2 < 1
    outside = (along / (half + 1)) ** 2 + (across / 5) ** 2 > 1
    assert (picture[inside & ~dots] == (153, 153, 0)).all()
    assert (inside & ~dots).sum() > 200
    assert not picture[outside & ~dots].any()


def test_limbs_are_like_opencvs_own_ellipses():
    rng = np.random.default_rng(2)
    for ends in rng.uniform(20, SIDE - 20, (30, 2, 2)).astype(np.float32):
        picture = square(*pose({"right_elbow": ends[0], "right_wrist": ends[1]}))
        middle, half = ends.mean(0), np.linalg.norm(ends[1] - ends[0]) / 2
        turn = np.degrees(np.arctan2(*(ends[1] - ends[0])[::-1]))
        outline = cv2.ellipse2Poly([int(part) for part in middle], (int(half), 4), int(turn), 0, 360, 1)
        theirs = cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), outline, 1)
        for end in ends:
            cv2.circle(theirs, [int(part) for part in end], 4, 0, cv2.FILLED)
        ours = (picture == (153, 153, 0)).all(-1).astype(np.uint8)
        assert int(ours.sum()) == pytest.approx(int(theirs.sum()), rel=0.1, abs=10)
        broader = np.ones((5, 5), np.uint8)
        assert not (ours > cv2.dilate(theirs, broader)).any()
        assert (theirs > cv2.dilate(ours, broader)).sum() <= 4  # where their joints are a pixel smaller


def test_a_joint_is_a_disc():
    picture = square(*pose({"nose": (60.5, 90.5)}))
    distance = np.linalg.norm(from_middle((60.5, 90.5)), axis=-1)
    assert (picture[distance < 3.5] == (255, 0, 0)).all()
    assert not picture[distance > 4.5].any()


@pytest.mark.parametrize("limb", COLOURS)
def test_each_limb_has_its_published_colour(limb):
    places = dict(zip(limb, [(40.5, 100.5), (160.5, 100.5)], strict=True))
    picture = square(*pose(places))
    assert picture[100, 100].tolist() == [round(0.6 * part) for part in COLOURS[limb]]
    for joint, (x, _) in places.items():
        assert picture[100, int(x)].tolist() == list(DOTS[COCO18.joints.index(joint)])


def test_fingers_are_a_rainbow_with_blue_joints():
    names = [COCO18.joints[joint] for joint in COCO18.left_hand]
    spread = {name: (20 + 8 * number, 20.0) for number, name in enumerate(names)}
    spread["left_hand_root"] = (100, 180)
    picture = square(*pose(spread))
    for finger in range(5):
        base = spread[names[1 + 4 * finger]]
        middle = (np.array(base) + spread["left_hand_root"]) / 2
        hue = cv2.cvtColor(np.uint8([[[36 * finger, 255, 255]]]), cv2.COLOR_HSV2RGB)[0, 0].astype(int)
        x, y = middle.astype(int)
        near = picture[y, x - 1 : x + 2].astype(int)
        assert np.abs(near - hue).sum(-1).min() < 12, finger
        assert picture[int(base[1]), int(base[0])].tolist() == [0, 0, 255]


def test_brightness_is_confidence():
    style = replace(MIMICMOTION, canvas=SIDE)
    places = {"right_elbow": (40.5, 50.5), "right_wrist": (160.5, 50.5)}
    picture = square(*pose(places, (0.5, 0.4)), style=style)
    assert picture[50, 100].tolist() == [round(255 * 0.6 * 0.5 * 0.4)] * 2 + [0]
    assert picture[50, 40].tolist() == [round(255 * 0.5), round(255 * 0.5), 0]
    assert picture[50, 160].tolist() == [round(170 * 0.4), round(255 * 0.4), 0]
    hand = {"left_hand_root": (40.5, 150), "left_hand_thumb_cmc": (160.5, 150)}
    picture = square(*pose(hand, (0.5, 0.4)), style=style)
    assert picture[149:151, 100].max(0).tolist() == [round(255 * 0.5 * 0.4), 0, 0]
    assert picture[150, 40].tolist() == [0, 0, round(255 * 0.5)]


def test_the_hard_cut_cuts_and_leaves_what_is_above_as_bright_as_ever():
    places = {"right_elbow": (40.5, 50.5), "right_wrist": (160.5, 50.5)}
    picture = square(*pose(places, (0.29, 0.31)))
    assert np.array_equal(picture, square(*pose({"right_wrist": (160.5, 50.5)})))
    assert square(*pose(places, 0.31))[50, 100].tolist() == [153, 153, 0]
    hand = {"left_hand_root": (40.5, 150), "left_hand_thumb_cmc": (160.5, 150)}
    assert not square(*pose(hand, 0.29)).any()


def test_released_mimicmotion_cuts_the_body_alone_and_swaps_red_and_blue():
    body, hand = {"nose": (50, 50), "neck": (50, 80)}, {"left_hand_root": (40, 150), "left_hand_thumb_cmc": (160, 150)}
    assert not square(*pose(body, 0.2), style=MIMICMOTION_RELEASED).any()
    assert square(*pose(body, 0.2), style=MIMICMOTION).any()
    for confidence, places in ((0.2, hand), (0.8, hand), (0.8, body)):
        released = square(*pose(places, confidence), style=MIMICMOTION_RELEASED)
        assert released.any()
        assert np.array_equal(released[:, :, ::-1], square(*pose(places, confidence), style=MIMICMOTION))


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.name)
@pytest.mark.parametrize(("place", "confidence"), [((np.nan, np.nan), 0.9), ((np.nan, 3), 0.9), ((50, 50), 0)])
def test_an_unknown_joint_draws_nothing(style, place, confidence):
    rng = np.random.default_rng(3)
    joints, sure, _ = whole_body(rng)
    for number in (0, 1, 4, 17, 18, 25, 59):
        body, alone = (joints.copy(), sure.copy()), (np.full_like(joints, np.nan), np.zeros_like(sure))
        for one in (body, alone):
            one[0][number], one[1][number] = place, confidence
        assert not square(*alone, COCO18, style=style).any()
        gone = joints.copy()
        gone[number] = 1e5  # the others are drawn as if it were far away, but for limbs that point there
        assert (lit(square(*body, COCO18, style=style)) <= lit(square(gone, sure, COCO18, style=style))).all()


def test_a_mirrored_person_has_swapped_colours():
    rng = np.random.default_rng(5)
    joints, _, _ = whole_body(rng)
    swap = list(COCO18.mirror)
    other = {}
    for a, b in COLOURS:
        c, d = (COCO18.joints[swap[COCO18.joints.index(joint)]] for joint in (a, b))
        other[tuple(round(0.6 * part) for part in COLOURS[a, b])] = tuple(round(0.6 * part) for part in COLOURS[c, d])
    for joint in range(18):
        other[DOTS[joint]] = DOTS[swap[joint]]
    turned = joints * (-1, 1) + (SIDE, 0)
    for a, b in COLOURS:  # one by one: which of two limbs lies above is not for the mirror to say
        at = COCO18.index(a, b)
        picture, mirrored = (
            square(*pose({COCO18.joints[joint]: place for joint, place in zip(pair, places, strict=True)}))
            for pair, places in ((at, joints[list(at)]), ([swap[j] for j in at], turned[list(at)]))
        )
        expected = np.zeros_like(picture)
        for colour in np.unique(picture[lit(picture)], axis=0):
            expected[(picture == colour).all(-1)] = other[tuple(colour.tolist())]
        wrong = (expected[:, ::-1] != mirrored).any(-1)
        assert wrong.sum() < 0.1 * lit(mirrored).sum(), (a, b)  # edges between two pixels are rounded one way


def test_what_lies_outside_is_cut_off():
    rng = np.random.default_rng(7)
    joints = np.round(whole_body(rng)[0] * 4) / 4
    sure = np.ones(len(joints), np.float32)
    corner = (70, 40)
    part = draw(joints - corner, sure, COCO18, (80, 80), replace(VMG, canvas=80))
    wrong = (part != square(joints, sure, COCO18)[40:120, 70:150]).any(-1)
    assert wrong.sum() < 0.02 * lit(part).sum()  # OpenCV rounds a line that it has cut off otherwise
    far = square(*pose({"right_elbow": (-1e5, 100.5), "right_wrist": (1e5, 100.5)}))
    assert (far[100] == (153, 153, 0)).all()
    assert not square(*pose({"right_elbow": (-1e5, -1e5), "right_wrist": (-1e5, 1e5)})).any()


@pytest.mark.parametrize("style", STYLES.values(), ids=lambda style: style.name)
def test_the_skeleton_is_as_broad_as_the_pictures_short_side_wants(style):
    places = {"right_elbow": (0.25, 0.5), "right_wrist": (0.75, 0.5)}

    def area(width, height):
        joints = {name: np.array(place) * (width, height) for name, place in places.items()}
        picture = draw(*pose(joints), (width, height), style)
        assert picture.shape == (height, width, 3)
        assert picture.dtype == np.uint8
        return picture.max(-1).sum() / 255

    square_area = area(512, 512) / 512**2
    assert area(1024, 1024) / 1024**2 == pytest.approx(square_area, rel=0.05)
    assert area(256, 256) / 256**2 == pytest.approx(square_area, rel=0.1)
    half_breadth = 4 * 512 / style.canvas
    limb = np.pi * (256 / 2) * half_breadth * 0.6
    assert 0.9 < area(512, 768) / limb < 1.35  # the joints, and the edge pixels that OpenCV fills


def test_face_points_are_drawn_where_there_are_any():
    faces = {f"face_{number}": (20.5 + 2 * number, 50.5 + 3 * (number % 5)) for number in range(0, 68, 4)}
    shown = replace(UNSCALED, face=True)
    picture = square(*pose(faces, skeleton=COCO_WHOLEBODY), style=shown)
    for x, y in faces.values():
        assert picture[int(y), int(x)].tolist() == [255, 255, 255]
    assert not square(*pose(faces, skeleton=COCO_WHOLEBODY)).any()
    grey = square(*pose(faces, 0.5, COCO_WHOLEBODY), style=replace(MIMICMOTION, canvas=SIDE))
    assert sorted(np.unique(grey)) == [0, 128]
    nose = square(*pose({"nose": (100.5, 100.5)}, skeleton=MEDIAPIPE), style=shown)
    assert nose[100, 100].tolist() == [255, 255, 255]
    assert square(*pose({"nose": (100.5, 100.5)}), style=shown)[100, 100].tolist() == [255, 0, 0]


def test_a_run_is_its_poses_one_by_one():
    rng = np.random.default_rng(11)
    joints, sure = (np.stack(parts) for parts in zip(*(whole_body(rng, MEDIAPIPE)[:2] for _ in range(4)), strict=True))
    kept = joints.copy(), sure.copy()
    pictures = draw_run(joints, sure, MEDIAPIPE, (120, 160), MIMICMOTION)
    assert pictures.shape == (4, 160, 120, 3)
    for number, picture in enumerate(pictures):
        assert np.array_equal(picture, draw(joints[number], sure[number], MEDIAPIPE, (120, 160), MIMICMOTION))
    assert np.array_equal(kept[0], joints)
    assert np.array_equal(kept[1], sure)
    assert draw_run(joints[:0], sure[:0], MEDIAPIPE, (120, 160)).shape == (0, 160, 120, 3)


def test_a_skeleton_without_a_way_to_coco_is_said():
    with pytest.raises(UserError, match="motion cannot be made into coco18"):
        square(np.zeros((17, 2), np.float32), np.ones(17, np.float32), MOTION)


def find_limb(picture, colour):
    """Centroid in px, direction in radians and breadth in px of what has the colour of a limb; None without."""
    near = cv2.inRange(picture, 0.6 * np.array(colour) - 25, 0.6 * np.array(colour) + 25)
    _, labels, stats, middles = cv2.connectedComponentsWithStats(near)
    largest = 1 + stats[1:, cv2.CC_STAT_AREA].argmax() if len(stats) > 1 else 0
    left, top, width, height, area = stats[largest]
    if not largest or area < 80:
        return None
    places = np.argwhere(labels[top : top + height, left : left + width] == largest)[:, ::-1]
    spread, axes = np.linalg.eigh(np.cov(places.T))
    # An ellipse's variance along an axis is a quarter of the square of half its length.
    return middles[largest], np.arctan2(axes[1, 1], axes[0, 1]), 4 * np.sqrt(spread[0])


@pytest.mark.long
def test_limbs_lie_where_others_drew_them_in_the_same_colours(media):
    frames, step = 100, 3
    clip = open_footage(media / "footage" / "dance_routine.mp4", fps=Fraction(30))
    clip = replace(clip, pts=clip.pts[:frames], shots=np.array([[0, frames - 1]], np.int32))
    clip = replace(clip, ranges=np.array([[0, frames - 1]], np.int32))
    track = MediapipeEstimator().track(clip, workers=2)
    shoulders, hips = (
        track.image[:, list(MEDIAPIPE.index(f"left_{joint}", f"right_{joint}"))].mean(1)
        for joint in ("shoulder", "hip")
    )
    torso = np.nanpercentile(np.linalg.norm(shoulders - hips, axis=-1), 90)

    compared = {limb: [] for limb in list(COLOURS)[:12]}
    with FrameReader(open_footage(media / "footage" / "dance_routine_skeleton.mp4")) as reader:
        for number, theirs in enumerate(reader.frames(0, frames - 1)):
            if number % step:
                continue
            ours = draw(track.image[number], track.confidence[number], MEDIAPIPE, clip.size)
            places = {limb: find_limb(theirs, colour) for limb, colour in COLOURS.items()}
            for limb, found in compared.items():
                mine, other = find_limb(ours, COLOURS[limb]), tuple(mirrored(joint) for joint in limb)
                if mine and places[limb] and places[other]:
                    turned = abs((mine[1] - places[limb][1] + np.pi / 2) % np.pi - np.pi / 2)
                    away, away_other = (np.linalg.norm(mine[0] - places[name][0]) / torso for name in (limb, other))
                    found.append((away, away_other, np.degrees(turned), mine[2] / places[limb][2]))

    table = {limb: np.array(found) for limb, found in compared.items()}
    for limb, found in table.items():
        away, away_other, turned, breadth = np.median(found, axis=0)
        print(f"{'-'.join(limb):30} {len(found):3} frames {away:.3f} torso lengths {turned:.1f} deg x{breadth:.2f}")
        assert len(found) > 20
        assert away < 0.06
        assert turned < 6
        assert 0.8 < breadth < 1.35
        assert (found[:, 0] < found[:, 1]).mean() > 0.95, "left and right are not swapped"
    assert np.median(np.concatenate(list(table.values()))[:, 0]) < 0.04


def mirrored(joint):
    return COCO18.joints[COCO18.mirror[COCO18.joints.index(joint)]]
