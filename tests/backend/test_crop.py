"""The crop around a person: what it holds, and the way there and back."""

from __future__ import annotations

import numpy as np
import pytest

from vmg_backend.interpolation.crop import Crop, plan_crop

PICTURE = (320, 200)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plan(points: list[tuple[float, float]], picture: tuple[int, int] = PICTURE, **more: object) -> Crop:
    joints = np.array([points], np.float32)
    return plan_crop(joints, np.ones(joints.shape[:-1], np.float32), picture, **{"short": 64, **more})


def dots(places: np.ndarray, size: tuple[int, int], radius: float = 3.0) -> np.ndarray:
    """A picture [H, W] of soft dots, integrated over each pixel's area by brute force; pixel 0 spans 0 to 1."""
    finer = 8
    ys, xs = (np.mgrid[0 : size[1] * finer, 0 : size[0] * finer] + 0.5) / finer
    drawn = sum(np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * radius**2)) for x, y in places)
    return drawn.reshape(size[1], finer, size[0], finer).mean(axis=(1, 3)).astype(np.float32)


def dot_near(picture: np.ndarray, place: np.ndarray, reach: int = 20) -> np.ndarray:
    """The middle of the light within `reach` px of a place."""
    ys, xs = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]] + 0.5
    light = np.where(np.hypot(xs - place[0], ys - place[1]) < reach, picture, 0)
    return np.array([(light * xs).sum(), (light * ys).sum()]) / light.sum()


@pytest.mark.parametrize("short", [64, 160], ids=["shrunk", "grown"])
def test_dots_are_found_where_the_crop_says(short: int) -> None:
    places = np.array([[101.3, 60.7], [160.0, 120.25], [189.6, 71.1]])
    crop = plan(places.tolist(), short=short, multiple=8, aspect=1.0)
    assert (crop.width > short) == (short == 64)
    seen = crop.cut(dots(places, PICTURE))
    assert seen.shape == crop.size[::-1] == (short, short)
    for place, there in zip(places, crop.joints(places), strict=True):
        found = dot_near(seen, there, reach=round(15 * short / crop.width))
        assert np.hypot(*(found - there)) < 0.02
        assert np.hypot(*(crop.placed(there) - place)) < 1e-9
        inside = place - (crop.left, crop.top)
        assert np.hypot(*(dot_near(crop.fitted(seen), inside, reach=15) - inside)) < 0.03


def test_unequal_scales_move_no_joint() -> None:
    place = np.array([[60.4, 50.2]])
    crop = Crop(20, 10, 97, 131, (64, 96))
    there = crop.joints(place)
    assert np.hypot(*(dot_near(crop.cut(dots(place, PICTURE, 4.0)), there[0]) - there[0])) < 0.02


@pytest.mark.parametrize("crop", [Crop(30, 20, 96, 128, (96, 128)), Crop(-10, 150, 96, 128, (96, 128))])
def test_the_way_there_and_back_is_exact_at_equal_size(crop: Crop) -> None:
    picture = texture(*PICTURE[::-1])
    seen = crop.cut(picture)
    assert seen.shape == (128, 96, 3)
    back = crop.paste(texture(*PICTURE[::-1], seed=1), seen, np.ones((128, 96), np.float32))
    rows, columns = slice(max(crop.top, 0), crop.top + 128), slice(max(crop.left, 0), crop.left + 96)
    assert np.array_equal(back[rows, columns], picture[rows, columns])
    assert np.array_equal(crop.paste(picture, seen, np.full((128, 96), 0.37, np.float32)), picture)
    outside = np.ones(picture.shape[:2], bool)
    outside[rows, columns] = False
    assert outside.any()
    assert np.array_equal(back[outside], texture(*PICTURE[::-1], seed=1)[outside])


def test_beyond_the_picture_the_border_goes_on() -> None:
    picture = texture(20, 30)
    seen = Crop(-4, 12, 12, 16, (12, 16)).cut(picture)
    assert np.array_equal(seen, np.pad(picture, ((0, 8), (4, 0), (0, 0)), mode="edge")[12:, :12])


@pytest.mark.parametrize("aspect", [None, 1.0, 0.5, 2 / 3, 2.0])
@pytest.mark.parametrize("picture", [(320, 200), (1080, 1920), (90, 90)])
@pytest.mark.parametrize("seed", range(8))
def test_a_crop_holds_what_it_must(picture: tuple[int, int], aspect: float | None, seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle, spread = rng.uniform(0.1, 0.9, 2) * picture, rng.uniform(0.02, 0.3) * min(picture)
    points = np.clip(middle + spread * rng.normal(size=(20, 2)), 0, picture)
    crop = plan(points.tolist(), picture, multiple=16, aspect=aspect)
    corner, sides = np.array([crop.left, crop.top]), np.array([crop.width, crop.height])
    assert (corner <= points.min(axis=0)).all()
    assert (corner + sides >= points.max(axis=0)).all()
    assert min(crop.size) == 64
    assert all(side % 16 == 0 for side in crop.size)
    wanted = crop.size[0] / crop.size[1]
    assert aspect is None or wanted == pytest.approx(aspect, rel=0.13)  # 16 of 128
    assert abs(crop.width - wanted * crop.height) <= 1 + wanted
    for first, side, whole in zip(corner, sides, picture, strict=True):
        assert (0 <= first <= whole - side) if side <= whole else (whole - side <= first <= 0)


def test_the_room_is_a_share_of_the_person() -> None:
    crop = plan([(100, 50), (130, 150)], aspect=1.0)
    assert (crop.top, crop.height) == (35, 130)
    assert crop.left + crop.width / 2 == pytest.approx(115, abs=1)


def test_who_is_not_sure_does_not_count() -> None:
    joints = np.array([[100, 50], [130, 150], [300, 190], [np.nan, 3]], np.float32)
    crop = plan_crop(joints, np.array([1, 0.31, 0.29, 1]), PICTURE, 64, aspect=1.0)
    assert crop == plan([(100, 50), (130, 150)], aspect=1.0)


def test_without_anybody_it_is_the_whole_picture() -> None:
    joints = np.full((3, 4, 2), np.nan)
    assert plan_crop(joints, np.zeros((3, 4)), PICTURE, 40) == Crop(0, 0, 320, 200, (64, 40))
    square = plan_crop(joints, np.zeros((3, 4)), PICTURE, 64, aspect=1.0)
    assert square == Crop(0, -60, 320, 320, (64, 64))


def test_mattes_are_held_too() -> None:
    matte = np.zeros(PICTURE[::-1], np.float32)
    matte[10:40, 200:260] = 0.5
    crop = plan([(100, 50), (130, 150)], mattes=[matte])
    assert crop.left <= 85
    assert crop.left + crop.width >= 260
    assert crop.top <= 10


def test_the_feather_spares_the_pictures_own_edges() -> None:
    crop = Crop(-20, 40, 100, 100, (64, 64))
    mask = crop.feather(PICTURE, 0.1)
    assert mask.shape == (100, 100)
    assert mask[50, :80].min() == 1.0  # the left edge lies outside
    assert mask[0].max() < 0.02
    assert mask[:, 99].max() < 0.02
    assert (np.diff(mask[:12, 40]) >= 0).all()
    assert mask[12:88, 12:88].min() == 1.0
    assert Crop(0, 0, 320, 200, (64, 40)).feather(PICTURE, 0.1).min() == 1.0
