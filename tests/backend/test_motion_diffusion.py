"""The Motion Diffusion Model: network, noise, weights, training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.motion.baselines import HERMITE, LINEAR
from vmg_backend.motion.features import tell, widths
from vmg_backend.motion.forward import Forward
from vmg_backend.motion.gap import PoseGap, Side, played_backwards, transformed
from vmg_backend.motion.mdm import MotionDiffusion
from vmg_backend.motion.network import MotionTransformer, Size
from vmg_backend.motion.regression import KINDS, Fit, Prior, Tables, features, kind, measures, straight
from vmg_backend.motion.schedule import ddim, signal_share
from vmg_backend.motion.weights import Weights
from vmg_backend.progress import Progress
from vmg_backend.training.mdm import RECIPES, Training, _fill_in

JOINTS = 5


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other make short steps slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def random_network(width=32, pairs=2):
    torch.manual_seed(3)
    network = MotionTransformer(Size(JOINTS, width, pairs, 4))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    return network


def random_weights(**size):
    tensors = {name: tensor.numpy() for name, tensor in random_network(**size).state_dict().items()}
    base = np.random.default_rng(0).uniform(-2e-4, 2e-4, (2, 3, 65, 64, 6)).astype(np.float32)
    base[..., 4:] = 0.0  # continuations count by the network alone
    spread = np.random.default_rng(1).uniform(0.01, 0.1, (2, 3, 65, 8)).astype(np.float32)
    spread[..., 2:] = 0.0  # accelerations of random poses are beyond all measure
    return Weights(tensors, 4, Tables(base, spread, np.full((2, 3, 65, 64), 0.3, np.float32)), {})


def model_of(weights, **options):
    return MotionDiffusion(weights, mirror=range(JOINTS), **options)


def random_gap(seed, context=3, length=9, sides=False):
    random = np.random.default_rng(seed)
    before, after, outgoing, incoming = (
        (300 + 100 * random.standard_normal((frames, JOINTS, 2))).astype(np.float32)
        for frames in (context, context, length, length)
    )
    sure = random.uniform(0.3, 1.0, (2, context, JOINTS)).astype(np.float32)
    side = np.full((length, JOINTS), 0.8, np.float32)
    both = (Side(outgoing, side), Side(incoming, side)) if sides else (None, None)
    return PoseGap(before, after, sure[0], sure[1], length, *both)


@pytest.mark.parametrize(("context", "length"), [(1, 1), (1, 12), (3, 24), (3, 64)])
def test_numpy_computes_what_torch_does(context, length):
    network = random_network()
    random = np.random.default_rng(0)
    frame, both = widths(JOINTS)
    rows = length + 2 * context
    arrays = [
        random.standard_normal(shape, dtype=np.float32)
        for shape in ((4, length, JOINTS, 2), (4, rows, frame), (4, both))
    ]
    noisy, frames, ends = map(torch.from_numpy, arrays)
    with torch.no_grad():
        expected = network(noisy, torch.full((4,), 0.37), frames, ends).numpy()
    forward = Forward({name: tensor.numpy() for name, tensor in network.state_dict().items()}, 4)
    found = forward(arrays[0], 0.37, arrays[1], arrays[2])
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_new_network_corrects_nothing():
    torch.manual_seed(0)
    network = MotionTransformer(Size(JOINTS, 32, 2, 4))
    frame, both = widths(JOINTS)
    with torch.no_grad():
        found = network(torch.randn(2, 7, JOINTS, 2), torch.rand(2), torch.randn(2, 13, frame), torch.randn(2, both))
    assert not found.any()


def test_signal_falls_from_all_to_none():
    shares = signal_share(np.linspace(0.0, 1.0, 101))
    assert shares[0] == pytest.approx(1.0)
    assert shares[-1] == pytest.approx(1e-4)
    assert (np.diff(shares) < 0.0).all()
    assert shares[50] == pytest.approx(np.cos(0.508 / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2)


def test_ddim_draws_from_the_distribution_that_its_network_knows():
    """For Gaussian data the best x0 is known in closed form; the walk must end with that mean and deviation."""
    mean, deviation = 2.0, 0.5

    def best(noisy, moment):
        share = float(signal_share(moment))
        gain = share**0.5 * deviation**2 / (share * deviation**2 + 1 - share)
        return (mean + gain * (noisy - share**0.5 * mean)).astype(np.float32)

    noise = np.random.default_rng(1).standard_normal(20000, dtype=np.float32)
    drawn = ddim(best, noise, 200)
    assert drawn.mean() == pytest.approx(mean, abs=0.02)
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    assert ddim(best, noise, 1).std() < 0.1  # one step gives the mean alone


def test_place_and_size_of_the_person_change_nothing_else():
    model = model_of(random_weights())
    gap = random_gap(5, sides=True)

    def moved(joints):
        return (joints * 1.7 + np.array([90.0, -40.0])).astype(np.float32)

    other = replace(
        gap,
        before=moved(gap.before),
        after=moved(gap.after),
        outgoing=Side(moved(gap.outgoing.joints), gap.outgoing.confidence),
        incoming=Side(moved(gap.incoming.joints), gap.incoming.confidence),
    )
    here, there = model.fill([gap, other], seed=4)
    assert np.abs(here - LINEAR.fill([gap])[0]).max() > 5.0
    np.testing.assert_allclose(there, moved(here), atol=0.02)


def test_a_mirrored_gap_and_one_played_backwards_are_filled_alike():
    model = model_of(random_weights())
    gap = random_gap(6, sides=True)

    def mirrored(joints):
        return joints * np.array([-1, 1], np.float32)

    here = model.fill([gap])[0]
    other = model.fill([transformed(gap, mirrored, lambda sure: sure)])[0]
    np.testing.assert_allclose(other, mirrored(here), atol=0.02)
    backwards = model.fill([played_backwards(gap)])[0]
    np.testing.assert_allclose(backwards, here[::-1], atol=0.02)


def test_equal_seeds_give_equal_motions():
    model = model_of(random_weights(), samples=2)
    gaps = [random_gap(1), random_gap(2, context=1), random_gap(3, length=4)]
    one, again, other = (model.fill(gaps, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not any(np.allclose(a, b, atol=1e-3) for a, b in zip(one, other, strict=True))
    np.testing.assert_allclose(model.fill([gaps[0]], 1)[0], one[0], atol=0.01)  # alone or among others


def test_both_continuations_are_read():
    model = model_of(random_weights())
    gap = random_gap(1, sides=True)
    without = replace(gap, outgoing=None, incoming=None)
    turned = replace(gap, outgoing=gap.incoming, incoming=gap.outgoing)
    drawn = [model.fill([one])[0] for one in (gap, without, turned)]
    assert all(np.abs(drawn[0] - other).max() > 0.2 for other in drawn[1:])


def test_unknown_joints_stay_unknown_and_harm_no_others():
    model = model_of(random_weights())
    gap = random_gap(1)
    gap.before[:, 1] = np.nan
    gap.confidence_before[:, 1] = 0.0
    gap.before[:, 2] = gap.after[:, 2] = np.nan
    gap.confidence_before[:, 2] = gap.confidence_after[:, 2] = 0.0
    filled = model.fill([gap])[0]
    assert np.isnan(filled[:, 2]).all()
    assert np.isfinite(np.delete(filled, 2, axis=1)).all()


def test_rows_hold_what_is_known():
    gap = random_gap(8, sides=True)
    prior = Prior(np.zeros((9, 6), np.float32), np.array([0.04] + 7 * [0.0], np.float32), np.ones(9, np.float32))
    told = tell([gap], prior)
    np.testing.assert_allclose(told.in_pixels(told.base)[0], LINEAR.fill([gap])[0], atol=1e-3)
    np.testing.assert_allclose(told.scale, 0.2, rtol=1e-5)
    rows = told.frames[0]
    assert rows.shape == (15, widths(JOINTS)[0])
    np.testing.assert_allclose(
        told.in_pixels(rows[None, :3, : 2 * JOINTS].reshape(1, 3, JOINTS, 2))[0], gap.before, atol=1e-3
    )
    outgoing = 0.2 * rows[3:12, 3 * JOINTS : 5 * JOINTS].reshape(1, 9, JOINTS, 2) + told.base
    np.testing.assert_allclose(told.in_pixels(outgoing)[0], gap.outgoing.joints, atol=1e-3)
    single = replace(
        gap,
        before=gap.before[-1:],
        after=gap.after[:1],
        confidence_before=gap.confidence_before[-1:],
        confidence_after=gap.confidence_after[:1],
    )
    per_side = 3 * JOINTS * 3
    alone, full = tell([single], prior).ends[0], told.ends[0]
    third = per_side // 3
    assert not alone[: 2 * third].any() and not alone[per_side + third : 2 * per_side].any()
    np.testing.assert_allclose(alone[2 * third : per_side], full[2 * third : per_side], atol=1e-6)
    np.testing.assert_allclose(alone[per_side : per_side + third], full[per_side : per_side + third], atol=1e-6)


def test_a_hermite_curve_is_one_choice_of_weights():
    """For velocities at the ends (of the last two frames) the cubic's weights are known in closed form."""
    gap = random_gap(3, length=11)
    u = (np.arange(11) + 1) / 12
    weights = np.zeros((11, 6), np.float32)
    weights[:, 0], weights[:, 1] = u * (1 - u) ** 2, -(u**2) * (1 - u)
    prior = Prior(weights, np.zeros(8, np.float32), np.ones(11, np.float32))
    line = straight([gap])
    found = prior.predict(line, features([gap], line))[0]
    start, end = gap.before[-1].astype(np.float64), gap.after[0].astype(np.float64)
    out, into = (start - gap.before[-2]) * 12, (gap.after[1] - end) * 12
    for k, t in enumerate(u):
        rise = 3 * t**2 - 2 * t**3
        curve = (1 - rise) * start + rise * end + (t - 2 * t**2 + t**3) * out + (t**3 - t**2) * into
        np.testing.assert_allclose(found[k], curve, atol=1e-3)


