"""The in-between engines on pictures whose in-betweens are known."""

from __future__ import annotations

from dataclasses import replace
from threading import Event
from types import TracebackType

import cv2
import numpy as np
import pytest

from vmg_backend.background.matte import PersonMatte
from vmg_backend.errors import Cancelled, UserError
from vmg_backend.interpolation.engines import ENGINES, make_engine
from vmg_backend.interpolation.fade import Fade
from vmg_backend.interpolation.flow import Flow
from vmg_backend.interpolation.interpolator import Continuation, Gap, crossing_weights
from vmg_backend.interpolation.morph import line_field, residual_flow, sample
from vmg_backend.motion.gap import Side
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.progress import Progress
from vmg_backend.protocol import EngineChoice

HEIGHT, WIDTH = 161, 203
JOINTS = len(MEDIAPIPE.joints)
TORSO = MEDIAPIPE.index("left_shoulder", "left_hip")


def texture(height: int, width: int, seed: int, grain: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), grain)
    return np.clip(128 + 40 * soft / soft.std(), 0, 255)


PLATE = np.rint(0.4 * texture(HEIGHT, WIDTH, 1)).astype(np.uint8)
PERSON = 120 + 0.5 * texture(HEIGHT, WIDTH, 2)
"""A texture that is brighter than the plate everywhere; the person is an upright capsule cut out of it."""
LENGTH, RADIUS = 60, 14


def alpha_at(x: float, y: float) -> np.ndarray:
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH]
    below = np.clip(ys - (y - LENGTH / 2), 0, LENGTH)
    return np.clip(RADIUS + 0.5 - np.hypot(xs - x, ys - (y - LENGTH / 2) - below), 0, 1).astype(np.float32)


