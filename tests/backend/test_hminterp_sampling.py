"""The loop of HMInterp: schedulers, guidance, given frames, long gaps; with callables that know the truth."""

import copy
import itertools
import threading
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler  # noqa: E402

from vmg_backend.errors import Cancelled, UserError  # noqa: E402
from vmg_backend.interpolation.hminterp.config import TINY  # noqa: E402
from vmg_backend.interpolation.hminterp.denoiser import Denoiser  # noqa: E402
from vmg_backend.interpolation.hminterp.fusion import Fusion, Tiles, draw_noise  # noqa: E402
from vmg_backend.interpolation.hminterp.reference import ReferenceNet  # noqa: E402
from vmg_backend.interpolation.hminterp.sampling import Conditions, sample  # noqa: E402
from vmg_backend.interpolation.hminterp.schedulers import MOMENTS, Noise, make_scheduler  # noqa: E402
from vmg_backend.progress import Progress  # noqa: E402

PLAIN = replace(TINY, seed="guider", guidance=1.0)
"""The denoiser gets the noisy latents alone, once a step."""
KINDS = [
    replace(PLAIN, betas=betas, prediction=prediction, zero_snr=zero, sampler=sampler)
    for betas in ("linear", "scaled_linear")
    for prediction, zero in (("v_prediction", True), ("v_prediction", False), ("epsilon", False))
    for sampler in ("ddim", "dpm++")
]


def names(config):
    return "-".join(str(x) for x in (config.betas, config.prediction, config.zero_snr, config.sampler))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def powers(config):
    """Share of the signal's power at each moment, from the definitions (and Lin et al. 2024, algorithm 1)."""
    if config.betas == "linear":
        betas = torch.linspace(config.beta_start, config.beta_end, MOMENTS, dtype=torch.float64)
    else:
        betas = torch.linspace(config.beta_start**0.5, config.beta_end**0.5, MOMENTS, dtype=torch.float64) ** 2
    roots = (1 - betas).cumprod(0).sqrt()
    if config.zero_snr:
        roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    return roots**2


def oracle(config, truth):
    """Says exactly what is right for a noisy picture of `truth`."""
    kept = powers(config)

    def said(noisy, moment, *_):
        signal, noise = (x[moment].sqrt().view(-1, 1, 1, 1, 1).float() for x in (kept, 1 - kept))
        if config.prediction == "epsilon":
            return (noisy - signal * truth) / noise
        return (signal * noisy - truth) / noise

    return said


def conditions(config=PLAIN, frames=None, batch=1, side=4, seed=5):
    frames = config.frames if frames is None else frames
    mask = torch.zeros(batch, 1, frames, side, side)
    mask[:, :, : config.context] = mask[:, :, -config.context :] = 1
    return Conditions(
        tokens=normal(batch * frames, 2, config.token_width, seed=seed),
        added=normal(batch * frames, config.channels[0], side, side, seed=seed + 1),
        seed=normal(batch, config.latent_channels, frames, side, side, seed=seed + 2),
        mask=mask,
    )


def waves(noisy, moment, tokens, added, references, light):
    """A denoiser that mixes neighbouring frames and all conditions, and forgets nothing of them."""
    frames = noisy.shape[2]
    near = (noisy.roll(1, 2) + noisy + noisy.roll(-1, 2)) / 3
    token = tokens.mean((1, 2)).view(-1, 1, frames, 1, 1)
    place = added.mean(1).view(-1, 1, frames, *noisy.shape[3:])
    return torch.tanh(near[:, :4] + token + 0.3 * place + moment.view(-1, 1, 1, 1, 1) / 1000)


# --- schedulers


@pytest.mark.parametrize("config", KINDS[::2], ids=names)
def test_the_noise_follows_the_definitions(config):
    law = Noise.of(config)
    assert torch.allclose(law.kept.double(), powers(config), atol=2e-6)
    assert (law.kept[-1] == 0) == config.zero_snr