def test_the_base_is_the_least_squares_one():
    """Where all gaps are of one speed, the base is the plain least squares answer."""
    gaps = [random_gap(seed, length=5, sides=True) for seed in range(40)]
    truth = np.stack([random_gap(seed + 100, length=5).before[:1].repeat(5, 0) for seed in range(40)])
    sure = np.random.default_rng(0).uniform(0.2, 1.0, truth.shape[:3]).astype(np.float32)
    fit = Fit()
    size = np.full((40, 1, 1, 1), 50.0)
    fit.add(gaps[:25], truth[:25], sure[:25], size[:25])
    fit.add(gaps[25:], truth[25:], sure[25:], size[25:])
    prior = fit.prior()
    line = straight(gaps)
    known, missing = features(gaps, line), truth - line
    weight = sure / prior.scale(measures(gaps, known, size))[..., 0] ** 2
    for k in range(5):
        root = np.sqrt(weight[:, k, :, None]).repeat(2, axis=2)
        expected, *_ = np.linalg.lstsq(
            (known[:, k] * root[..., None]).reshape(-1, 6), (missing[:, k] * root).reshape(-1), rcond=None
        )
        np.testing.assert_allclose(prior.base[k], expected, atol=0.02)


def test_slow_gaps_are_expected_to_need_less():
    """Swings of very different sizes and one shape: what is expected grows as they do."""
    gaps, truth = [], []
    for seed, size in enumerate(np.geomspace(1.0, 100.0, 60)):
        swing = random_gap(seed % 5, length=8)
        joints = 300.0 + size / 100.0 * (np.concatenate([swing.before, swing.before[:2], swing.after]) - 300.0)
        gaps.append(replace(swing, before=joints[:3].astype(np.float32), after=joints[5:].astype(np.float32)))
        truth.append(300.0 + size / 100.0 * (random_gap(seed % 5 + 50, length=8).before[:1].repeat(8, 0) - 300.0))
    fit = Fit()
    size = np.full((60, 1, 1, 1), 100.0)
    fit.add(gaps, np.stack(truth).astype(np.float32), np.ones((60, 8, JOINTS), np.float32), size)
    prior = fit.prior()
    line = straight(gaps)
    known = features(gaps, line)
    scale = prior.scale(measures(gaps, known, size)).ravel()
    missed = np.sqrt(np.mean(((truth - prior.predict(line, known)) / 100.0) ** 2, axis=(1, 2, 3)))
    ratio = missed / scale
    assert scale[-1] / scale[0] == pytest.approx(100.0, rel=0.5)
    assert ratio.min() > 0.4 and ratio.max() < 2.5
    assert np.sqrt(np.mean(ratio**2)) == pytest.approx(1.0, rel=0.1)
    assert prior.sigma.mean() == pytest.approx(1.0, rel=0.2)


