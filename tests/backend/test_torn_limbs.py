"""Torn limbs on a person drawn by hand: what is found, what is longer, what both sides must show."""

from __future__ import annotations

import numpy as np
import pytest

from vmg_backend.evaluation.film import torn_limbs
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.pose.track import PoseTrack
from vmg_backend.search.path import FrameOf, Transition

HALF = 4
TORSO = 100.0


def standing(frames):
    """Whole limbs of 60 px below shoulders and hips that are a torso of 100 px apart."""
    joints = np.full((frames, len(MEDIAPIPE.joints), 2), 50.0, np.float32)
    for side, x in (("left", 80.0), ("right", 20.0)):
        for number, part in enumerate(("shoulder", "elbow", "wrist")):
            joints[:, MEDIAPIPE.index(f"{side}_{part}")[0]] = x, 100.0 + 60.0 * number
        for number, part in enumerate(("hip", "knee", "ankle")):
            joints[:, MEDIAPIPE.index(f"{side}_{part}")[0]] = x, 100.0 + TORSO + 60.0 * number
    sure = np.full(joints.shape[:2], 0.9, np.float32)
    return PoseTrack(joints, np.zeros((*joints.shape[:2], 3), np.float32), sure, np.ones(frames, bool), "mediapipe")


def measured(change):
    """Change the film's track in its transition, and ask."""
    film, footage = standing(30), standing(60)
    inside = slice(10, 10 + 2 * HALF)
    change(film, footage, inside)
    transition = Transition(0, FrameOf("a", 15), FrameOf("a", 45), (20, 41), 10, 2 * HALF, "flow", 0.1, False)
    return torn_limbs(film, transition, {"a": footage})


def joint(name):
    return MEDIAPIPE.index(name)[0]


def test_a_whole_person_has_none():
    assert measured(lambda film, footage, inside: None) == 0.0


def test_a_forearm_that_is_too_long_is_one_limb_of_eight():
    def change(film, footage, inside):
        film.image[inside, joint("left_wrist"), 1] += 0.2 * TORSO

    assert measured(change) == pytest.approx(1 / 8)


def test_a_little_longer_is_no_harm():
    def change(film, footage, inside):
        film.image[inside, joint("left_wrist"), 1] += 0.1 * TORSO

    assert measured(change) == 0.0


def test_a_knee_that_is_not_found_tears_two_limbs_while_it_lasts():
    def change(film, footage, inside):
        film.confidence[10:12, joint("right_knee")] = 0.2

    assert measured(change) == pytest.approx(2 / 8 * 2 / (2 * HALF))


def test_nothing_is_asked_of_limbs_that_a_side_does_not_show():
    def change(film, footage, inside):
        film.confidence[inside, joint("right_knee")] = 0.2
        footage.confidence[:, joint("right_knee")] = 0.3

    assert measured(change) == 0.0


def test_limbs_may_be_as_long_as_on_either_side():
    def change(film, footage, inside):
        footage.image[17:25, joint("left_wrist"), 1] -= 40.0  # foreshortened on the outgoing side
        film.image[inside, joint("left_wrist"), 1] -= 20.0

    assert measured(change) == 0.0
