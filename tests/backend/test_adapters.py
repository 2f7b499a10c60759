"""What one-shot tuning adds to a model: recurrent attention, motion attention, low-rank adapters; and tuned models."""

import copy
import json
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from safetensors.torch import load_file, save_file  # noqa: E402

from vmg_backend.errors import UserError  # noqa: E402
from vmg_backend.interpolation.hminterp.adapters import (  # noqa: E402
    ADAPTERS,
    Adaptation,
    Adapters,
    LowRank,
    Tuned,
    load_adapters,
    load_tuned,
    save_tuned,
)
from vmg_backend.interpolation.hminterp.conditioning import conditions_of  # noqa: E402
from vmg_backend.interpolation.hminterp.config import TINY, Config, hashes_of  # noqa: E402
from vmg_backend.interpolation.hminterp.devices import choose  # noqa: E402
from vmg_backend.interpolation.hminterp.memory import estimate  # noqa: E402
from vmg_backend.interpolation.hminterp.model import HMInterp  # noqa: E402
from vmg_backend.interpolation.hminterp.motion_attention import MotionAttention  # noqa: E402
from vmg_backend.interpolation.hminterp.opening import open_engine  # noqa: E402
from vmg_backend.interpolation.hminterp.reference import neighbours, sites  # noqa: E402
from vmg_backend.models import MODELS_VARIABLE  # noqa: E402
from vmg_backend.progress import SILENT  # noqa: E402
from vmg_backend.protocol import EngineChoice  # noqa: E402

BASE = replace(TINY, frames=4, size=32, decoder="none")
FRAMES = BASE.frames
PLAIN = Adaptation(rank=4, motion_attention=32, recurrent=False)
"""Silent at first: recurrent attention changes what a model does, whatever its weights are."""


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


def stir(module, std=0.1):
    """Random numbers in every tensor, so that nothing is silent."""
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return module


@pytest.fixture(scope="module")
def made():
    torch.manual_seed(0)
    return stir(HMInterp.build(BASE)).eval().requires_grad_(False)


@pytest.fixture
def model(made):
    return copy.deepcopy(made)


def asked(model, batch=2):
    """Noisy latents and all conditions of a call."""
    random = torch.Generator().manual_seed(1)
    pictures = torch.rand(batch, 2, 3, 32, 32, generator=random)
    maps = torch.rand(batch, 3, FRAMES, 32, 32, generator=random)
    conditions = conditions_of(model, pictures, FRAMES - 2, maps)
    noisy = torch.randn(batch, model.config.input_channels, FRAMES, 4, 4, generator=random)
    return noisy, conditions


def answered(model, batch=2):
    noisy, conditions = asked(model, batch)
    moment = torch.arange(batch) * 300 + 100
    return model.denoiser(noisy, moment, conditions.tokens, conditions.added, conditions.references)


# Recurrent causal attention


def by_hand(attn, tokens, references):
    """Frames [F, N, C] of one gap, one after the other and head by head, in double precision."""
    attn = attn.double()
    tokens, out = tokens.double(), []
    last = len(tokens) - 1
    for frame in range(len(tokens)):
        before, after = (0, 1) if frame == 0 else (last - 1, last) if frame == last else (frame - 1, frame + 1)
        seen = torch.cat([tokens[before], tokens[after]])
        key, value = attn.to_k(seen), attn.to_v(seen)
        if references is not None:
            key, value = torch.cat([key, references[0].double()]), torch.cat([value, references[1].double()])
        query = attn.to_q(tokens[frame])
        width = query.shape[-1] // attn.heads
        heads = []
        for head in range(attn.heads):
            span = slice(head * width, (head + 1) * width)
            shares = (query[:, span] @ key[:, span].T / width**0.5).softmax(-1)
            heads.append(shares @ value[:, span])
        out.append(attn.to_out[0](torch.cat(heads, -1)))
    attn.float()
    return torch.stack(out)


