"""How near pictures are to the real ones."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vmg_backend.evaluation.picture_metrics import BEST, likeness, person_box, psnr, ssim


@pytest.fixture
def pictures() -> np.ndarray:
    random = np.random.default_rng(1)
    return random.integers(0, 256, (3, 48, 64, 3), dtype=np.uint8)


def test_errors_are_not_counted_modulo_256(pictures: np.ndarray) -> None:
    black, white = np.zeros_like(pictures), np.full_like(pictures, 255)
    assert psnr(black, white) == pytest.approx(0.0)
    assert psnr(pictures, pictures) == BEST


def test_psnr_is_opencvs(pictures: np.ndarray) -> None:
    noisy = np.clip(pictures.astype(int) + np.random.default_rng(2).integers(-9, 10, pictures.shape), 0, 255).astype(
        np.uint8
    )
    wanted = np.mean([cv2.PSNR(made, real) for made, real in zip(noisy, pictures, strict=True)])
    assert psnr(noisy, pictures) == pytest.approx(wanted, abs=1e-9)


def test_ssim_is_opencvs(pictures: np.ndarray) -> None:
    smooth = np.stack([cv2.GaussianBlur(frame, (0, 0), 2.0) for frame in pictures])
    noise = np.random.default_rng(2).integers(-9, 10, smooth.shape)
    noisy = np.clip(smooth.astype(int) + noise, 0, 255).astype(np.uint8)
    theirs = []
    for made, real in zip(noisy, smooth, strict=True):
        grey = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY) for each in (made, real)]
        whole = cv2.quality.QualitySSIM_compute(*grey)[1]
        theirs.append(whole[5:-5, 5:-5].mean())  # ours leaves the border out
    assert ssim(noisy, smooth) == pytest.approx(np.mean(theirs), abs=2e-3)
    assert ssim(smooth, smooth) == pytest.approx(1.0)


def test_only_the_persons_box_counts_for_the_person(pictures: np.ndarray) -> None:
    joints = np.full((3, 2, 2), np.nan, np.float32)
    joints[0, 0], joints[2, 1] = (10.4, 5.6), (20.2, 30.8)
    box = person_box(joints, (64, 48))
    assert box == (slice(None), slice(5, 32), slice(10, 22))
    other = pictures.copy()
    other[:, :, 30:] = 0
    found = likeness(other, pictures, joints)
    assert found.person_psnr == BEST
    assert found.psnr < 20.0
