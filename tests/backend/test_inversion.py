"""DDIM inversion: there and back, against equation 6 written out, and where it is exact."""

import itertools
import threading
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from vmg_backend.errors import Cancelled  # noqa: E402
from vmg_backend.interpolation.hminterp.config import TINY  # noqa: E402
from vmg_backend.interpolation.hminterp.inversion import invert  # noqa: E402
from vmg_backend.interpolation.hminterp.sampling import Conditions, sample  # noqa: E402
from vmg_backend.interpolation.hminterp.schedulers import MOMENTS, make_scheduler  # noqa: E402
from vmg_backend.progress import Progress  # noqa: E402

FREE = replace(TINY, seed="guider", guidance=1.0, renoise_given=False)
KINDS = [
    replace(FREE, prediction="v_prediction", zero_snr=True),
    replace(FREE, prediction="v_prediction", zero_snr=False),
    replace(FREE, prediction="epsilon", zero_snr=False),
]


def names(config):
    return f"{config.prediction}{'-zero' * config.zero_snr}"


def told(config, frames=None):
    frames = frames or config.frames
    given = torch.zeros(1, 1, frames, 4, 4)
    return Conditions(torch.zeros(frames, 2, 32), None, torch.zeros(1, 4, frames, 4, 4), given)


def latents(frames=TINY.frames):
    return torch.randn(1, 4, frames, 4, 4, generator=torch.Generator().manual_seed(2))


def waves(noisy, moment, *_):
    """A denoiser that mixes neighbouring frames."""
    near = (noisy.roll(1, 2) + noisy + noisy.roll(-1, 2)) / 3
    return torch.tanh(near + moment.view(-1, 1, 1, 1, 1) / 1000)


def there_and_back(denoiser, config, clean, steps):
    conditions = told(config, clean.shape[2])
    start = invert(denoiser, conditions, config, clean, steps=steps)
    return sample(denoiser, conditions, config, seed=0, steps=steps, sampler="ddim", start=start)


@pytest.mark.parametrize("config", KINDS, ids=names)
def test_what_was_inverted_comes_back_the_better_the_more_steps(config):
    clean = latents()
    errors = [
        ((there_and_back(waves, config, clean, steps) - clean).norm() / clean.norm()).item()
        for steps in (20, 40, 80, 160)
    ]
    assert errors[-1] < 0.035
    assert all(later < 0.6 * earlier for earlier, later in itertools.pairwise(errors)), errors


@pytest.mark.parametrize("config", KINDS, ids=names)
def test_it_is_equation_6(config):
    """By a loop of its own, in double precision; v is turned into eps by its definition."""
    steps, clean = 10, latents()
    kept = make_scheduler(config, steps).alphas_cumprod.double()
    if config.zero_snr:
        assert kept[-1] == 2.0**-24
    moments = [MOMENTS * step // steps - 1 for step in range(1, steps + 1)]
    z, a_before, asked = clean.double(), torch.tensor(1.0).double(), 0
    for moment in moments:
        said = waves(z, torch.tensor([asked]))
        share = kept[asked]
        eps = said if config.prediction == "epsilon" else share.sqrt() * said + (1 - share).sqrt() * z
        a = kept[moment]
        z = (a / a_before).sqrt() * (z - (1 - a_before).sqrt() * eps) + (1 - a).sqrt() * eps
        a_before, asked = a, moment
    ours = invert(waves, told(config), config, clean, steps=steps)
    # float32 divides by the signal's last share, where there is little left of it
    assert ((ours - z).norm() / z.norm()).item() < 2e-4


def test_with_noise_that_is_known_it_is_exact():
    """A network that means one and the same noise at every moment makes no error of discretization."""
    config, clean, noise = KINDS[2], latents(), latents().flip(2)
    start = invert(lambda *_: noise, told(config), config, clean, steps=7)
    kept = make_scheduler(config, 7).alphas_cumprod[-1]
    assert torch.allclose(start, kept.sqrt() * clean + (1 - kept).sqrt() * noise, atol=1e-5)
    assert torch.allclose(there_and_back(lambda *_: noise, config, clean, 7), clean, atol=1e-4)


def test_long_gaps_go_through_tiles():
    config, clean = KINDS[0], latents(TINY.frames + 7)
    back = there_and_back(waves, config, clean, 160)
    assert ((back - clean).norm() / clean.norm()).item() < 0.06
    seen = []

    def counted(noisy, moment, *_):
        seen.append(noisy.shape[2])
        return waves(noisy, moment)

    invert(counted, told(config, clean.shape[2]), config, clean, steps=2)
    assert set(seen) == {TINY.frames}
    assert len(seen) > 2


def test_a_cancel_is_heard():
    stop, calls = threading.Event(), []

    def denoiser(noisy, moment, *_):
        calls.append(int(moment[0]))
        stop.set()
        return noisy

    with pytest.raises(Cancelled):
        invert(denoiser, told(FREE), FREE, latents(), steps=4, progress=Progress(cancelled=stop))
    assert calls == [0]