@pytest.mark.parametrize("joined", [False, True])
def test_recurrent_attention_reads_the_frames_before_and_after(model, joined):
    name, attn = next(iter(sites(model.denoiser.unet).items()))
    tokens = torch.randn(2 * FRAMES, 6, attn.query_dim)
    references = asked(model)[1].references.batched([False, True]) if joined else None
    made = attn(tokens, references=references, recurrent=FRAMES)
    for gap in range(2):
        told = None
        if joined and gap == 1:
            told = references.keys[name][1], references.values[name][1]
        expected = by_hand(attn, tokens[gap * FRAMES : (gap + 1) * FRAMES], told)
        assert torch.allclose(made[gap * FRAMES : (gap + 1) * FRAMES].double(), expected, atol=1e-5)
    assert not torch.allclose(made, attn(tokens, references=references), atol=1e-2)


def test_neighbours_of_two_frames_and_of_one():
    first, second = torch.randn(1, 2, 3, 4).unbind(1)
    both = torch.cat([first, second], 1)
    assert torch.equal(neighbours(torch.stack([first, second], 1)), torch.stack([both, both], 1))
    assert torch.equal(neighbours(first[:, None]), torch.cat([first, first], 1)[:, None])


def test_recurrent_attention_carries_news_to_the_neighbours_only(model):
    """By one site; a frame's own tokens still ask, so it changes, too."""
    attn = next(iter(sites(model.denoiser.unet).values()))
    tokens = torch.randn(7, 6, attn.query_dim)
    other = tokens.clone()
    other[3] += 1
    changed = (attn(tokens, recurrent=7) - attn(other, recurrent=7)).flatten(1).norm(dim=1) > 0
    assert changed.nonzero().flatten().tolist() == [2, 3, 4]


def test_a_model_is_recurrent_by_its_config_and_the_rest_is_as_it_was(model):
    before = answered(model)
    model.denoiser.recurrent = True
    assert not torch.allclose(answered(model), before, atol=1e-3)
    model.denoiser.recurrent = False
    assert torch.equal(answered(model), before)
    assert HMInterp.build(replace(BASE, recurrent=True)).denoiser.recurrent


# Motion attention


def test_motion_attention_is_silent_at_first_and_changes_what_is_said_later(model):
    before = answered(model)
    model.denoiser.motion_attention = MotionAttention(BASE.channels[0], 32)
    assert torch.equal(answered(model), before)
    stir(model.denoiser.motion_attention)
    assert not torch.allclose(answered(model), before, atol=1e-3)


def test_motion_attention_fits_the_guiders_features_to_the_first_convolution(model):
    """Its inputs are those features, and what the convolution says before anything is added."""
    seen = []

    class Listens(MotionAttention):
        def forward(self, guided, unet, frames):
            seen.append((guided, unet, frames))
            return torch.ones_like(guided)

    noisy, conditions = asked(model)
    moment = torch.tensor([100, 400])
    model.denoiser.motion_attention = Listens(BASE.channels[0], 32)
    made = model.denoiser(noisy, moment, conditions.tokens, conditions.added, conditions.references)
    ((guided, unet, frames),) = seen
    assert frames == FRAMES
    assert torch.equal(guided, conditions.added)
    assert torch.equal(unet, model.denoiser.unet.conv_in(noisy.transpose(1, 2).flatten(0, 1)))
    model.denoiser.motion_attention = None
    plus = model.denoiser(noisy, moment, conditions.tokens, conditions.added + 1, conditions.references)
    assert torch.allclose(made, plus, atol=1e-4)


def test_motion_attention_reads_its_frame_in_space_and_its_place_in_time():
    module = stir(MotionAttention(32, 32), 0.5).eval()
    guided, unet = torch.randn(2 * FRAMES, 32, 4, 5), torch.randn(2 * FRAMES, 32, 4, 5)
    before = module(guided, unet, FRAMES)
    assert before.shape == guided.shape
    for which in (0, 1):
        changed = [guided.clone(), unet.clone()]
        changed[which][FRAMES + 2, :, 1, 1] *= -3
        differs = (module(*changed, FRAMES) - before).norm(dim=1) > 0
        assert not differs[:FRAMES].any()  # another gap
        assert differs[FRAMES + 2].all()  # all of the frame hears of it
        assert differs[FRAMES:].flatten(1).any(1).all()  # and through these, other frames
    turned = module(guided.flip(0), unet.flip(0), FRAMES)
    assert not torch.allclose(turned.flip(0), before, atol=1e-3)  # the order of frames counts
    assert not torch.allclose(module(guided.flip(3), unet.flip(3), FRAMES).flip(3), before, atol=1e-3)  # and places


