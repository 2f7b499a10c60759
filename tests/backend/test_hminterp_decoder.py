"""The Reference Decoder: what it is untrained, what references change, in pieces as in one, saved and loaded."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLTemporalDecoder
from safetensors.torch import load_file, save_file

from vmg_backend.errors import Cancelled
from vmg_backend.interpolation.hminterp.autoencoder import make_autoencoder
from vmg_backend.interpolation.hminterp.config import FULL, TINY
from vmg_backend.interpolation.hminterp.decoder import (
    LookUp,
    Place,
    ReferenceDecoder,
    frame_times,
    shares,
    taps,
)
from vmg_backend.progress import Progress

FRAMES = 5
CONFIG = replace(TINY, autoencoder_layers=2, latent_scale=0.18215)
MODES = ("repeat", "nearest", "zero", "none")


@pytest.fixture(autouse=True)
def one_thread():
    """Threads that wait for each other make short steps slow on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(5)
    yield
    torch.set_num_threads(threads)


def material(gaps=1, height=4, width=4, frames=FRAMES, config=CONFIG):
    """Latents, and features of both references at each level."""
    sizes = [(0, 8), (0, 8), (1, 4), (2, 2), (3, 1)]
    features = [torch.randn(gaps, 2, config.autoencoder[level], x * height, x * width) for level, x in sizes]
    return torch.randn(gaps, config.latent_channels, frames, height, width), features


def trained(mode, *kinds, spread=0.1):
    """A decoder whose fusions of some kinds have random weights, the same for each mode."""
    torch.manual_seed(7)
    decoder = ReferenceDecoder(replace(CONFIG, decoder="repeat"))
    for fusion in decoder.fusions:
        if isinstance(fusion, kinds):
            for parameter in fusion.parameters():
                torch.nn.init.normal_(parameter, std=spread)
    weights = decoder.state_dict()
    decoder = ReferenceDecoder(replace(CONFIG, decoder=mode))
    decoder.load_state_dict(weights, strict=mode != "none")
    return decoder


def without_time(decoder):
    """No frame sees another one."""
    for name, parameter in decoder.body.named_parameters():
        if name.endswith("mix_factor"):
            parameter.data.fill_(-100.0)
    decoder.body.time_conv_out.weight.data[:, :, [0, 2]] = 0
    return decoder


@pytest.mark.parametrize("mode", MODES)
def test_untrained_it_is_the_stock_temporal_decoder(mode):
    stock = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4,
        block_out_channels=CONFIG.decoder_channels,
        layers_per_block=2,
    )
    decoder = ReferenceDecoder(replace(CONFIG, decoder=mode))
    decoder.body.load_state_dict(stock.decoder.state_dict())
    latents, features = material(gaps=2)
    with torch.no_grad():
        plain = stock.decode(latents.transpose(1, 2).flatten(0, 1) / 0.18215, num_frames=FRAMES).sample
        made = decoder(latents, features)
    assert made.shape == (2, 3, FRAMES, 32, 32)
    assert torch.allclose(made.transpose(1, 2).flatten(0, 1), plain, atol=1e-6)


def test_trained_modes_differ():
    latents, features = material()
    with torch.no_grad():
        made = [trained(mode, LookUp, Place)(latents, features) for mode in MODES]
    for i, one in enumerate(made):
        for other in made[:i]:
            assert (one - other).abs().max() > 1e-3


def test_zero_gives_only_the_given_frames_their_reference():
    latents, features = material()
    with torch.no_grad():
        plain, zero, repeat = (
            without_time(trained(mode, Place))(latents, features) for mode in ("none", "zero", "repeat")
        )
    changed = (zero - plain).abs().amax((0, 1, 3, 4))
    assert changed[1:-1].max() == 0
    assert changed[[0, -1]].min() > 1e-3
    assert torch.allclose(zero[:, :, [0, -1]], repeat[:, :, [0, -1]], atol=1e-6)
    assert (repeat - plain).abs().amax((0, 1, 3, 4)).min() > 1e-3


def test_repeat_mixes_by_time_and_nearest_takes_the_nearer():
    latents, features = material()
    other = [torch.stack([both[:, 0], torch.randn_like(both[:, 1])], 1) for both in features]  # another end
    seen = {}
    for mode in ("repeat", "nearest"):
        decoder = without_time(trained(mode, Place))
        with torch.no_grad():
            seen[mode] = (decoder(latents, features) - decoder(latents, other)).abs().amax((0, 1, 3, 4)) > 1e-5
    assert seen["repeat"].tolist() == [False, True, True, True, True]
    assert seen["nearest"].tolist() == [False, False, True, True, True]


def test_every_frame_looks_up_places_of_both_references():
    latents, features = material()
    decoder = without_time(trained("repeat", LookUp, spread=0.5))
    moved = [both.flip(1).roll((1, 1), (3, 4)) for both in features]  # the same places, found elsewhere
    other = [torch.stack([both[:, 0], torch.randn_like(both[:, 1])], 1) for both in features]
    with torch.no_grad():
        made, from_moved, from_other = (decoder(latents, each) for each in (features, moved, other))
    assert torch.allclose(made, from_moved, atol=1e-5)
    assert (made - from_other).abs().amax((0, 1, 3, 4)).min() > 1e-4


