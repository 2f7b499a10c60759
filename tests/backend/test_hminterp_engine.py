"""HMInterp as an engine, with a tiny untrained model: what it is given, what comes back, and when it stops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vmg_backend.errors import Cancelled
from vmg_backend.interpolation.hminterp.conditioning import conditions_of
from vmg_backend.interpolation.hminterp.config import TINY
from vmg_backend.interpolation.hminterp.devices import choose
from vmg_backend.interpolation.hminterp.engine import HMInterpEngine
from vmg_backend.interpolation.hminterp.generating import Way, generate
from vmg_backend.interpolation.hminterp.memory import Thrift
from vmg_backend.interpolation.hminterp.model import HMInterp
from vmg_backend.interpolation.interpolator import Continuation, Gap
from vmg_backend.motion.gap import Side
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.progress import Progress

HEIGHT, WIDTH = 108, 192
JOINTS = len(MEDIAPIPE.joints)
LOW = {"steps": 2, "sampler": "dpm++"}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = HMInterp.build(TINY).eval().requires_grad_(False)
    for name, parameter in made.named_parameters():
        if not parameter.any():  # what is silent at first shall be heard here
            torch.nn.init.normal_(parameter, std=0.02 if name.endswith("weight") else 0.0)
    torch.nn.init.normal_(made.denoiser.unet.conv_in.weight[:, TINY.latent_channels :], std=0.02)
    return made


def gap_of(length, given, seed=3):
    random = np.random.default_rng(0)
    scene = random.integers(30, 220, (HEIGHT, WIDTH, 3), np.uint8)

    def frames(count):
        return np.stack([scene] * count)

    def poses(count):
        place = np.array([96.0, 54.0]) + random.uniform(-15, 15, (count, JOINTS, 2))
        return place.astype(np.float32), np.full((count, JOINTS), 0.9, np.float32)

    sides = [Continuation(frames(length), *poses(length)) for _ in range(2)]
    around = [Side(*poses(max(3, given))) for _ in range(2)]
    return Gap(frames(given), frames(given), *sides, scene, scene, *around, seed, Side(*poses(length)))


def engine_of(middle, model, **config):
    return HMInterpEngine(
        replace(TINY, **config), "1", lambda *_: model, choose("cpu"), guide=None, way=Way(**LOW), matting=middle
    )


@pytest.mark.parametrize(("length", "given"), [(2, 3), (4, 2), (6, 1), (12, 1)])
def test_every_length_is_filled_by_calls_of_one_size(model, length, given, middle):
    engine = engine_of(middle, model)
    assert engine.given(length) == given
    assert length + 2 * given == TINY.frames or given == TINY.context
    gap = gap_of(length, given)
    made = engine.fill(gap)
    assert made.shape == gap.outgoing.frames.shape
    assert made.dtype == np.uint8
    assert np.array_equal(made[:, :, :20], np.stack([gap.start] * length)[:, :, :20])  # far from the person
    assert not np.array_equal(made, np.stack([gap.start] * length))


def test_equal_gaps_are_filled_equally_and_other_seeds_otherwise(model, middle):
    engine, gap = engine_of(middle, model), gap_of(6, 1)
    made = engine.fill(gap)
    assert np.array_equal(made, engine.fill(gap))
    assert not np.array_equal(made, engine.fill(replace(gap, seed=4)))


def test_the_guide_is_followed(model, middle):
    engine, gap = engine_of(middle, model), gap_of(6, 1)
    other = replace(gap, guide=Side(gap.guide.joints + np.float32(9.0), gap.guide.confidence))
    assert not np.array_equal(engine.fill(gap), engine.fill(other))


def test_a_morph_may_stand_in_the_gap_instead_of_duplicates(model, middle):
    gap, seen = gap_of(6, 1), []

    class Dark:
        name, version, guide = "dark", "1", None

        def fill(self, gap, progress, preview=None):
            seen.append(gap.length)
            return np.zeros_like(gap.outgoing.frames)

    plain = engine_of(middle, model)
    first = HMInterpEngine(TINY, "1", lambda *_: model, choose("cpu"), None, Way(**LOW), Dark(), middle)
    assert not np.array_equal(plain.fill(gap), first.fill(gap))
    assert seen == [6]


def test_a_cancel_is_heard_before_the_next_call(model, middle):
    gap, heard = gap_of(6, 1), []

    def stop(fraction, stage):
        heard.append(stage)
        if heard.count("Denoising") == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        engine_of(middle, model).fill(gap, Progress(stop))
    assert heard[-1] == "Denoising"


def test_a_released_model_is_loaded_again(model, middle):
    loads = []

    def load(device, dtype, progress):
        loads.append(1)
        return model

    engine = HMInterpEngine(TINY, "1", load, choose("cpu"), guide=None, way=Way(**LOW), matting=middle)
    gap = gap_of(6, 1)
    engine.fill(gap)
    engine.fill(gap)
    assert len(loads) == 1
    engine.release()
    engine.fill(gap)
    assert len(loads) == 2


def test_the_two_nearest_given_frames_are_the_references(model):
    pictures = torch.rand(1, 4, 3, 64, 64)
    maps = torch.rand(1, 3, 8, 64, 64)
    told = conditions_of(model, pictures, 4, maps)
    far = pictures.clone()
    far[:, [0, 3]] = 0.5
    near = pictures.clone()
    near[:, [1]] = 0.5
    for site, keys in told.references.keys.items():
        assert torch.equal(conditions_of(model, far, 4, maps).references.keys[site], keys)
        assert not torch.allclose(conditions_of(model, near, 4, maps).references.keys[site], keys)
    assert told.tokens.shape == (8, 2, TINY.token_width)
    assert told.mask[0, 0, :, 0, 0].tolist() == [1, 1, 0, 0, 0, 0, 1, 1]


def test_without_pose_maps_the_guider_is_silent(model):
    given = np.random.default_rng(1).integers(0, 255, (2, 64, 64, 3), np.uint8)
    dark = np.zeros((8, 64, 64, 3), np.uint8)
    way = Way(**LOW)
    plain = generate(model, given, 6, way=way)
    assert plain.shape == (8, 64, 64, 3)
    assert not np.array_equal(plain, generate(model, given, 6, dark, way=way))  # its biases are not zero here


def test_previews_show_the_middle_frame_and_change_nothing(model):
    given = np.random.default_rng(1).integers(0, 255, (2, 64, 96, 3), np.uint8)
    way, seen = Way(steps=4, sampler="dpm++"), []
    plain = generate(model, given, 6, way=way)
    assert np.array_equal(generate(model, given, 6, way=way, preview=seen.append), plain)
    assert [(picture.shape, picture.dtype) for picture in seen] == [((64, 96, 3), np.uint8)] * 3
    assert not np.array_equal(seen[0], seen[1])
    scarce = []
    generate(model, given, 6, way=way, thrift=Thrift(offload=True), preview=scarce.append)
    assert scarce == []
