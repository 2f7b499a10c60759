"""The parts of HMInterp's network, at tiny size; at full size by shapes alone."""

import json
import threading
from dataclasses import fields, replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import numpy as np  # noqa: E402
from diffusers import MotionAdapter, UNetMotionModel  # noqa: E402
from diffusers.models.attention_processor import AttnProcessor2_0  # noqa: E402
from PIL import Image  # noqa: E402
from torch.nn import functional  # noqa: E402
from transformers import CLIPImageProcessor, CLIPVisionConfig  # noqa: E402

from vmg_backend.errors import Cancelled, UserError  # noqa: E402
from vmg_backend.interpolation.hminterp.autoencoder import decode, encode, make_autoencoder  # noqa: E402
from vmg_backend.interpolation.hminterp.config import AUTHORS, FULL, SMALL, TINY, Config  # noqa: E402
from vmg_backend.interpolation.hminterp.denoiser import Denoiser, motion_modules  # noqa: E402
from vmg_backend.interpolation.hminterp.light_reference import over_frames  # noqa: E402
from vmg_backend.interpolation.hminterp.memory import Live  # noqa: E402
from vmg_backend.interpolation.hminterp.model import HMInterp  # noqa: E402
from vmg_backend.interpolation.hminterp.pose_guider import PoseGuider  # noqa: E402
from vmg_backend.interpolation.hminterp.reference import ReferenceNet, References, make_unet, sites  # noqa: E402
from vmg_backend.interpolation.hminterp.seed import SeedGuider, seed_latents, widened  # noqa: E402
from vmg_backend.interpolation.hminterp.tokens import (  # noqa: E402
    ClipTokens,
    LatentTokens,
    for_frames,
    make_tokens,
    prepared,
)
from vmg_backend.progress import Progress  # noqa: E402

PLAIN = replace(TINY, seed="none", frames=6)
"""The denoiser gets the noisy latents alone."""
CLIP = replace(PLAIN, motion_norm="clip")
FRAMES = PLAIN.frames


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