def test_shares():
    assert frame_times(6, 1).tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    times = frame_times(9, 3)
    assert times.tolist() == pytest.approx([-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5])
    assert shares(times, "repeat")[:, 1].tolist() == pytest.approx([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1])
    assert shares(times, "repeat").sum(1).tolist() == pytest.approx([1] * 9)
    assert shares(times, "nearest")[:, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert shares(times, "zero").tolist() == [[0, 0]] * 2 + [[1, 0]] + [[0, 0]] * 3 + [[0, 1]] + [[0, 0]] * 2


def test_everything_is_trained():
    latents, features = material()
    untrained = ReferenceDecoder(CONFIG)
    untrained(latents, features).square().mean().backward()
    assert all(fusion.leave.weight.grad.abs().max() > 0 for fusion in untrained.fusions)
    decoder = trained("repeat", LookUp, Place)
    decoder(latents, features).square().mean().backward()
    assert [name for name, each in decoder.named_parameters() if each.grad is None or not each.grad.any()] == []


@pytest.mark.parametrize("chunk", [1, 2, 3, 9])
def test_in_pieces_as_in_one(chunk):
    latents, features = material(gaps=2, height=3, width=5)
    decoder = trained("repeat", LookUp, Place)
    with torch.no_grad():
        whole = decoder(latents, features)
    assert torch.allclose(decoder.decode(latents, features, chunk), whole, atol=2e-5)


def test_progress_rises_and_decoding_stops_where_it_is_asked_to():
    latents, features = material()
    told, cancelled = [], threading.Event()
    decoder = ReferenceDecoder(CONFIG)
    decoder.decode(latents, features, 2, Progress(lambda fraction, _: told.append(fraction), cancelled))
    assert told == sorted(told)
    assert told[0] == 0
    assert 0.9 < told[-1] <= 1
    assert max(b - a for a, b in zip(told, told[1:])) < 0.05  # noqa: B905, RUF007

    pieces = []

    def stop(fraction, _):
        pieces.append(fraction)
        if fraction > 0.5:
            cancelled.set()

    with pytest.raises(Cancelled):
        decoder.decode(latents, features, 2, Progress(stop, cancelled))
    assert pieces == told[: len(pieces)]
    assert sum(fraction > 0.5 for fraction in pieces) == 1


def test_taps_are_what_the_encoder_computes_before_each_level_is_made_smaller():
    autoencoder = make_autoencoder(CONFIG)
    computed = []
    keep = [autoencoder.encoder.conv_in, *(level.resnets[-1] for level in autoencoder.encoder.down_blocks)]
    handles = [layer.register_forward_hook(lambda _layer, _input, made: computed.append(made)) for layer in keep]
    pictures = torch.rand(2, 2, 3, 40, 24) * 2 - 1
    with torch.no_grad():
        autoencoder.encode(pictures.flatten(0, 1))
        for handle in handles:
            handle.remove()
        found = taps(autoencoder, pictures)
        single = taps(autoencoder, pictures[:, 1])
    assert [tuple(tap.shape[-2:]) for tap in found] == [(40, 24), (40, 24), (20, 12), (10, 6), (5, 3)]
    for tap, one, truth in zip(found, single, computed, strict=True):
        assert torch.allclose(tap.flatten(0, 1), truth, atol=1e-5)
        assert torch.allclose(one, tap[:, 1], atol=1e-5)
    latents = torch.randn(2, 4, FRAMES, 5, 3)
    assert ReferenceDecoder(CONFIG)(latents, found).shape == (2, 3, FRAMES, 40, 24)


def test_size_at_full():
    """63.6 million parameters are those of Stable Video Diffusion's decoder."""
    with torch.device("meta"):
        decoder = ReferenceDecoder(FULL)
    counts = [sum(each.numel() for each in part.parameters()) for part in (decoder.body, decoder.fusions)]
    assert [round(count / 1e6, 1) for count in counts] == [63.6, 2.2]


def test_saved_and_loaded(tmp_path):
    decoder = trained("repeat", LookUp, Place)
    save_file(decoder.state_dict(), tmp_path / "decoder.safetensors")
    weights = load_file(tmp_path / "decoder.safetensors")
    again = ReferenceDecoder(CONFIG)
    again.load_state_dict(weights)
    latents, features = material()
    with torch.no_grad():
        assert torch.equal(again(latents, features), decoder(latents, features))
    weights.pop("fusions.0.leave.weight")
    with pytest.raises(RuntimeError, match=r"fusions\.0\.leave\.weight"):
        again.load_state_dict(weights)


def test_half_precision():
    latents, features = material()
    decoder = trained("repeat", LookUp, Place)
    with torch.no_grad():
        single = decoder(latents, features)
    decoder.bfloat16()
    for made in (decoder(latents, features), decoder.decode(latents, features, 2)):
        assert made.dtype == torch.bfloat16
        assert (made - single).square().mean() < 0.02 * single.var()