def test_motion_attention_needs_a_width_that_its_heads_share():
    with pytest.raises(UserError, match="4 heads"):
        replace(BASE, motion_attention=30)


# Adapters


def test_adapters_are_silent_at_first_heard_later_and_gone_without_a_trace(model):
    before, weights, config = answered(model), model.state_dict(), model.config
    weights = {name: tensor.clone() for name, tensor in weights.items()}
    adapters = Adapters(model, PLAIN)
    adapters.attach(model)
    assert torch.equal(answered(model), before)
    stir(adapters)
    assert not torch.allclose(answered(model), before, atol=1e-2)
    adapters.detach(model)
    assert torch.equal(answered(model), before)
    assert model.config == config
    now = model.state_dict()
    assert set(now) == set(weights)
    assert all(torch.equal(now[name], tensor) for name, tensor in weights.items())


def test_each_group_is_heard_and_reaches_all_its_attentions(model):
    adapters = Adapters(model, PLAIN)
    over_time = [name for name, _ in model.denoiser.unet.named_modules() if name.endswith((".attn1", ".attn2"))]
    over_time = [name for name in over_time if ".motion_modules." in name]
    assert len(adapters.temporal) == 4 * len(over_time) > 0
    assert len(adapters.recurrent) == 4 * len(sites(model.denoiser.unet)) > 0
    adapters.attach(model)
    for group in (adapters.temporal, adapters.recurrent):
        before = answered(model)
        for name, layer in group.items():
            attention, _, linear = name.replace("/", ".").partition(".to_")
            weight = model.denoiser.unet.get_submodule(attention).get_submodule(f"to_{linear}").weight
            torch.nn.init.normal_(layer.up)
            changed = model.denoiser.unet.get_submodule(attention).get_submodule(f"to_{linear}").weight
            assert not torch.equal(changed, weight)
        assert not torch.allclose(answered(model), before, atol=1e-3)


def test_low_rank_is_low_and_its_first_step_is_as_far_as_a_whole_weights():
    weight = torch.randn(64, 48)
    layer = LowRank(weight, 16)
    optimizer = torch.optim.Adam(layer.parameters(), 1e-3)
    (layer(weight) * torch.randn(64, 48)).sum().backward()
    optimizer.step()
    step = layer.up @ layer.down
    assert torch.allclose(layer(weight), weight + step)
    assert torch.linalg.matrix_rank(step) == 16
    assert step.std().item() == pytest.approx(1e-3, rel=0.1)
    half = LowRank(weight.half(), 16)
    assert half(weight.half()).dtype == torch.float16


def test_merged_adapters_make_an_ordinary_model(model, tmp_path):
    adapters = Adapters(model, replace(PLAIN, recurrent=True))
    stir(adapters)
    adapters.attach(model)
    expected = answered(model)
    adapters.merge(model)
    assert torch.allclose(answered(model), expected, atol=1e-6)
    model.save(tmp_path / "merged")
    again = HMInterp.load(tmp_path / "merged")
    assert again.config == replace(BASE, motion_attention=32, recurrent=True)
    assert torch.allclose(answered(again), expected, atol=1e-6)


def test_a_tuned_model_is_not_tuned_again(model):
    Adapters(model, PLAIN).attach(model)
    with pytest.raises(UserError, match="tuned already"):
        Adapters(model, PLAIN).attach(model)


# Tuned models