def test_kinds_of_gaps():
    gap = random_gap(1)
    sure = np.ones_like(gap.confidence_before)
    assert [KINDS[kind(one)] for one in (gap, random_gap(1, sides=True))] == ["estimated", "continued"]
    assert KINDS[kind(replace(gap, confidence_before=sure, confidence_after=sure))] == "exact"


def test_weights_come_back_as_they_were_written(tmp_path):
    weights = random_weights()
    path = tmp_path / "w.safetensors"
    replace(weights, about={"recipe": {"name": "ä"}}).save(path)
    found = Weights.load(path)
    assert found.about == {"recipe": {"name": "ä"}}
    assert found.heads == 4
    for name, tensor in weights.tensors.items():
        np.testing.assert_allclose(found.tensors[name], tensor, rtol=1e-3, atol=1e-6)
    for name, table in vars(weights.tables).items():
        np.testing.assert_array_equal(getattr(found.tables, name), table)


def test_other_files_are_refused_in_a_sentence(tmp_path):
    from safetensors.numpy import save_file

    torn, other = tmp_path / "torn.safetensors", tmp_path / "other.safetensors"
    torn.write_bytes(b"no weights")
    save_file({"a": np.zeros(3, np.float32)}, other)
    for path in (tmp_path / "none", torn, other):
        with pytest.raises(UserError, match=path.name):
            Weights.load(path)