@pytest.mark.parametrize("config", KINDS[::2], ids=names)
def test_clean_and_prediction_round_trip(config):
    law = Noise.of(config)
    clean, noise = normal(6, 4, 3, 2, 2), normal(6, 4, 3, 2, 2, seed=1)
    moment = torch.tensor([0, 1, 250, 500, 900, 999 if config.prediction == "v_prediction" else 950])
    noisy, said = law.noisy(clean, noise, moment), law.target(clean, noise, moment)
    truth = DDIMScheduler(
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.betas,
        rescale_betas_zero_snr=config.zero_snr,
    )
    assert torch.allclose(noisy, truth.add_noise(clean, noise, moment), atol=1e-6)
    if config.prediction == "v_prediction":
        assert torch.allclose(said, truth.get_velocity(clean, noise, moment), atol=1e-6)
    assert torch.allclose(law.clean(said, noisy, moment), clean, atol=2e-5)


def test_epsilon_at_zero_snr_is_refused():
    with pytest.raises(UserError, match="epsilon"):
        Noise.of(replace(PLAIN, prediction="epsilon"))


@pytest.mark.parametrize("steps", [8, 12, 15, 25])
@pytest.mark.parametrize("config", KINDS, ids=names)
def test_an_oracle_is_followed_to_the_clean_picture(config, steps):
    given = replace(conditions(config), seed=torch.zeros(1, 4, 8, 4, 4))
    truth = normal(1, 4, 8, 4, 4, seed=9)
    free = replace(config, renoise_given=False)
    assert make_scheduler(free, steps).timesteps[0] == 999
    made = sample(oracle(free, truth), given, free, seed=3, steps=steps)
    assert (made - truth).abs().max() < 1e-5


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize("steps", [8, 20, 25])
def test_ddim_is_that_of_diffusers(zero, steps):
    """Where diffusers' own strides are whole; at zero SNR its solver of order one begins at 2^-12 of the signal."""
    config = replace(PLAIN, zero_snr=zero, renoise_given=False)
    given = conditions(config)
    theirs = DDIMScheduler(
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        beta_schedule=config.betas,
        rescale_betas_zero_snr=zero,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
        clip_sample=False,
    )
    theirs.set_timesteps(steps)
    x = draw_noise((1, 4, 8, 4, 4), 8, 1, 3, Fusion())
    for time in theirs.timesteps:
        x = theirs.step(waves(x, time, given.tokens, given.added, None, None), time, x).prev_sample
    made = sample(waves, given, config, seed=3, steps=steps)
    assert (made - x).norm() / x.norm() < (5e-4 if zero else 1e-5)


def test_dpm_is_that_of_diffusers_and_other_than_ddim():
    config = replace(PLAIN, sampler="dpm++", renoise_given=False)
    given = conditions(config)
    theirs = DPMSolverMultistepScheduler(
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        prediction_type="v_prediction",
    )
    theirs.set_timesteps(12)
    x = draw_noise((1, 4, 8, 4, 4), 8, 1, 3, Fusion())
    for time in theirs.timesteps:
        x = theirs.step(waves(x, time, given.tokens, given.added, None, None), time, x).prev_sample
    assert torch.equal(sample(waves, given, config, seed=3, steps=12), x)
    assert not torch.allclose(sample(waves, given, config, seed=3, steps=12, sampler="ddim"), x, atol=1e-2)


@pytest.mark.parametrize(("spacing", "steps"), [
    *(("trailing", steps) for steps in (1, 2, 12, 61, 103, 121, 1000)), ("leading", 12), ("linspace", 12),
])  # fmt: skip
def test_there_are_as_many_steps_as_were_asked_for(spacing, steps):
    moments = make_scheduler(replace(PLAIN, spacing=spacing), steps).timesteps.tolist()
    assert len(moments) == steps
    assert moments == sorted(set(moments), reverse=True)
    assert moments[0] <= 999
    assert moments[-1] >= 0


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_steps_are_refused(steps):
    with pytest.raises(UserError, match=str(steps)):
        make_scheduler(PLAIN, steps)