@pytest.fixture
def tuned(model, tmp_path, monkeypatch):
    """A model "base", and "hers" that was tuned on it, where models are looked for; and what "hers" says."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    there = tmp_path / "hminterp"
    model.save(there / "base")
    adapters = stir(Adapters(model, replace(PLAIN, recurrent=True)))
    adapters.attach(model)
    said = Tuned("base", hashes_of(there / "base"), adapters.adaptation, {"footage": "ABC"})
    save_tuned(there / "hers", adapters, model.config, said)
    return there, answered(model), said


def test_a_tuned_model_comes_back(tuned):
    there, expected, said = tuned
    assert Tuned.read(there / "hers" / ADAPTERS) == said
    assert {file.name for file in (there / "hers").iterdir()} == {"config.json", "hashes.json", ADAPTERS}
    again = load_tuned(there / "base", there / "hers" / ADAPTERS)
    assert torch.allclose(answered(again), expected, atol=1e-6)
    assert again.config == Config.load(there / "hers")
    assert not any(parameter.requires_grad for parameter in again.parameters())
    half = load_tuned(there / "base", there / "hers" / ADAPTERS, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.denoiser.parameters()} == {torch.bfloat16}
    assert ((answered(half.float()) - expected).norm() / expected.norm()).item() < 0.05


def test_a_tuned_model_is_an_engines_model_and_its_version_knows_the_adapters(tuned):
    there, expected, _ = tuned
    engine, base = (open_engine(EngineChoice("hminterp", model=name)) for name in ("hers", "base"))
    assert engine.version != base.version
    loaded = engine._load(torch.device("cpu"), torch.float32, SILENT)
    assert torch.allclose(answered(loaded), expected, atol=1e-6)
    file = there / "hers" / ADAPTERS
    tensors, said = load_file(file), Tuned.read(file)
    adapters = load_adapters(file, HMInterp.load(there / "base"))
    assert set(adapters.state_dict()) == set(tensors)
    adapters.motion.leave.bias.data += 1
    save_tuned(there / "hers", adapters, Config.load(there / "hers"), said)
    assert open_engine(EngineChoice("hminterp", model="hers")).version != engine.version


def test_memory_is_told_with_what_adapters_add(tuned):
    there, _, _ = tuned
    with_it, without = (
        estimate(Config.load(there / name), height=32, width=32, place=choose("cpu")) for name in ("hers", "base")
    )
    assert with_it.weights["denoiser"] > without.weights["denoiser"]
    assert with_it.phases["denoise"] > without.phases["denoise"]


def test_a_base_that_is_gone_or_changed_is_said(tuned):
    there, _, _ = tuned
    hashes = json.loads((there / "base" / "hashes.json").read_text())
    (there / "base" / "hashes.json").write_text(json.dumps(hashes | {"config.json": "other"}))
    with pytest.raises(UserError, match="was changed since"):
        open_engine(EngineChoice("hminterp", model="hers"))
    (there / "base").rename(there / "moved")
    with pytest.raises(UserError, match='"base", which is not here'):
        open_engine(EngineChoice("hminterp", model="hers"))


def test_adapters_that_do_not_fit_are_refused(tuned, model, tmp_path):
    there, _, said = tuned
    file, other = there / "hers" / ADAPTERS, tmp_path / "other.safetensors"
    plain, tensors = HMInterp.load(there / "base"), load_file(file)
    about = {"format": "vmg adapters 1", "tuned": json.dumps(vars(said) | {"adaptation": vars(said.adaptation)})}

    def refused(match, tensors, metadata=about):
        save_file(tensors, other, metadata)
        with pytest.raises(UserError, match=match) as caught:
            load_adapters(other, plain)
        assert caught.value.remedy == "Tune the model again."

    first = next(iter(tensors))
    refused("has no", {name: tensor for name, tensor in tensors.items() if name != first})
    refused("does not belong", tensors | {"temporal.more": tensors[first].clone()})
    refused("another shape", tensors | {first: torch.zeros(3, 3)})
    refused("no adapters of this version", tensors, {"format": "pt"})
    refused("does not say", tensors, {"format": "vmg adapters 1"})
    refused("does not say", tensors, about | {"tuned": json.dumps({"base": "base"})})
    other.write_bytes(file.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read"):
        load_adapters(other, plain)
    with pytest.raises(UserError, match="has no"):
        load_adapters(file, HMInterp.build(replace(BASE, layers=2), "meta"))