def stir(module):
    """Random numbers in every tensor, so that nothing is zero or one."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return module


def made(config):
    return stir(Denoiser(config)).eval()


def inputs(config, batch=2, side=8):
    """Noisy latents, moments and tokens of a call."""
    noisy = torch.randn(batch, config.latent_channels, config.frames, side, side)
    tokens = torch.randn(batch * config.frames, 2, config.token_width)
    return noisy, torch.arange(batch) * 300 + 100, tokens


def looked(config, batch=2, count=2, side=8):
    """A ReferenceNet and what it wrote of random latents."""
    net = stir(ReferenceNet(config)).eval()
    latents = torch.randn(batch * count, config.latent_channels, side, side)
    return net, net(latents, torch.randn(batch * count, 1, config.token_width))


def near(left, right, tolerance=1e-5):
    return ((left - right).norm() / right.norm()).item() < tolerance


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


# Config


@pytest.mark.parametrize("config", [TINY, SMALL, FULL, AUTHORS], ids=lambda config: config.name)
def test_config_goes_through_json(config, tmp_path):
    config.save(tmp_path)
    assert Config.load(tmp_path) == config
    assert set(json.loads((tmp_path / "config.json").read_text())) == {field.name for field in fields(Config)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"fps": 24}, "fps"),
        ({"frames": None}, "frames"),
        ({"frames": True}, "frames"),
        ({"frames": 8.0}, "frames"),
        ({"references": 3}, "references"),
        ({"channels": "32"}, "channels"),
        ({"channels": [32, 40]}, "32"),
        ({"motion_norm": "batch"}, "motion_norm"),
        ({"context": 4}, "leave none"),
        ({"longest": 7}, "places for 7"),
        ({"size": 72}, "multiple of 16 px"),
        ({"heads": 5}, "5 heads"),
        ({"seed_stride": 2}, "stride"),
    ],
)
def test_config_that_does_not_fit_is_refused(change, named):
    with pytest.raises(UserError, match=named):
        Config.from_dict(TINY.as_dict() | change)


def test_config_needs_all_that_has_no_default():
    with pytest.raises(UserError, match="frames"):
        Config.from_dict({name: value for name, value in TINY.as_dict().items() if name != "frames"})


def test_config_of_the_authors_is_what_their_card_says():
    assert (AUTHORS.frames, AUTHORS.context, AUTHORS.made) == (14, 3, 8)
    assert (AUTHORS.steps, AUTHORS.guidance, AUTHORS.motion_norm, AUTHORS.motion_mid) == (20, 3.5, "frame", True)


def test_config_tells_sizes():
    assert (FULL.factor, FULL.multiple, FULL.input_channels) == (8, 64, 9)
    assert (TINY.factor, TINY.multiple, AUTHORS.input_channels) == (8, 16, 4)


# Denoiser


def test_widened_input_changes_nothing_at_first():
    plain, wide = made(PLAIN), Denoiser(replace(PLAIN, seed="widened"))
    tensors = plain.state_dict()
    tensors["unet.conv_in.weight"] = torch.cat(
        [tensors["unet.conv_in.weight"], wide.unet.conv_in.weight[:, PLAIN.latent_channels :]], 1
    )
    wide.load_state_dict(tensors)
    noisy, moment, tokens = inputs(PLAIN)
    latents, mask = seed_latents(torch.randn(2, 4, 2, 8, 8), FRAMES - 2)
    with torch.no_grad():
        expected = plain(noisy, moment, tokens)
        assert torch.equal(wide(widened(noisy, latents, mask), moment, tokens), expected)
        torch.nn.init.normal_(wide.unet.conv_in.weight)
        assert not near(wide(widened(noisy, latents, mask), moment, tokens), expected, 0.1)


def test_added_features_change_nothing_at_first_and_are_added_after_the_first_convolution():
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    guider = PoseGuider(PLAIN)
    features = guider(torch.rand(2, 3, FRAMES, 64, 64))
    assert features.shape == (2 * FRAMES, 32, 8, 8)
    with torch.no_grad():
        expected = denoiser(noisy, moment, tokens)
        assert torch.equal(denoiser(noisy, moment, tokens, features), expected)
        bias = torch.randn(32)
        everywhere = bias.view(1, -1, 1, 1).expand(2 * FRAMES, -1, 8, 8)
        added = denoiser(noisy, moment, tokens, everywhere)
        denoiser.unet.conv_in.bias += bias
        assert near(added, denoiser(noisy, moment, tokens))
        assert not near(added, expected, 0.1)


def test_pose_features_reach_their_own_frame():
    guider = stir(PoseGuider(PLAIN))
    maps = torch.rand(2, 3, FRAMES, 64, 64)
    other = maps.clone()
    other[1, :, 2] = 0
    changed = (guider(maps) - guider(other)).flatten(1).norm(dim=1) > 0
    assert changed.nonzero().flatten().tolist() == [FRAMES + 2]


def test_light_features_are_added_where_diffusers_adds_them():
    config = replace(PLAIN, reference="light")
    denoiser = made(config)
    noisy, moment, tokens = inputs(config)
    levels = [torch.randn(2, 2, 32, 8, 8), torch.randn(2, 2, 64, 4, 4)]
    light = over_frames(levels, FRAMES, config.context)
    with torch.no_grad():
        got = denoiser(noisy, moment, tokens, None, None, light)
        by_hand = [
            lambda _module, _inputs, out, extra=extra: out + extra  # after the last layers of a level
            for extra in light
        ]
        for block, hook in zip(denoiser.unet.down_blocks, by_hand, strict=True):
            block.motion_modules[-1].register_forward_hook(hook)
        assert torch.equal(got, denoiser(noisy, moment, tokens))
        assert not near(got, made(config)(noisy, moment, tokens), 0.1)
        with pytest.raises(ValueError, match="shorter"):
            denoiser(noisy, moment, tokens, None, None, light[:1])


def test_nothing_added_stays_added():
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    with torch.no_grad():
        expected = denoiser(noisy, moment, tokens)
        denoiser(noisy, moment, tokens, torch.randn(2 * FRAMES, 32, 8, 8))
        with pytest.raises(RuntimeError):
            denoiser(noisy, moment, tokens, torch.randn(2 * FRAMES, 32, 7, 8))
        assert torch.equal(denoiser(noisy, moment, tokens), expected)


def test_motion_norm_by_frame_is_a_loop_over_frames():
    norm = stir(motion_modules(Denoiser(PLAIN).unet)[0].norm)
    scales = torch.linspace(0.3, 2, FRAMES).view(1, 1, -1, 1, 1)
    features = scales * torch.randn(2, 32, FRAMES, 4, 5)
    for frame in range(FRAMES):
        alone = functional.group_norm(features[:, :, frame], 32, norm.weight, norm.bias, 1e-6)
        assert torch.allclose(norm(features)[:, :, frame], alone, atol=1e-6)
    assert not near(norm(features), functional.group_norm(features, 32, norm.weight, norm.bias, 1e-6), 0.1)


def test_motion_norm_by_clip_is_stock_diffusers():
    stock = stir(
        UNetMotionModel.from_unet2d(
            make_unet(PLAIN),
            MotionAdapter(block_out_channels=(32, 64), motion_layers_per_block=1, use_motion_mid_block=False),
        )
    ).eval()
    noisy, moment, tokens = inputs(PLAIN)
    noisy = noisy * torch.linspace(0.3, 2, FRAMES).view(1, 1, -1, 1, 1)
    with torch.no_grad():
        expected = stock(noisy, moment, tokens).sample
        for config, same in ((CLIP, True), (PLAIN, False)):
            denoiser = Denoiser(config)
            denoiser.unet.load_state_dict(stock.state_dict())
            assert near(denoiser(noisy, moment, tokens), expected) is same


@pytest.mark.parametrize("mid", [False, True], ids=["plain", "mid"])
def test_a_fresh_denoiser_sees_each_frame_alone(mid):
    config = replace(PLAIN, motion_mid=mid)
    denoiser = Denoiser(config)
    assert len(motion_modules(denoiser.unet)) == 2 * 1 + 2 * 2 + mid
    noisy, moment, tokens = inputs(config)
    with torch.no_grad():
        whole = denoiser(noisy, moment, tokens)
        for frame in (0, 3):
            alone = denoiser(noisy[:, :, frame : frame + 1], moment, tokens.unflatten(0, (2, -1))[:, frame])
            assert near(whole[:, :, frame : frame + 1], alone)
        stir(motion_modules(denoiser.unet)[0].proj_out)
        assert not near(denoiser(noisy, moment, tokens)[:, :, :1], whole[:, :, :1], 1e-3)


def test_each_frame_has_its_own_tokens():
    denoiser = Denoiser(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    other = tokens.clone()
    other[FRAMES + 1] += 1
    with torch.no_grad():
        changed = (denoiser(noisy, moment, tokens) - denoiser(noisy, moment, other)).abs().amax((1, 3, 4)) > 1e-7
    assert changed.nonzero().tolist() == [[1, 1]]


def test_denoiser_answers_in_the_precision_of_the_noisy_latents():
    denoiser = Denoiser(PLAIN).to(torch.bfloat16)
    net, _ = looked(PLAIN)
    net.to(torch.bfloat16)
    noisy, moment, tokens = inputs(PLAIN)
    with torch.no_grad():
        references = denoiser.references(net(torch.randn(2, 4, 8, 8), torch.randn(2, 1, 32)), 1)
        said = denoiser(noisy, moment, tokens, torch.zeros(2 * FRAMES, 32, 8, 8), references)
    assert said.dtype == torch.float32
    assert next(iter(references.keys.values())).dtype == torch.bfloat16


# ReferenceNet


@pytest.mark.parametrize(
    ("config", "pairs"), [(TINY, 4), (SMALL, 10), (FULL, 16), (AUTHORS, 16)], ids=lambda value: str(value)[:20]
)
def test_all_sites_pair_by_name(config, pairs):
    with torch.device("meta"):
        reader, writer = sites(Denoiser(config).unet), sites(ReferenceNet(config).unet)
    assert set(reader) == set(writer)
    assert len(reader) == pairs
    for name, module in reader.items():
        assert module.to_k.weight.shape == writer[name].to_k.weight.shape


def test_reference_net_writes_what_its_self_attentions_are_given():
    net = stir(ReferenceNet(PLAIN))
    heard = {}
    for name, module in sites(net.unet).items():
        module.register_forward_hook(lambda _module, args, _out, name=name: heard.update({name: args[0]}))
    bank = net(torch.randn(4, 4, 8, 8), torch.randn(4, 1, 32))
    assert set(bank) == set(heard) == set(sites(net.unet))
    assert all(torch.equal(bank[name], heard[name]) for name in bank)


class Truth(AttnProcessor2_0):
    """Attention over [own; reference] tokens, put together anew in every call."""

    def __init__(self, tokens):
        super().__init__()
        self.tokens = tokens

    def __call__(
        self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, references=None
    ):
        both = torch.cat([hidden_states, self.tokens], 1)
        return super().__call__(attn, hidden_states, both, attention_mask, temb)


@pytest.mark.parametrize("per_gap", [1, 2])
def test_reading_is_attention_over_own_and_reference_tokens(per_gap):
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    _, features = looked(PLAIN, count=per_gap)
    with torch.no_grad():
        references = denoiser.references(features, per_gap)
        got = denoiser(noisy, moment, tokens, None, references)
        plain = denoiser(noisy, moment, tokens)
        for name, site in sites(denoiser.unet).items():
            seen = [torch.cat(list(features[name][gap * per_gap : (gap + 1) * per_gap])) for gap in range(2)]
            site.set_processor(Truth(torch.stack([seen[gap] for gap in (0, 1) for _ in range(FRAMES)])))
        assert near(got, denoiser(noisy, moment, tokens))
    assert not near(got, plain, 1e-2)


def test_keys_and_values_are_projected_once():
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN, batch=1)
    _, features = looked(PLAIN, batch=1)
    site = next(iter(sites(denoiser.unet).values()))
    lengths = []
    for projection in (site.to_k, site.to_v):
        projection.register_forward_hook(lambda _module, args, _out: lengths.append(tuple(args[0].shape[:2])))
    with torch.no_grad():
        references = denoiser.references(features, 2)
        for _ in range(3):
            denoiser(noisy, moment, tokens, None, references)
    assert lengths == [(1, 128)] * 2 + [(FRAMES, 64)] * 6


def test_no_reference_is_the_plain_denoiser():
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    references = denoiser.references(looked(PLAIN)[1], 2)
    with torch.no_grad():
        plain = denoiser(noisy, moment, tokens)
        assert near(denoiser(noisy, moment, tokens, None, references.batched([False, False])), plain, 1e-6)
        denoiser.unet.set_attn_processor(AttnProcessor2_0())
        assert torch.equal(denoiser.unet(noisy, moment, tokens).sample, plain)


def test_unconditional_half_sees_only_itself():
    denoiser = made(PLAIN)
    noisy, moment, tokens = inputs(PLAIN)
    references = denoiser.references(looked(PLAIN)[1], 2)
    with torch.no_grad():
        guided = denoiser(
            torch.cat([noisy] * 2),
            torch.cat([moment] * 2),
            torch.cat([tokens] * 2),
            None,
            references.batched([False, False, True, True]),
        )
        assert near(guided[:2], denoiser(noisy, moment, tokens))
        assert near(guided[2:], denoiser(noisy, moment, tokens, None, references))
        dropped = denoiser(noisy, moment, tokens, None, references.batched(torch.tensor([True, False])))
        assert near(dropped[0], guided[2])
        assert near(dropped[1], guided[1])


@pytest.mark.parametrize(
    ("rows", "runs"),
    [
        ((0, 1, 2), [(0, 3, 0, 3)]),
        ((None, None, 0, 1), [(0, 2, None, None), (2, 4, 0, 2)]),
        ((0, None, 2), [(0, 1, 0, 1), (1, 2, None, None), (2, 3, 2, 3)]),
        ((0, 0), [(0, 1, 0, 1), (1, 2, 0, 1)]),
        ((0, 1, 0, 1), [(0, 2, 0, 2), (2, 4, 0, 2)]),
    ],
)
def test_entries_are_read_in_runs(rows, runs):
    found = [
        (run.start, run.stop, None if gaps is None else gaps.start, None if gaps is None else gaps.stop)
        for run, gaps in References({}, {}, rows).runs()
    ]
    assert found == runs


def test_reference_time_is_the_configs():
    net, features = looked(PLAIN)
    later = ReferenceNet(replace(PLAIN, reference_time=100)).eval()
    later.load_state_dict(net.state_dict())
    latents, tokens = torch.randn(2, 4, 8, 8), torch.randn(2, 1, 32)
    name = next(reversed(features))
    assert not near(later(latents, tokens)[name], net(latents, tokens)[name], 1e-3)


def trained(denoiser, net):
    """Gradients after one backward pass through both networks."""
    noisy, moment, tokens = inputs(PLAIN)
    features = net(torch.randn(4, 4, 8, 8), torch.randn(4, 1, 32))
    denoiser(
        noisy, moment, tokens, None, denoiser.references(features, 2).batched([True, False])
    ).square().mean().backward()
    return {
        name: parameter.grad
        for part in (denoiser, net)
        for name, parameter in part.named_parameters(prefix=type(part).__name__)
    }


def test_gradient_reaches_reference_net():
    gradients = trained(made(PLAIN), stir(ReferenceNet(PLAIN)))
    touched = {name for name, gradient in gradients.items() if gradient is not None and gradient.any()}
    assert "ReferenceNet.unet.conv_in.weight" in touched
    assert "ReferenceNet.unet.up_blocks.1.attentions.1.transformer_blocks.0.norm1.weight" in touched
    assert "ReferenceNet.unet.up_blocks.1.attentions.1.transformer_blocks.0.attn1.to_q.weight" not in touched
    assert {name for name in gradients if name.startswith("Denoiser.")} <= touched


def test_gradient_checkpointing_changes_no_gradient():
    denoiser, net = made(PLAIN), stir(ReferenceNet(PLAIN))
    torch.manual_seed(1)
    expected = trained(denoiser, net)
    for part in (denoiser, net):
        part.zero_grad()
        part.unet.enable_gradient_checkpointing()
    calls = []
    denoiser.unet.down_blocks[0].resnets[0].register_forward_pre_hook(lambda *_: calls.append(1))
    torch.manual_seed(1)
    got = trained(denoiser, net)
    assert len(calls) == 2, "once forward, once again for the backward pass"
    for name, gradient in expected.items():
        assert (gradient is None) == (got[name] is None), name
        assert gradient is None or torch.allclose(gradient, got[name], atol=1e-6, rtol=1e-4), name


# Seed


@pytest.mark.parametrize("context", [1, 3])
@pytest.mark.parametrize("length", [1, 4, 5])
def test_seed_duplicates_the_nearest_given_latent(context, length):
    numbers = torch.arange(2.0 * context).view(1, 1, -1, 1, 1).expand(2, 4, -1, 3, 5)
    latents, mask = seed_latents(numbers, length)
    whole = context + length + context
    assert latents.shape == (2, 4, whole, 3, 5)
    assert mask.shape == (2, 1, whole, 3, 5)
    given = [*range(context), *range(context + length, whole)]
    for frame in range(whole):
        nearest = min(given, key=lambda place: abs(place - frame))
        assert (latents[:, :, frame] == given.index(nearest)).all()
        assert (mask[:, :, frame] == (frame in given)).all()


def test_seed_takes_a_filling():
    given, filling = torch.randn(1, 4, 6, 8, 8), torch.randn(1, 4, 12, 8, 8)
    latents, mask = seed_latents(given, 12, filling)
    assert torch.equal(latents[:, :, 3:15], filling)
    assert torch.equal(latents[:, :, [0, 1, 2, 15, 16, 17]], given)
    assert mask[0, 0, :, 0, 0].tolist() == [1] * 3 + [0] * 12 + [1] * 3


@pytest.mark.parametrize(("stride", "channels", "side"), [(1, 4, 8), (8, 3, 64)])
def test_seed_guider_adds_nothing_at_first_and_fits_the_latents(stride, channels, side):
    config = replace(TINY, seed="guider", seed_stride=stride)
    guider = SeedGuider(config)
    seen, mask = torch.rand(2, channels, 8, side, side), torch.ones(2, 1, 8, side, side)
    assert guider.conv_in.weight.shape[1] == 4
    features = guider(seen, mask)
    assert features.shape == (16, 32, 8, 8)
    assert not features.any()
    assert stir(guider)(seen, mask).any()


def test_seed_guider_of_pictures_sees_the_mask():
    guider = stir(SeedGuider(replace(TINY, seed="guider", seed_stride=8)))
    seen = torch.rand(1, 3, 8, 64, 64)
    assert not torch.equal(guider(seen, torch.ones(1, 1, 8, 64, 64)), guider(seen, torch.zeros(1, 1, 8, 64, 64)))


# Tokens and autoencoder


def test_clip_gets_pictures_as_it_was_trained_to():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).resize((480, 320))
    square = {"height": 224, "width": 224}
    expected = CLIPImageProcessor(size=square, do_center_crop=False)(picture, return_tensors="pt")["pixel_values"]
    tensor = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255
    assert expected.shape == (1, 3, 224, 224)
    assert (prepared(tensor, 224) - expected).abs().max() < 0.03  # theirs is rounded to 1/255, here 1/68


def test_clip_tokens_are_the_embeddings_of_each_reference():
    vision = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=28,
        patch_size=14,
        projection_dim=24,
    )
    tokens = stir(ClipTokens(vision)).eval()
    pictures = torch.rand(2, 2, 3, 40, 30)
    with torch.no_grad():
        found = tokens(pictures, torch.zeros(2, 2, 4, 5, 4))
        alone = tokens.encoder(prepared(pictures[1, :1], 28)).image_embeds
    assert found.shape == (2, 2, 24)
    assert near(found[1, 0], alone[0])


def test_latent_tokens_tell_one_end_from_the_other():
    tokens = make_tokens(TINY)
    assert isinstance(tokens, LatentTokens)
    latents = torch.randn(2, 2, 4, 8, 8)
    found = tokens(torch.rand(2, 2, 3, 64, 64), latents)
    assert found.shape == (2, 2, TINY.token_width)
    assert near(found[1, 0], tokens(torch.rand(1, 1, 3, 64, 64), latents[1:, :1])[0, 0])
    assert not near(found[1, 0], found[1, 1], 0.1)


def test_every_frame_gets_both_ends_tokens():
    tokens = torch.arange(2 * 2 * 3.0).view(2, 2, 3)
    spread = for_frames(tokens, 5)
    assert spread.shape == (10, 2, 3)
    assert all(torch.equal(spread[frame], tokens[frame // 5]) for frame in range(10))


def test_autoencoder_scales_its_latents():
    config = replace(TINY, latent_scale=0.25)
    autoencoder = stir(make_autoencoder(config)).eval()
    pictures = torch.rand(2, 3, 3, 64, 48) * 2 - 1
    with torch.no_grad():
        latents = encode(autoencoder, pictures)
        posterior = autoencoder.encode(pictures[1]).latent_dist
        assert latents.shape == (2, 3, 4, 8, 6)
        assert near(latents[1], posterior.mean / 4)
        assert near(decode(autoencoder, latents)[1], autoencoder.decode(posterior.mean).sample)
        draws = [encode(autoencoder, pictures, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert not torch.equal(draws[0], latents)


def test_many_pictures_are_encoded_in_pieces_that_agree_with_all_at_once():
    autoencoder = stir(make_autoencoder(TINY)).eval()
    pictures = torch.rand(1, 7, 3, 64, 64) * 2.0 - 1.0
    with torch.no_grad():
        posterior = autoencoder.encode(pictures[0]).latent_dist
        assert near(encode(autoencoder, pictures)[0], posterior.mode() * TINY.latent_scale)
        drawn = posterior.sample(torch.Generator().manual_seed(5)) * TINY.latent_scale
        assert near(encode(autoencoder, pictures, torch.Generator().manual_seed(5))[0], drawn)

    def peak(count):
        with torch.no_grad(), Live() as live:
            encode(autoencoder, pictures[:, :count])
        return live.peak

    assert peak(7) < 1.2 * peak(2)


# The whole


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"reference": "light", "seed": "guider", "motion_mid": True},
        {"reference": "none", "seed": "none", "pose_channels": (), "decoder": "none", "latent_channels": 8},
        {"decoder": "zero", "seed": "guider", "seed_stride": 8, "references": 1, "motion_norm": "clip"},
    ],
    ids=["tiny", "light", "bare", "pictures"],
)
def test_save_and_load_bit_for_bit(change, tmp_path):
    model = stir(HMInterp.build(replace(TINY, **change)))
    model.save(tmp_path / "model")
    again = HMInterp.load(tmp_path / "model")
    assert again.config == model.config
    tensors, others = model.state_dict(), again.state_dict()
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    assert not any(tensor.is_meta for tensor in (*again.parameters(), *again.buffers()))
    again.save(tmp_path / "model")  # over what it was read from
    assert {file.stem for file in (tmp_path / "model").glob("*.safetensors")} == {n for n, _ in model.named_children()}


def test_clip_can_be_loaded(tmp_path, monkeypatch):
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    small = CLIPVisionConfig(**vision, image_size=28, patch_size=14, projection_dim=32)
    monkeypatch.setattr("transformers.CLIPVisionConfig", lambda **_: small)
    model = stir(HMInterp.build(replace(TINY, tokens="clip"))).eval()
    model.save(tmp_path / "model")
    pictures, latents = torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 4, 8, 8)
    with torch.no_grad():
        assert torch.equal(HMInterp.load(tmp_path / "model").tokens(pictures, latents), model.tokens(pictures, latents))


def test_load_in_half_precision(tmp_path):
    HMInterp.build(TINY).save(tmp_path / "model")
    model = HMInterp.load(tmp_path / "model", dtype=torch.float16)
    assert {tensor.dtype for tensor in model.state_dict().values()} == {torch.float16}
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_load_can_be_cancelled(tmp_path):
    HMInterp.build(TINY).save(tmp_path / "model")
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        HMInterp.load(tmp_path / "model", progress=Progress(cancelled=stop))


def spoil(folder, part, change):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / f"{part}.safetensors")
    change(tensors)
    save_file({name: tensor.clone() for name, tensor in tensors.items()}, folder / f"{part}.safetensors")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("pose_guider", lambda tensors: tensors.pop("conv_out.bias"), r"pose_guider.* has no conv_out\.bias\."),
        ("denoiser", lambda tensors: [tensors.pop(name) for name in list(tensors)[:9]], "has no .* and 6 more"),
        ("reference", lambda tensors: tensors.update(extra=torch.ones(1)), "does not belong to it: extra"),
        (
            "tokens",
            lambda tensors: tensors.update({"project.bias": torch.ones(31)}),
            r"another shape: project\.bias \(\(31,\) instead of \(32,\)\)",
        ),
    ],
)
def test_loading_is_strict(part, change, said, tmp_path):
    HMInterp.build(TINY).save(tmp_path / "model")
    spoil(tmp_path / "model", part, change)
    with pytest.raises(UserError, match=said):
        HMInterp.load(tmp_path / "model")


def test_loading_names_missing_unknown_and_broken_files(tmp_path):
    folder = tmp_path / "model"
    with pytest.raises(UserError, match=r"config\.json"):
        HMInterp.load(folder)
    HMInterp.build(TINY).save(folder)
    (folder / "lora.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="lora"):
        HMInterp.load(folder)
    (folder / "lora.safetensors").rename(folder / "decoder.safetensors")
    with pytest.raises(UserError, match=r"decoder\.safetensors cannot be read"):
        HMInterp.load(folder)
    (folder / "decoder.safetensors").unlink()
    with pytest.raises(UserError, match="has no decoder"):
        HMInterp.load(folder)


def test_full_size_has_the_published_numbers_of_parameters():
    full, authors = HMInterp.build(FULL, "meta"), HMInterp.build(AUTHORS, "meta")
    with torch.device("meta"):
        assert count(make_unet(FULL)) == 859_520_964  # Stable Diffusion 1.5
    assert count(full.reference) == count(authors.reference) == 859_520_964 - 12_164  # without its head
    assert count(authors.denoiser) == 1_312_730_244
    assert sum(count(module) for module in motion_modules(authors.denoiser)) == 453_209_280
    assert sum(count(module) for module in motion_modules(full.denoiser)) == 417_137_600  # AnimateDiff v3
    assert count(full.denoiser) == 859_520_964 + 417_137_600 + 5 * 9 * 320  # and five channels more at the input
    assert count(full.pose_guider) == count(authors.pose_guider) == 1_086_480
    assert count(authors.seed_guider) == 1_086_624
    assert count(full.autoencoder) == 83_653_863  # Stable Diffusion's
    assert count(full.tokens) == 303_966_208  # CLIP ViT-L/14's image encoder with its projection