def picture(x: float, y: float, background: np.ndarray = PLATE) -> np.ndarray:
    alpha = alpha_at(x, y)[..., None]
    shift = np.float32([[1, 0, x - WIDTH / 2], [0, 1, y - HEIGHT / 2]])
    person = cv2.warpAffine(PERSON, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    return np.rint(alpha * person + (1 - alpha) * background).astype(np.uint8)


class KnownMatte(PersonMatte):
    """The truth instead of a network: what differs from the plate."""

    def __enter__(self) -> KnownMatte:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def matte(self, frame: np.ndarray, plate: np.ndarray | None = None, limbs: np.ndarray | None = None) -> np.ndarray:
        different = (np.abs(frame.astype(int) - PLATE).max(axis=2) > 12).astype(np.float32)
        return cv2.GaussianBlur(different, (0, 0), 0.7)


def continuation(places: list[tuple[float, float]], known_joints: bool, background: np.ndarray = PLATE) -> Continuation:
    joints = np.full((len(places), JOINTS, 2), np.nan, np.float32)
    confidence = np.zeros((len(places), JOINTS), np.float32)
    if known_joints:
        for k, (x, y) in enumerate(places):
            joints[k, TORSO[0]], joints[k, TORSO[1]] = (x, y - LENGTH / 2), (x, y + LENGTH / 2)
            confidence[k, list(TORSO)] = 1.0
    return Continuation(np.stack([picture(x, y, background) for x, y in places]), joints, confidence)


UNSEEN = Side(np.full((3, JOINTS, 2), np.nan, np.float32), np.zeros((3, JOINTS), np.float32))


def moving_gap(apart: tuple[float, float], length: int, known_joints: bool = True) -> tuple[Gap, np.ndarray]:
    """Two people that walk on in parallel, `apart` from each other, and the places [n, 2] between them."""
    outgoing = [(70.0 + 2 * k, 80.0 + k) for k in range(-1, length + 1)]
    incoming = [(x + apart[0], y + apart[1]) for x, y in outgoing]
    gap = Gap(
        lead=picture(*outgoing[0])[None],
        trail=picture(*incoming[-1])[None],
        outgoing=continuation(outgoing[1:-1], known_joints),
        incoming=continuation(incoming[1:-1], known_joints),
        plate_before=PLATE,
        plate_after=PLATE,
        before=UNSEEN,
        after=UNSEEN,
    )
    weights = crossing_weights(length)[:, None]
    return gap, (1 - weights) * outgoing[1:-1] + weights * incoming[1:-1]


def body(frame: np.ndarray) -> np.ndarray:
    return np.abs(frame.astype(int) - PLATE).max(axis=2) > 25


def flow() -> Flow:
    return Flow(matting=KnownMatte)


@pytest.mark.parametrize(("apart", "known_joints"), [((34.0, 0.0), True), ((30.0, -9.0), True), ((6.0, 2.0), False)])
def test_flow_shows_one_body_at_the_weighted_place(apart: tuple[float, float], known_joints: bool) -> None:
    gap, places = moving_gap(apart, 8, known_joints)
    one = alpha_at(WIDTH / 2, HEIGHT / 2).sum()
    for frame, (x, y) in zip(flow().fill(gap), places, strict=True):
        seen = body(frame)
        ys, xs = np.nonzero(seen)
        assert np.hypot(xs.mean() - x, ys.mean() - y) < 1.0
        assert seen.sum() == pytest.approx(one, rel=0.07)
        assert cv2.connectedComponents(seen.astype(np.uint8))[0] == 2
        truth = picture(x, y).astype(int)
        assert np.abs(frame.astype(int) - truth)[alpha_at(x, y) > 0.99].mean() < 4.0


def test_fade_shows_two_bodies_where_flow_shows_one() -> None:
    gap, _ = moving_gap((34.0, 0.0), 8)
    one = alpha_at(WIDTH / 2, HEIGHT / 2).sum()
    assert body(Fade().fill(gap)[4]).sum() > 1.5 * one
    assert body(flow().fill(gap)[4]).sum() < 1.07 * one


def test_fade_mixes_by_the_crossing_weights() -> None:
    gap, _ = moving_gap((10.0, 0.0), 4)
    made = Fade().fill(gap)
    for k, weight in enumerate((0.104, 0.352, 0.648, 0.896)):  # 3 u^2 - 2 u^3 at u = 1/5 .. 4/5
        expected = gap.outgoing.frames[k] * (1 - weight) + gap.incoming.frames[k] * weight
        assert np.abs(made[k] - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("length", [2, 6, 12])
def test_the_ends_nearly_are_the_real_frames(length: int) -> None:
    gap, places = moving_gap((16.0, 0.0), length)
    made = flow().fill(gap)
    assert made.shape == (length, HEIGHT, WIDTH, 3)
    assert made.dtype == np.uint8
    for frame, k, real in ((made[0], 0, gap.outgoing), (made[-1], -1, gap.incoming)):
        ys, xs = np.nonzero(body(frame))
        assert np.hypot(xs.mean() - places[k][0], ys.mean() - places[k][1]) < 1.0
        moved = np.hypot(*(places[k] - real.joints[k, list(TORSO)].mean(axis=0)))
        assert moved <= 16.0 * crossing_weights(length)[0] + 1e-6


@pytest.mark.parametrize("engine", [Fade(), Flow(matting=KnownMatte)], ids=["fade", "flow"])
@pytest.mark.parametrize("plates", [True, False], ids=["plates", "no plates"])
def test_equal_continuations_come_back_unchanged(engine: Fade | Flow, plates: bool) -> None:
    side = continuation([(90.0 + 3 * k, 80.0) for k in range(4)], known_joints=True)
    plate = PLATE if plates else None
    made = engine.fill(Gap(side.frames[:1], side.frames[-1:], side, side, plate, plate, UNSEEN, UNSEEN))
    assert np.abs(made.astype(int) - side.frames).max() <= 1


def test_flow_never_shows_a_hand_twice() -> None:
    """A hand that is too far from itself to be followed is on the one side or on the other, not half on both."""

    def with_hand(x: int) -> Continuation:
        frames = np.stack([picture(100, 80)] * 8)
        for frame in frames:
            cv2.circle(frame, (x, 60), 8, (250, 240, 230), -1)
        nobody = continuation([(100, 80)] * 8, known_joints=False)
        return Continuation(frames, nobody.joints, nobody.confidence)

    outgoing, incoming = with_hand(60), with_hand(140)
    made = flow().fill(Gap(outgoing.frames[:1], incoming.frames[-1:], outgoing, incoming, PLATE, PLATE, UNSEEN, UNSEEN))

    def shown(frame: np.ndarray, x: int) -> float:
        there, truth, empty = (
            f[56:65, x - 4 : x + 5].astype(float).mean() for f in (frame, with_hand(x).frames[0], PLATE)
        )
        return (there - empty) / (truth - empty)

    for k, frame in enumerate(made):
        left, right = shown(frame, 60), shown(frame, 140)
        assert left == pytest.approx(1.0 if k < 4 else 0.0, abs=0.12)
        assert right == pytest.approx(0.0 if k < 4 else 1.0, abs=0.12)


def test_flow_leaves_the_background_as_it_is() -> None:
    gap, places = moving_gap((20.0, 0.0), 6)
    made = flow().fill(gap)
    for k in range(6):
        near = body(gap.outgoing.frames[k]) | body(gap.incoming.frames[k]) | (alpha_at(*places[k]) > 0)
        far = cv2.dilate(near.astype(np.uint8), np.ones((13, 13), np.uint8)) == 0
        assert far.mean() > 0.5
        assert np.abs(made[k].astype(int) - PLATE)[far].max() <= 1


@pytest.mark.parametrize(
    ("apart", "wanted", "heard"), [((60.0, 0.0), False, True), ((2.0, 0.0), False, False), ((2.0, 0.0), True, True)]
)
def test_flow_goes_where_it_is_guided_if_the_sides_disagree_or_a_person_wants_it(
    apart: tuple[float, float], wanted: bool, heard: bool
) -> None:
    gap, places = moving_gap(apart, 6)
    lower = np.array([0.0, 18.0])
    joints = np.full_like(gap.outgoing.joints, np.nan)
    for number, offset in zip(TORSO, (-LENGTH / 2, LENGTH / 2), strict=True):
        joints[:, number] = places + lower + (0.0, offset)
    guide = Side(joints, np.ones(joints.shape[:2], np.float32))
    made = flow().fill(replace(gap, guide=guide, wanted=wanted))
    for k in range(1, 5):
        rows, columns = np.nonzero(body(made[k]))
        x, y = places[k] + lower * heard
        assert np.hypot(columns.mean() - x, rows.mean() - y) < 3.0


def test_flow_is_deterministic() -> None:
    gap, _ = moving_gap((20.0, 3.0), 4)
    assert np.array_equal(flow().fill(gap), flow().fill(gap))


def test_flow_follows_a_moving_camera_without_plates() -> None:
    """Both scenes are one texture, seen 8 px apart: halfway it stands in the middle, sharp."""
    wide = np.rint(texture(HEIGHT + 60, WIDTH + 60, 5, grain=2.0)).astype(np.uint8)
    nobody = np.full((2, JOINTS, 2), np.nan, np.float32), np.zeros((2, JOINTS), np.float32)

    class Nobody(KnownMatte):
        def matte(
            self, frame: np.ndarray, plate: np.ndarray | None = None, limbs: np.ndarray | None = None
        ) -> np.ndarray:
            return np.zeros(frame.shape[:2], np.float32)

    def seen(x: int) -> np.ndarray:
        return wide[20 : 20 + HEIGHT, x : x + WIDTH]

    sides = [Continuation(np.stack([seen(x)] * 2), *nobody) for x in (20, 28)]
    made = Flow(matting=Nobody).fill(Gap(seen(20)[None], seen(28)[None], *sides, None, None, UNSEEN, UNSEEN))
    for frame, weight in zip(made, crossing_weights(2), strict=True):
        truth = seen(20 + round(8 * weight))  # 8 * 7/27 = 2.07
        inner = (slice(10, -10), slice(10, -10))
        assert np.abs(frame.astype(int) - truth)[inner].mean() < 5.0
        assert np.abs(frame.astype(int) - seen(24))[inner].mean() > 15.0


def test_line_field_carries_a_line_exactly_and_turns_what_is_near() -> None:
    between = np.array([[[40.0, 60.0], [80.0, 60.0]]])
    source = np.array([[[30.0, 40.0], [30.0, 80.0]]])  # a quarter turn
    field = line_field(between, source, (100, 120))
    assert field[60, 40] == pytest.approx((-10.0, -20.0), abs=0.05)
    assert field[60, 80] == pytest.approx((-50.0, 20.0), abs=0.05)
    assert field[70, 60] == pytest.approx((-40.0, -10.0), abs=0.05)  # 10 px below the middle, now 10 px to the left


def test_residual_flow_finds_a_known_shift() -> None:
    wide = np.rint(texture(150, 150, 7)).astype(np.uint8)[..., 0]
    a, b = wide[20:120, 20:120], wide[17:117, 15:115]  # a(x) = b(x + (5, 3))
    forth, back = residual_flow(a, b)
    assert np.median(forth, axis=(0, 1)) == pytest.approx((5.0, 3.0), abs=0.2)
    assert np.median(back, axis=(0, 1)) == pytest.approx((-5.0, -3.0), abs=0.2)
    brought = sample(b.astype(np.float32), forth)
    assert np.abs(brought - a)[15:-15, 15:-15].mean() < 3.0


def test_engines_by_name() -> None:
    assert set(ENGINES) >= {"fade", "flow"}
    for name in ("fade", "flow"):
        engine = make_engine(EngineChoice(name))
        assert engine.name == name
        assert engine.version
    with pytest.raises(UserError, match="fade, flow"):
        make_engine(EngineChoice("morph"))


@pytest.mark.parametrize("engine", [Fade(), Flow(matting=KnownMatte)], ids=["fade", "flow"])
def test_a_cancelled_gap_stops(engine: Fade | Flow) -> None:
    gap, _ = moving_gap((8.0, 0.0), 4)
    cancelled = Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        engine.fill(gap, Progress(cancelled=cancelled))
