"""The light reference: without effect at first, one or two references, fit for every level of the denoiser."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from vmg_backend.interpolation.hminterp.config import FULL, TINY
from vmg_backend.interpolation.hminterp.denoiser import Denoiser
from vmg_backend.interpolation.hminterp.light_reference import LightReference, over_frames

CONFIG = replace(TINY, reference="light", frames=6)
FRAMES = CONFIG.frames


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other make short steps slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(5)
    yield
    torch.set_num_threads(threads)


def trained():
    reference = LightReference(CONFIG)
    for layer in reference.leave:
        torch.nn.init.normal_(layer.weight, std=0.1)
        torch.nn.init.normal_(layer.bias, std=0.1)
    return reference


def inputs(gaps=1, height=5, width=7):
    """What a denoiser is asked, at a size that no level halves evenly."""
    noisy = torch.randn(gaps, CONFIG.input_channels, FRAMES, height, width)
    return noisy, torch.full((gaps,), 500), torch.randn(gaps * FRAMES, 2, CONFIG.token_width)


def test_untrained_it_changes_nothing():
    denoiser, asked = Denoiser(CONFIG), inputs()
    features = LightReference(CONFIG)(torch.rand(1, 2, 3, 40, 56))
    with torch.no_grad():
        plain, light = denoiser(*asked), denoiser(*asked, light=over_frames(features, FRAMES, CONFIG.context))
    assert all(not level.any() for level in features)
    assert torch.equal(plain, light)


def test_trained_it_changes_every_frame_by_its_own_references():
    denoiser, reference = Denoiser(CONFIG), trained()  # motion modules add nothing yet: no frame sees another one
    asked = inputs(gaps=2)
    pictures = torch.rand(2, 2, 3, 40, 56)
    other = pictures.clone()
    other[1, 1] = torch.rand(3, 40, 56)  # another end of the second gap
    with torch.no_grad():
        plain = denoiser(*asked)
        made, from_other = (
            denoiser(*asked, light=over_frames(reference(each), FRAMES, CONFIG.context)) for each in (pictures, other)
        )
    assert (made - plain).abs().amax((1, 3, 4)).min() > 1e-4
    changed = (made - from_other).abs().amax((1, 3, 4)) > 1e-5
    assert changed.tolist() == [[False] * FRAMES, [False] + [True] * (FRAMES - 1)]


def test_levels_are_the_denoisers():
    denoiser, sizes = Denoiser(CONFIG), []
    for block in denoiser.unet.down_blocks:
        block.motion_modules[-1].register_forward_hook(lambda _module, _input, made: sizes.append(made.shape[1:]))
    with torch.no_grad():
        denoiser(*inputs())
        features = LightReference(CONFIG)(torch.rand(1, 3, 40, 56))
    assert [level.shape[1:] for level in features] == sizes


def test_mixed_by_time():
    features = [torch.randn(2, 2, 3, 4, 5)]
    (mixed,) = over_frames(features, 9, 3)
    mixed = mixed.reshape(2, 9, 3, 4, 5)
    start, end = features[0].unbind(1)
    for frame in (0, 1, 2):
        assert torch.allclose(mixed[:, frame], start)
    assert torch.allclose(mixed[:, 3], 0.75 * start + 0.25 * end, atol=1e-6)
    for frame in (6, 7, 8):
        assert torch.allclose(mixed[:, frame], end)


def test_one_reference_is_every_frames():
    features = [torch.randn(2, 1, 3, 4, 5)]
    (every,) = over_frames(features, 9, 3)
    assert torch.equal(every.reshape(2, 9, 3, 4, 5), features[0].expand(-1, 9, -1, -1, -1))


def test_everything_is_trained():
    reference = trained()
    sum(level.square().mean() for level in reference(torch.rand(1, 3, 40, 56))).backward()
    assert [name for name, each in reference.named_parameters() if each.grad is None or not each.grad.any()] == []


def test_size_at_full():
    """About 80 million parameters, a tenth of ReferenceNet's 859.5."""
    with torch.device("meta"):
        reference = LightReference(FULL)
        features = reference(torch.empty(1, 3, 512, 512))
    assert round(sum(each.numel() for each in reference.parameters()) / 1e6, 1) == 81.2
    assert [tuple(level.shape[1:]) for level in features] == [
        (320, 64, 64),
        (640, 32, 32),
        (1280, 16, 16),
        (1280, 8, 8),
    ]


def test_saved_and_loaded(tmp_path):
    reference, picture = trained(), torch.rand(1, 3, 32, 32)
    save_file(reference.state_dict(), tmp_path / "reference.safetensors")
    again = LightReference(CONFIG)
    again.load_state_dict(load_file(tmp_path / "reference.safetensors"))
    with torch.no_grad():
        for one, other in zip(reference(picture), again(picture), strict=True):
            assert torch.equal(one, other)