@dataclass(frozen=True)
class Circles:
    """Joints that run around circles, half a turn and more within a gap."""

    before: np.ndarray
    truth: np.ndarray
    after: np.ndarray

    @classmethod
    def draw(cls, random, count, context, length):
        times = np.arange(length + 2 * context)[None, :, None]
        phase = random.uniform(0, 2 * np.pi, (count, 1, JOINTS))
        angle = phase + random.uniform(0.2, 0.35, (count, 1, 1)) * times
        radius = np.linspace(40.0, 90.0, JOINTS)
        joints = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * radius[:, None] + 200.0
        return cls(*np.split(joints.astype(np.float32), [context, context + length], axis=1))

    @property
    def confidence(self):
        return np.ones(self.truth.shape[:3], np.float32)

    def gaps(self):
        sure = np.ones(self.before.shape[1:3], np.float32)
        return [PoseGap(a, b, sure, sure, self.truth.shape[1]) for a, b in zip(self.before, self.after, strict=True)]


def test_lengths_that_were_not_drawn_take_after_their_neighbours():
    tables = Tables(
        np.zeros((1, 2, 11, 10, 6), np.float32),
        np.zeros((1, 2, 11, 8), np.float32),
        np.ones((1, 2, 11, 10), np.float32),
    )
    met = np.zeros((1, 2, 11), bool)
    met[0, 0, 4] = True
    tables.base[0, 0, 4, :4, 2], tables.sigma[0, 0, 4, :4] = [1.0, 2.0, 3.0, 4.0], [0.2, 0.4, 0.6, 0.8]
    tables.spread[0, 0, 4] = 0.7
    _fill_in(tables, met)
    np.testing.assert_allclose(tables.sigma[0, 0, 9, :9], np.clip(np.arange(1, 10) / 10, 0.2, 0.8), atol=1e-6)
    np.testing.assert_allclose(tables.base[0, 0, 9, :9, 2], np.clip(np.arange(1, 10) / 2, 1.0, 4.0), atol=1e-6)
    np.testing.assert_allclose(tables.spread[0, 0, 9], 0.7)
    assert not tables.base[0, 1].any()  # nothing to take after
    assert (tables.sigma[0, 1] == 1.0).all()


def test_a_miniature_learns_curved_motion(tmp_path):
    training = Training(Circles.draw, JOINTS, replace(RECIPES["tiny"], steps=250, longest=16))
    training.run(tmp_path / "state")
    model = model_of(training.weights({}))
    lesson = Circles.draw(np.random.default_rng(99), 200, 3, 14)
    error = {
        method.name: np.linalg.norm(np.stack(method.fill(lesson.gaps())) - lesson.truth, axis=-1).mean()
        for method in (LINEAR, HERMITE, model)
    }
    assert error["mdm"] < 0.8 * min(error["linear"], error["hermite"])


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(tmp_path):
    recipe = replace(RECIPES["tiny"], steps=6, batch=4, longest=6)
    whole = Training(Circles.draw, JOINTS, recipe)
    whole.run(tmp_path / "whole")

    stopped = Training(Circles.draw, JOINTS, recipe)

    def stop(fraction, stage):
        if stopped.step == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        stopped.run(tmp_path / "state", Progress(stop))
    resumed = Training(Circles.draw, JOINTS, recipe)
    resumed.resume(tmp_path / "state")
    assert resumed.step == 3
    resumed.run(tmp_path / "state")
    for name, tensor in whole.weights({}).tensors.items():
        np.testing.assert_array_equal(resumed.weights({}).tensors[name], tensor)


def test_another_recipes_state_is_refused(tmp_path):
    recipe = replace(RECIPES["tiny"], steps=1, batch=4, longest=4)
    Training(Circles.draw, JOINTS, recipe).run(tmp_path / "state")
    with pytest.raises(UserError, match="another recipe"):
        Training(Circles.draw, JOINTS, replace(recipe, width=16)).resume(tmp_path / "state")


def test_a_damaged_state_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "state").write_bytes(b"torn")
    with pytest.raises(UserError, match="state cannot be read"):
        Training(Circles.draw, JOINTS, RECIPES["tiny"]).resume(tmp_path / "state")