# --- the loop


def test_the_same_seed_gives_the_same_frames():
    made = [sample(waves, conditions(), PLAIN, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(made[0], made[1])
    assert not torch.allclose(made[0], made[2], atol=1e-2)


def test_given_frames_end_as_their_own_latents():
    given = conditions()
    made = sample(waves, given, PLAIN, seed=1)
    where = given.mask.bool().expand_as(made)
    assert torch.equal(made[where], given.seed[where])
    free = sample(waves, given, replace(PLAIN, renoise_given=False), seed=1)
    assert not torch.allclose(free[where], given.seed[where], atol=1e-2)


def test_given_frames_are_renoised_at_each_step():
    seen = []

    def watch(noisy, moment, *rest):
        seen.append((noisy, moment))
        return waves(noisy, moment, *rest)

    given = conditions()
    sample(watch, given, PLAIN, seed=1)
    start = draw_noise(tuple(given.seed.shape), 8, 1, 1, Fusion())
    kept = powers(PLAIN)
    for noisy, moment in seen:
        signal, noise = (float(x[moment].sqrt()) for x in (kept, 1 - kept))
        for frame in (0, 7):
            assert torch.allclose(
                noisy[:, :, frame], signal * given.seed[:, :, frame] + noise * start[:, :, frame], atol=1e-5
            )


def test_a_widened_denoiser_gets_seed_and_mask():
    given = conditions()

    def look(noisy, *_):
        assert noisy.shape[1] == TINY.input_channels == 9
        assert torch.equal(noisy[:, 4:8], given.seed)
        assert torch.equal(noisy[:, 8:], given.mask)
        return noisy[:, :4]

    sample(look, given, TINY, seed=1, guidance=1.0)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    denoiser = Denoiser(TINY).eval()
    for parameter in denoiser.parameters():  # the zero-initialised ones say nothing yet
        parameter.data += 0.02 * torch.randn_like(parameter)
    given = replace(
        conditions(TINY, batch=2, side=8),
        references=references(denoiser),
        light=[normal(16, 32, 8, 8, seed=7), normal(16, 64, 4, 4, seed=8)],
    )
    return denoiser, given


def references(denoiser):
    torch.manual_seed(1)
    with torch.no_grad():
        bank = ReferenceNet(TINY).eval()(normal(4, 4, 8, 8), normal(4, 2, TINY.token_width))
        return denoiser.references(bank, 2)


@pytest.mark.parametrize("light", [True, False])
def test_guidance_in_one_batch_equals_two_passes(network, light):
    denoiser, given = network
    given = given if light else replace(given, light=None)
    one = sample(denoiser, given, TINY, seed=1, steps=3, guidance=3.5)
    two = sample(denoiser, given, TINY, seed=1, steps=3, guidance=3.5, two_pass=True)
    assert (one - two).abs().max() < 1e-5 * one.abs().max()
    assert not torch.allclose(one, sample(denoiser, given, TINY, seed=1, steps=3, guidance=2.0), atol=1e-3)


def test_guidance_follows_its_equation():
    asked = []

    def said(noisy, moment, tokens, added, references, light):
        asked.append(tokens.abs().sum())
        return waves(noisy, moment, tokens, added, references, light)

    given = conditions()
    blind = replace(given, tokens=torch.zeros_like(given.tokens))

    def by_hand(noisy, moment, *_):
        free, bound = (waves(noisy, moment, c.tokens, c.added, None, None) for c in (blind, given))
        return free + 2.5 * (bound - free)

    expected = sample(by_hand, given, PLAIN, seed=1)
    assert torch.allclose(sample(said, given, PLAIN, seed=1, guidance=2.5, two_pass=True), expected, atol=1e-5)
    assert [bool(x) for x in asked] == [False, True] * PLAIN.steps


def test_guidance_one_is_no_guidance(network):
    denoiser, given = network
    calls = []

    def count(noisy, *rest):
        calls.append(len(noisy))
        return denoiser(noisy, *rest)

    class Bound(torch.nn.Module):
        """What a loop without any guidance would call."""

        def forward(self, noisy, moment, *_):
            return denoiser(noisy, moment, given.tokens, given.added, given.references, given.light)

    off = sample(Bound(), given, TINY, seed=1, steps=2, guidance=1.0)
    for two_pass in (False, True):
        assert torch.equal(off, sample(count, given, TINY, seed=1, steps=2, guidance=1.0, two_pass=two_pass))
    assert calls == [2] * 4


def test_progress_comes_before_every_call():
    told = []
    sample(waves, conditions(), PLAIN, seed=1, progress=Progress(lambda fraction, _: told.append(fraction)))
    assert told == [0, 0.25, 0.5, 0.75]
    told.clear()
    long = conditions(frames=14)
    sample(
        waves,
        long,
        PLAIN,
        seed=1,
        steps=2,
        guidance=2.0,
        two_pass=True,
        progress=Progress(lambda fraction, _: told.append(fraction)),
    )
    assert told == [k / 12 for k in range(12)]  # 3 tiles, 2 steps, 2 passes


@pytest.mark.parametrize("frames", [8, 14])
@pytest.mark.parametrize("two_pass", [True, False])
def test_a_cancel_waits_for_one_call_at_most(frames, two_pass):
    wish, calls = threading.Event(), []

    def said(noisy, *rest):
        calls.append(1)
        if len(calls) == 4:
            wish.set()  # while the denoiser runs
        return waves(noisy, *rest)

    with pytest.raises(Cancelled):
        sample(
            said,
            conditions(frames=frames),
            PLAIN,
            seed=1,
            steps=20,
            guidance=2.0,
            two_pass=two_pass,
            progress=Progress(cancelled=wish),
        )
    assert len(calls) == 4


def test_previews_show_what_becomes():
    truth, shown = normal(1, 4, 8, 4, 4, seed=9), []
    given = conditions()
    sample(oracle(PLAIN, truth), given, PLAIN, seed=1, steps=20, preview=shown.append)
    assert len(shown) == 3
    expected = torch.where(given.mask.bool(), given.seed, truth)
    for picture in shown:
        assert torch.allclose(picture, expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_inside_the_denoiser(dtype):
    """A half denoiser that knows the truth leaves its own rounding, and no more: the rest is float32."""
    truth = normal(1, 4, 8, 4, 4, seed=9)
    config = replace(PLAIN, renoise_given=False)
    exact = oracle(config, truth)

    def half(noisy, *rest):
        assert noisy.dtype == torch.float32
        return exact(noisy, *rest).to(dtype)

    given = replace(conditions(config), tokens=conditions(config).tokens.to(dtype), added=None)
    made = sample(half, given, config, seed=1, steps=25)
    assert made.dtype == torch.float32
    assert (made - truth).abs().max() < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_network_in_half_precision_says_about_the_same(network, dtype):
    denoiser, given = network
    exact = sample(denoiser, given, TINY, seed=1, steps=2)
    half = copy.deepcopy(denoiser).to(dtype)
    rough = sample(half, replace(given, references=references(half)), TINY, seed=1, steps=2)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.05 * exact.norm()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_ran_over_are_told(bad):
    def said(noisy, *_):
        made = noisy.clone()
        made[0, 0, 3, 0, 0] = bad
        return made.half()

    with pytest.raises(UserError, match="bf16 or fp32"):
        sample(said, conditions(), PLAIN, seed=1)


# --- long gaps


def slow_shares(starts, made, gap, law):
    """Shares of every tile in every frame of the gap, frame by frame."""
    table = [[0.0] * gap for _ in starts]
    for frame in range(gap):
        seeing = [i for i, start in enumerate(starts) if start <= frame < start + made]
        if law == "code":
            tent = {i: min(frame - starts[i] + 0.5, made - (frame - starts[i]) - 0.5) for i in seeing}
            for i in seeing:
                table[i][frame] = tent[i] / sum(tent.values())
            continue
        left = 1.0
        for i in reversed(seeing):  # a later tile covers what the earlier ones agreed on
            overlap = starts[i - 1] + made - starts[i] if i else 0
            place = frame - starts[i] + 1
            share = place / (overlap + 1) if place <= overlap else 1.0
            table[i][frame] = left * share
            left *= 1 - share
    return torch.tensor(table)


@pytest.mark.parametrize("law", ["code", "paper"])
@pytest.mark.parametrize(("whole", "frames", "context", "overlap"), [
    (18, 18, 3, 6), (24, 18, 3, 6), (31, 18, 3, 6), (100, 18, 3, 6), (14, 8, 1, 3), (21, 8, 1, None), (40, 14, 3, 7),
    (12, 8, 1, 0), (30, 8, 1, 5),
])  # fmt: skip
def test_tiles_cover_the_gap_and_shares_add_up(law, whole, frames, context, overlap):
    tiles = Tiles.plan(whole, frames, context, Fusion(law, overlap))
    made, gap = frames - 2 * context, whole - 2 * context
    given = [*range(context)], [*range(whole - context, whole)]
    table = torch.zeros(len(tiles.frames), whole)
    starts = []
    for row, seen in enumerate(tiles.frames.tolist()):
        start = seen[context]
        starts.append(start - context)
        assert seen == given[0] + [*range(start, start + made)] + given[1]
        table[row, seen] = tiles.shares[row]
    assert starts[0] == 0
    assert starts[-1] == gap - made  # aligned to the end
    asked = made // 2 if overlap is None else overlap
    assert all(a < b and a + made - b >= asked for a, b in itertools.pairwise(starts))
    assert torch.allclose(table.sum(0), torch.ones(whole))
    assert (table >= 0).all()
    assert (table[0, :context] == 1).all()
    assert (table[-1, whole - context :] == 1).all()
    assert torch.allclose(table[:, context : whole - context], slow_shares(starts, made, gap, law))


def test_the_published_shares_of_six_overlapping_frames():
    """Study of MimicMotion's code and paper: a tile's share in an overlap of six frames."""
    code, paper = (Tiles.plan(18 + 2, 12 + 2, 1, Fusion(law, 6)).shares[1, 1:7] for law in ("code", "paper"))
    assert torch.allclose(code, (torch.arange(6) + 0.5) / 6)
    assert torch.allclose(paper, torch.tensor([0.14, 0.29, 0.43, 0.57, 0.71, 0.86]), atol=5e-3)


@pytest.mark.parametrize(("whole", "overlap"), [(7, None), (14, 6), (14, 9), (14, -1)])
def test_tiles_that_do_not_exist_are_refused(whole, overlap):
    with pytest.raises(ValueError, match="tiles"):
        Tiles.plan(whole, 8, 1, Fusion(overlap=overlap))


@pytest.mark.parametrize("law", ["code", "paper"])
@pytest.mark.parametrize("noise", ["repeated", "free"])
def test_a_gap_of_one_tile_is_the_short_gap(network, law, noise):
    """Against the loop written out, with no tiles in it."""
    denoiser, given = network
    rule = Noise.of(TINY)
    scheduler = make_scheduler(TINY, 3)
    start = torch.randn(given.seed.shape, generator=torch.Generator().manual_seed(4))
    x, known = start, given.mask.bool()
    with torch.no_grad():
        for time in scheduler.timesteps.tolist():
            moment = torch.full((2,), time)
            x = torch.where(known, rule.noisy(given.seed, start, moment), x)
            wide = torch.cat([x, given.seed, given.mask], 1)
            said = denoiser(wide, moment, given.tokens, given.added, given.references, given.light)
            x = scheduler.step(said, time, x).prev_sample
    x = torch.where(known, given.seed, x)
    made = sample(denoiser, given, TINY, seed=4, steps=3, guidance=1.0, fusion=Fusion(law, noise=noise))
    assert torch.equal(made, x)


@pytest.mark.parametrize("law", ["code", "paper"])
@pytest.mark.parametrize("sampler", ["ddim", "dpm++"])
def test_a_long_gap_is_the_papers_loop(law, sampler):
    """Each tile steps on its own, and the latents are joined after the step: MimicMotion's equation, written out."""
    whole, config = 17, replace(PLAIN, sampler=sampler)
    given = conditions(frames=whole)
    rule = Noise.of(config)
    starts = [0, 3, 6, 9]
    start = draw_noise(tuple(given.seed.shape), 8, 1, 4, Fusion())
    table = slow_shares(starts, 6, whole - 2, law)
    seen = [[0, *range(first + 1, first + 7), whole - 1] for first in starts]
    steppers = [make_scheduler(config, 5) for _ in starts]
    x, known = start, given.mask.bool()
    for time in steppers[0].timesteps.tolist():
        x = torch.where(known, rule.noisy(given.seed, start, torch.tensor([time])), x)
        after = torch.zeros_like(x)
        for tile, frames in enumerate(seen):
            said = waves(x[:, :, frames], torch.tensor([time]), given.tokens[frames], given.added[frames], None, None)
            stepped = steppers[tile].step(said, time, x[:, :, frames]).prev_sample
            for place, frame in enumerate(frames[1:-1], 1):
                after[:, :, frame] += table[tile, frame - 1] * stepped[:, :, place]
        x = after
    x = torch.where(known, given.seed, x)
    made = sample(waves, given, config, seed=4, steps=5, fusion=Fusion(law, 3))
    assert (made - x).abs().max() < 1e-5


def test_a_long_gap_begins_and_ends_as_short_ones_where_the_network_is_local():
    """A denoiser that looks at nothing beside its frame makes a long gap's frames as a short one's."""

    def local(noisy, moment, tokens, added, references, light):
        return torch.tanh(noisy + tokens.mean((1, 2)).view(len(noisy), 1, -1, 1, 1))

    long = conditions(frames=23)
    made = sample(local, long, PLAIN, seed=2, fusion=Fusion("paper", 3))
    first = long.tile(torch.tensor([*range(7), 22]))
    short = sample(local, first, PLAIN, seed=2)
    assert torch.allclose(made[:, :, :7], short[:, :, :7], atol=1e-5)
    assert torch.allclose(made[:, :, 22], short[:, :, 7], atol=1e-5)


def test_one_tiles_noise_is_repeated_or_all_of_it_is_new():
    again = draw_noise((1, 4, 20, 2, 2), 8, 1, 7, Fusion(noise="repeated"))
    tile = draw_noise((1, 4, 8, 2, 2), 8, 1, 7, Fusion())
    assert torch.equal(again[:, :, 0], tile[:, :, 0])
    assert torch.equal(again[:, :, -1], tile[:, :, -1])
    for frame in range(18):
        assert torch.equal(again[:, :, 1 + frame], tile[:, :, 1 + frame % 6])
    free = draw_noise((1, 4, 20, 2, 2), 8, 1, 7, Fusion(noise="free")).flatten(3).movedim(2, 0).flatten(1)
    assert len(torch.unique(free, dim=0)) == 20


def test_conditions_of_a_tile_are_those_of_its_frames(network):
    _, given = network
    frames = torch.tensor([0, 3, 7])
    some = given.tile(frames)
    for gap in range(2):
        for place, frame in enumerate(frames.tolist()):
            assert torch.equal(some.tokens[gap * 3 + place], given.tokens[gap * 8 + frame])
            assert torch.equal(some.added[gap * 3 + place], given.added[gap * 8 + frame])
            for mine, whole in zip(some.light, given.light, strict=True):
                assert torch.equal(mine[gap * 3 + place], whole[gap * 8 + frame])
            assert torch.equal(some.seed[gap, :, place], given.seed[gap, :, frame])
    assert some.references is given.references
