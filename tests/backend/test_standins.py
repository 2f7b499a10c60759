"""Stand-ins with tiny random models in the real layout: what they are given, what comes back, when they stop.

Independent truth: diffusers' own pipelines, assembled from the same folders by their own loading code.
"""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import (
    AnimateDiffControlNetPipeline,
    AnimateDiffSparseControlNetPipeline,
    AutoencoderKL,
    AutoencoderKLWan,
    ControlNetModel,
    DPMSolverMultistepScheduler,
    MotionAdapter,
    SparseControlNetModel,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from diffusers.pipelines.wan import pipeline_wan_vace
from PIL import Image
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers import models as tokenizing
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, UMT5Config, UMT5EncoderModel

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.files import content_hash
from vmg_backend.interpolation import engines
from vmg_backend.interpolation.crop import crop_of
from vmg_backend.interpolation.engines import make_engine
from vmg_backend.interpolation.gap_maps import draw_gap
from vmg_backend.interpolation.hardware import hardware
from vmg_backend.interpolation.hminterp.denoiser import motion_modules
from vmg_backend.interpolation.hminterp.devices import Placement
from vmg_backend.interpolation.hminterp.memory import Estimate, Live, Stage
from vmg_backend.interpolation.interpolator import Continuation, Gap, HoldsModel
from vmg_backend.interpolation.standins import opening, sparsectrl, words
from vmg_backend.interpolation.standins.engine import Feed
from vmg_backend.interpolation.standins.memory import plan
from vmg_backend.interpolation.standins.needs import NEEDS, missing_models
from vmg_backend.interpolation.standins.sparsectrl import FRAMES, SparseCtrl
from vmg_backend.interpolation.standins.vace import Vace
from vmg_backend.models import Held, Installed, find_model, models_root
from vmg_backend.motion.gap import Side
from vmg_backend.pose.maps import VACE, VMG, draw
from vmg_backend.pose.skeletons import MEDIAPIPE
from vmg_backend.progress import SILENT, Progress
from vmg_backend.protocol import EngineChoice, Look

NAMES = ("vace", "sparsectrl")
SIDE, STEPS = 64, 2
CPU = Placement(torch.device("cpu"), torch.float32)
HEIGHT, WIDTH, JOINTS = 108, 192, len(MEDIAPIPE.joints)


# -- the models, in the files that `vmg models get` would bring --------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyzA,."


def loud(network: torch.nn.Module) -> torch.nn.Module:
    """The network with what is silent at first (zero-initialised) made to speak."""
    for name, parameter in network.named_parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1 if name.endswith("weight") else 0.0)
    return network


def note(name: str) -> None:
    """Write the record that a download ends with."""
    model = find_model(name)
    files = [file for file in sorted(model.folder.rglob("*")) if file.is_file()]
    held = [Held(f.relative_to(model.folder).as_posix(), f.stat().st_size, content_hash(f), "hub") for f in files]
    Installed(name, model.hub, model.revision, model.licence.name, tuple(held)).save(model.folder)


def save_wan() -> None:
    """Wan2.1-VACE."""
    torch.manual_seed(0)
    folder = find_model("wan-vace").folder
    AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    ).save_pretrained(folder / "vae")
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, text_dim=32, freq_dim=32, ffn_dim=32, num_layers=2,
        vace_layers=[0], vace_in_channels=96,
    )  # fmt: skip
    loud(transformer).save_pretrained(folder / "transformer", max_shard_size="100KB")  # in pieces, as the real one
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0).save_pretrained(
        folder / "scheduler"
    )
    text = UMT5EncoderModel(
        UMT5Config(
            vocab_size=64, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
        )
    )
    text.save_pretrained(folder / "text_encoder")
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *((letter, -3.0) for letter in LETTERS)]
    tokenizer = Tokenizer(tokenizing.Unigram(words, unk_id=2))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    (folder / "tokenizer").mkdir()
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "extra_ids": 0}
    config = {"tokenizer_class": "T5Tokenizer", **special}
    (folder / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    kinds = {
        "tokenizer": ["transformers", "T5Tokenizer"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "transformer": ["diffusers", "WanVACETransformer3DModel"],
    }
    index = {"_class_name": "WanVACEPipeline", "_diffusers_version": "0.34.0", **kinds}
    (folder / "model_index.json").write_text(json.dumps(index))
    note("wan-vace")


def save_animatediff() -> None:
    """AnimateDiff, SparseCtrl, OpenPose's ControlNet, and what they need of Stable Diffusion 1.5."""
    torch.manual_seed(0)
    folders = {
        name: find_model(name).folder
        for name in ("sd15-unet", "sd15-text", "sd-vae", "animatediff-v3", "sparsectrl-rgb", "controlnet-openpose")
    }
    channels = {"block_out_channels": (64, 64), "layers_per_block": 1, "cross_attention_dim": 32}
    down = ("CrossAttnDownBlock2D", "DownBlock2D")
    UNet2DConditionModel(
        down_block_types=down, up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=4, **channels
    ).save_pretrained(folders["sd15-unet"] / "unet", variant="fp16")
    pose = ControlNetModel(
        down_block_types=down, attention_head_dim=4, conditioning_embedding_out_channels=(16,) * 4, **channels
    )
    loud(pose).save_pretrained(folders["controlnet-openpose"], variant="fp16")
    motion = ("CrossAttnDownBlockMotion", "DownBlockMotion")
    sparse = SparseControlNetModel(
        down_block_types=motion, attention_head_dim=4, motion_num_attention_heads=4, **channels
    )
    loud(sparse).save_pretrained(folders["sparsectrl-rgb"])
    adapter = MotionAdapter(
        block_out_channels=(64, 64), motion_layers_per_block=1, motion_num_attention_heads=4, use_motion_mid_block=False
    )
    loud(adapter).save_pretrained(folders["animatediff-v3"])
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32), latent_channels=4,
    )  # fmt: skip
    with torch.no_grad():  # hardly any spread, so that one who draws latents finds their mean
        autoencoder.quant_conv.weight[4:], autoencoder.quant_conv.bias[4:] = 0.0, -30.0
    autoencoder.save_pretrained(folders["sd-vae"])
    text = folders["sd15-text"]
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=64, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )
    ).save_pretrained(text / "text_encoder", variant="fp16")  # fmt: skip
    letters = [form for letter in LETTERS.lower() for form in (letter, f"{letter}</w>")]
    words = {word: number for number, word in enumerate(dict.fromkeys(("<|startoftext|>", "<|endoftext|>", *letters)))}
    (text / "tokenizer").mkdir()
    (text / "tokenizer" / "vocab.json").write_text(json.dumps(words))
    (text / "tokenizer" / "merges.txt").write_text("#version: 0.2\n")
    special = {
        "bos_token": "<|startoftext|>",
        **dict.fromkeys(("eos_token", "unk_token", "pad_token"), "<|endoftext|>"),
    }
    (text / "tokenizer" / "special_tokens_map.json").write_text(json.dumps(special))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, **special}
    (text / "tokenizer" / "tokenizer_config.json").write_text(json.dumps(config))
    for name in folders:
        note(name)


# -- gaps --------------------------------------------------------------------------------------------------------------


def gap_of(length, given):
    random = np.random.default_rng(0)
    scene = random.integers(30, 220, (HEIGHT, WIDTH, 3), np.uint8)

    def frames(count):
        return np.stack([scene] * count)

    def poses(count):
        place = np.array([96.0, 54.0]) + random.uniform(-15, 15, (count, JOINTS, 2))
        return place.astype(np.float32), np.full((count, JOINTS), 0.9, np.float32)

    sides = [Continuation(frames(length), *poses(length)) for _ in range(2)]
    around = [Side(*poses(max(3, given))) for _ in range(2)]
    return Gap(frames(given), frames(given), *sides, scene, scene, *around, 3, Side(*poses(length)))


@pytest.fixture(scope="module", autouse=True)
def models(tmp_path_factory):
    """Both models; with one thread, a small size, few steps, and no network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def refuse(*_):
        raise AssertionError("something asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VMG_MODELS", str(tmp_path_factory.mktemp("models")))
        patch.setenv("VMG_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, refuse)
        patch.setattr(Vace, "size", SIDE)
        patch.setattr(SparseCtrl, "size", SIDE)
        patch.setattr(opening, "_DRAFT", STEPS)
        save_wan()
        save_animatediff()
        yield models_root()
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def made(models, middle):
    """Both engines, with their models loaded once."""
    made = {name: make_engine(EngineChoice(name, quality="draft", device="cpu")) for name in NAMES}
    for engine in made.values():
        engine._matting = middle
    return made


def gap_for(engine, length):
    return gap_of(length, engine.given(length))


# -- every engine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "length"), [("vace", 5), ("vace", 12), ("sparsectrl", 5), ("sparsectrl", 15)])
def test_a_gap_is_filled_and_what_is_real_stays(made, name, length):
    gap = gap_for(made[name], length)
    result = made[name].fill(gap)
    assert result.shape == (length, HEIGHT, WIDTH, 3)
    assert result.dtype == np.uint8
    real = np.stack([gap.start] * length)
    assert np.array_equal(result[:, :, :20], real[:, :, :20])  # far from the person
    assert not np.array_equal(result, real)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_its_frames_and_the_guide_is_followed(made, name):
    engine, gap = made[name], gap_for(made[name], 5)
    first = engine.fill(gap)
    assert np.array_equal(first, engine.fill(gap))
    assert not np.array_equal(first, engine.fill(replace(gap, seed=4)))
    moved = replace(gap, guide=replace(gap.guide, joints=gap.guide.joints + np.float32(9.0)))
    assert not np.array_equal(first, engine.fill(moved))
    with pytest.raises(UserError, match="needs skeletons"):
        engine.fill(replace(gap, guide=None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stage", ["Encoding", "Denoising", "Decoding"])
def test_a_cancel_is_heard_before_the_next_call(made, name, stage):
    gap, heard = gap_for(made[name], 5), []

    def stop(fraction, now):
        heard.append(now)
        if heard.count(stage) == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        made[name].fill(gap, Progress(stop))
    assert heard[-2:] == [stage, stage]


@pytest.mark.parametrize("name", NAMES)
def test_progress_rises_and_previews_change_nothing(made, name):
    gap, heard, seen = gap_for(made[name], 5), [], []
    made[name]._model._steps, plain = STEPS, made[name].fill(gap)
    assert np.array_equal(made[name].fill(gap, Progress(lambda *told: heard.append(told[0])), seen.append), plain)
    assert heard == sorted(heard)
    assert max(heard) <= 1.0
    width, height = crop_of(gap, SIDE, made[name]._model.multiple).size
    assert [picture.shape for picture in seen] == [(height, width, 3)]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_held_until_it_is_released(name, middle):
    engine = make_engine(EngineChoice(name, quality="draft", device="cpu"))
    engine._matting = middle
    assert isinstance(engine, HoldsModel)
    assert not engine.held
    gap = gap_for(engine, 5)
    first = engine.fill(gap)
    assert engine.held
    engine.release()
    assert not engine.held
    assert np.array_equal(engine.fill(gap), first)


@pytest.mark.parametrize("name", NAMES)
def test_the_version_tells_what_decides_the_pixels(name, monkeypatch):
    def version(**choice):
        return make_engine(EngineChoice(name, device="cpu", **choice)).version

    assert version() == version()
    assert version() != version(quality="draft")
    before = version()
    record = find_model(NEEDS[name][0]).folder / "model.json"
    kept = record.read_text()
    try:
        record.write_text(kept.replace('"sha256": "', '"sha256": "0', 1))
        assert version() != before
    finally:
        record.write_text(kept)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missing_is_said_with_the_command_that_gets_it(name, monkeypatch, tmp_path):
    assert missing_models(name) == ()
    with pytest.raises(UserError, match="own model"):
        make_engine(EngineChoice(name, "mine"))
    monkeypatch.setenv("VMG_MODELS", str(tmp_path))
    assert missing_models(name) == NEEDS[name]
    with pytest.raises(UserError) as told:
        make_engine(EngineChoice(name))
    assert all(f"`vmg models get {model}`" in told.value.remedy for model in NEEDS[name])
    monkeypatch.setattr(engines, "missing_packages", lambda: ("diffusers",))
    with pytest.raises(UserError, match="diffusers, which are not installed"):
        make_engine(EngineChoice(name))


def test_blender_learns_what_is_not_downloaded(monkeypatch, tmp_path):
    assert hardware(Look()).lacking == ()
    monkeypatch.setenv("VMG_MODELS", str(tmp_path))
    assert {one.engine: one.models for one in hardware(Look()).lacking} == NEEDS


@pytest.mark.parametrize(
    ("name", "model", "file", "damage"),
    [
        ("vace", "wan-vace", "vae/diffusion_pytorch_model.safetensors", "gone"),
        ("vace", "wan-vace", "vae/diffusion_pytorch_model.safetensors", "cut"),
        ("sparsectrl", "sparsectrl-rgb", "diffusion_pytorch_model.safetensors", "a tensor"),
        ("sparsectrl", "sd15-text", "text_encoder/model.fp16.safetensors", "a tensor"),
    ],
)
def test_a_damaged_model_is_said(models, tmp_path, monkeypatch, name, model, file, damage):
    shutil.copytree(models, tmp_path / "models")
    monkeypatch.setenv("VMG_MODELS", str(tmp_path / "models"))
    engine = make_engine(EngineChoice(name, quality="draft", device="cpu"))
    path = tmp_path / "models" / model / file
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    else:
        from safetensors.torch import load_file, save_file

        tensors = load_file(path)
        tensors.popitem()
        save_file(tensors, path, {"format": "pt"})
    with pytest.raises(UserError, match=f"The model in .*{model}"):
        engine.fill(gap_for(engine, 5))


# -- how they are fed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", range(1, 60))
def test_every_gap_makes_a_number_of_frames_that_the_models_know(length):
    lead, trail = Vace.sides(Vace, length)
    assert (lead + length + trail) % 4 == 1
    assert lead % 4 == 1  # latent frames at both ends hold nothing but real frames
    assert 4 <= trail <= 7
    lead, trail = SparseCtrl.sides(SparseCtrl, length)
    assert min(lead, trail) >= 1
    assert lead + length + trail == max(FRAMES, length + 2)
    assert 0 <= lead - trail <= 1


@pytest.mark.parametrize("length", [5, 12])
def test_vace_is_given_real_frames_at_both_ends_and_poses_between(made, monkeypatch, length):
    handed = {}
    call = WanVACEPipeline.__call__
    monkeypatch.setattr(WanVACEPipeline, "__call__", lambda self, **said: handed.update(said) or call(self, **said))
    gap = gap_for(made["vace"], length)
    noisy = np.random.default_rng(2).integers(0, 255, (2, *gap.lead.shape), np.uint8)
    gap = replace(gap, lead=noisy[0], trail=noisy[1])
    made["vace"].fill(gap)
    crop = crop_of(gap, SIDE, 16)
    lead, trail = 5, 4 + -length % 4
    video, mask = handed["video"][0], handed["mask"][0]
    assert len(video) == len(mask) == handed["num_frames"] == lead + length + trail
    assert (handed["width"], handed["height"]) == crop.size
    real = [*gap.lead[-lead:], *gap.trail[:trail]]
    ends = np.r_[:lead, lead + length : len(video)]
    assert np.array_equal(np.rint(255 * video[ends]), [crop.cut(frame) for frame in real])
    assert not mask[ends].any()
    assert (mask[lead : lead + length] == 1).all()
    maps = draw_gap(gap, crop, VACE, lead, trail)[lead : lead + length]
    assert maps.any(axis=(1, 2, 3)).all()
    assert np.array_equal(np.rint(255 * video[lead : lead + length]), maps)
    assert handed["negative_prompt_embeds"].shape == handed["prompt_embeds"].shape == (1, 512, 32)


def test_vaces_poses_have_no_hands_and_swapped_colours():
    gap = gap_of(2, 3)
    pose = gap.before.joints[0], gap.before.confidence[0]
    plain = draw(*pose, MEDIAPIPE, (192, 192), replace(VMG, canvas=1024, face=True, hands=False))
    drawn = draw(*pose, MEDIAPIPE, (192, 192), VACE)
    assert np.array_equal(drawn, plain[..., ::-1])
    assert not np.array_equal(plain, draw(*pose, MEDIAPIPE, (192, 192), replace(VMG, canvas=1024, face=True)))


def test_sparsectrl_is_given_real_frames_at_both_ends_and_every_pose(made, monkeypatch):
    told = []
    monkeypatch.setattr(
        sparsectrl,
        "sample",
        lambda networks, conditions, *rest: told.append(conditions) or torch.zeros_like(conditions.seen),
    )
    gap = gap_for(made["sparsectrl"], 11)
    made["sparsectrl"].fill(gap)
    (conditions,) = told
    assert conditions.mask.amin((0, 1, 3, 4)).tolist() == [1, 1, 1, *[0] * 11, 1, 1]
    assert torch.equal(conditions.mask.amin((3, 4)), conditions.mask.amax((3, 4)))
    assert not conditions.seen[:, :, 3:14].any()
    crop = crop_of(gap, SIDE, 64)
    networks = made["sparsectrl"]._opened[1].args[0]
    picture = torch.from_numpy(crop.cut(gap.start)).permute(2, 0, 1)[None] / 127.5 - 1
    latents = networks.autoencoder.encode(picture).latent_dist.mean * networks.autoencoder.config.scaling_factor
    assert torch.allclose(conditions.seen[:, :, 2], latents, atol=1e-5)
    maps = draw_gap(gap, crop, VMG, 3, 2)
    assert torch.allclose(conditions.maps, torch.from_numpy(maps).permute(0, 3, 1, 2) / 255)


# -- against diffusers' own pipelines ----------------------------------------------------------------------------------


def feed_of(lead, length, trail, side=SIDE):
    random = np.random.default_rng(0)
    frames, maps = random.integers(0, 255, (2, lead + length + trail, side, side, 3), np.uint8)
    given = np.ones(len(frames), bool)
    given[lead:-trail] = False
    frames[~given] = 0
    return Feed(frames, given, maps)


def pictures(frames):
    return [Image.fromarray(frame) for frame in frames]


def test_vace_makes_what_the_whole_pipeline_makes(monkeypatch):
    """Loaded by `from_pretrained` as a whole, text encoder and tokenizer too, and fed with pictures and words."""
    monkeypatch.setattr(pipeline_wan_vace, "ftfy", type("", (), {"fix_text": str})(), raising=False)
    folder, feed = find_model("wan-vace").folder, feed_of(5, 4, 4)
    dtypes = {"text_encoder": torch.bfloat16, "default": torch.float32}
    whole = WanVACEPipeline.from_pretrained(folder, torch_dtype=dtypes, local_files_only=True)
    whole.scheduler = UniPCMultistepScheduler.from_config(whole.scheduler.config, flow_shift=3.0)
    black, white = (Image.new("L", (SIDE, SIDE), level) for level in (0, 255))
    wanted = whole(
        prompt=words.WORDS[1],
        negative_prompt=words.WORDS[0],
        video=pictures(np.where(feed.given[:, None, None, None], feed.frames, feed.maps)),
        mask=[black if given else white for given in feed.given],
        height=SIDE, width=SIDE, num_frames=13, num_inference_steps=4, guidance_scale=5.0,
        generator=torch.Generator().manual_seed(7), output_type="np",
    ).frames[0]  # fmt: skip
    generate = Vace(folder, "hashes", 4).open(CPU, False, SILENT)
    result = generate(feed, 7, SILENT, None)
    assert np.abs(255 * wanted - result).max() < 0.51
    assert result.std() > 5


def networks_of(silent):
    """The parts of SparseCtrl's engine, one of which says nothing."""
    networks = (
        make_engine(EngineChoice("sparsectrl", quality="draft", device="cpu"))._model.open(CPU, False, SILENT).args[0]
    )
    for controller in silent:
        for layer in (*controller(networks).controlnet_down_blocks, controller(networks).controlnet_mid_block):
            torch.nn.init.zeros_(layer.weight)
            torch.nn.init.zeros_(layer.bias)
    return networks


def conditions_for(networks, feed):
    prompts = torch.randn(2, 77, 32, generator=torch.Generator().manual_seed(3))
    return sparsectrl._conditions(networks.autoencoder, feed, prompts, SILENT)


def latents_of(pipeline, prompts, steps, **said):
    return pipeline(
        prompt_embeds=prompts[1:], negative_prompt_embeds=prompts[:1], num_frames=FRAMES, num_inference_steps=steps,
        guidance_scale=7.5, generator=torch.Generator().manual_seed(7), output_type="latent", height=SIDE, width=SIDE,
        **said,
    ).frames  # fmt: skip


def scheduler():
    return DPMSolverMultistepScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear", algorithm_type="dpmsolver++", use_karras_sigmas=True
    )


def close(latents, wanted):
    return (latents - wanted).norm() / wanted.norm() < 1e-4


def test_without_poses_sparsectrl_is_diffusers_own_pipeline():
    networks, feed = networks_of([lambda parts: parts.pose]), feed_of(3, 10, 3)
    told = conditions_for(networks, feed)
    pipeline = AnimateDiffSparseControlNetPipeline(
        networks.autoencoder, None, None, networks.unet, None, networks.sparse, scheduler()
    )
    wanted = latents_of(
        pipeline, told.words, 3,
        conditioning_frames=pictures(feed.frames[feed.given]),
        controlnet_frame_indices=np.flatnonzero(feed.given).tolist(),
    )  # fmt: skip
    assert close(sparsectrl.sample(networks, told, 7, 3), wanted)
    assert not close(sparsectrl.sample(networks_of([]), told, 7, 3), wanted)  # the poses are heard


def test_without_key_frames_it_is_the_pipeline_of_poses():
    networks, feed = networks_of([lambda parts: parts.sparse]), feed_of(3, 10, 3)
    told = conditions_for(networks, feed)
    pipeline = AnimateDiffControlNetPipeline(
        networks.autoencoder, None, None, networks.unet, None, networks.pose, scheduler()
    )
    wanted = latents_of(pipeline, told.words, 3, conditioning_frames=pictures(feed.maps))
    assert close(sparsectrl.sample(networks, told, 7, 3), wanted)
    assert not close(sparsectrl.sample(networks_of([]), told, 7, 3), wanted)  # the key frames are heard


def test_what_both_say_is_added(monkeypatch):
    networks, feed = networks_of([]), feed_of(3, 10, 3)
    told, added = conditions_for(networks, feed), {}
    noisy, moment = torch.randn(1, 4, FRAMES, 8, 8), torch.tensor(500)
    text = told.words[1].expand(FRAMES, -1, -1)
    handle = networks.unet.register_forward_pre_hook(lambda _, __, said: added.update(said), with_kwargs=True)
    sparsectrl._denoised(networks, noisy, moment, told.words[1], told)
    handle.remove()
    key = networks.sparse(noisy, moment, text, controlnet_cond=told.seen, conditioning_mask=told.mask)
    frames = noisy[0].transpose(0, 1)
    poses = networks.pose(frames, moment, text, controlnet_cond=told.maps)
    sums = [a + b for a, b in zip(key.down_block_res_samples, poses.down_block_res_samples, strict=True)]
    assert len(sums) == len(added["down_block_additional_residuals"]) == 4
    for mine, wanted in zip(added["down_block_additional_residuals"], sums, strict=True):
        assert torch.allclose(mine, wanted, atol=1e-6)
        assert wanted.any()
    middle = key.mid_block_res_sample + poses.mid_block_res_sample
    assert torch.allclose(added["mid_block_additional_residual"], middle, atol=1e-6)


def test_the_norms_of_the_motion_modules_are_of_each_frame():
    networks = networks_of([])
    norms = [module.norm for network in (networks.unet, networks.sparse) for module in motion_modules(network)]
    assert norms
    for norm in norms:
        features = torch.randn(1, norm.num_channels, 3, 4, 4)
        plain = torch.nn.GroupNorm(norm.num_groups, norm.num_channels, norm.eps)
        plain.load_state_dict(norm.state_dict())
        wanted = torch.stack([plain(features[:, :, frame]) for frame in range(3)], 2)
        assert torch.allclose(norm(features), wanted, atol=1e-6)


# -- words -------------------------------------------------------------------------------------------------------------


def test_the_text_encoder_is_needed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_CACHE", str(tmp_path))
    folder = find_model("wan-vace").folder
    first = words.umt5_words(folder, 512, "model", SILENT)
    assert first.shape == (2, 512, 32)
    assert first[0].any()
    assert not torch.equal(first[0], first[1])
    monkeypatch.setattr(words, "_umt5", lambda _: pytest.fail("read again"))
    assert torch.equal(words.umt5_words(folder, 512, "model", SILENT), first)
    assert words.umt5_words(folder, 5, "model", SILENT).shape == (2, 5, 32)
    (file,) = (tmp_path / "words").iterdir()
    file.write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        words.umt5_words(folder, 512, "model", SILENT)


def test_too_little_memory_for_the_text_encoder_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_CACHE", str(tmp_path))
    monkeypatch.setattr(words, "free_memory", lambda _: 1000)
    with pytest.raises(UserError, match=r"text encoder, needed once, takes .* GB of RAM, and 0.0 GB are free"):
        words.umt5_words(find_model("wan-vace").folder, 512, "model", SILENT)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_clips_words_are_those_of_diffusers():
    text = find_model("sd15-text").folder
    tokenizer = CLIPTokenizer.from_pretrained(text / "tokenizer", local_files_only=True)
    encoder = CLIPTextModel.from_pretrained(text / "text_encoder", variant="fp16", local_files_only=True)
    tokens = [
        tokenizer(text, padding="max_length", max_length=77, return_tensors="pt").input_ids for text in words.WORDS
    ]
    wanted = torch.cat([encoder(each)[0] for each in tokens])
    assert torch.allclose(words.clip_words(text), wanted, atol=1e-6)
    assert len(set(tokens[0][0].tolist())) > 10  # these are words, not unknown ones


# -- memory ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_is_refused_before_it_is_loaded(name, monkeypatch):
    engine = make_engine(EngineChoice(name, quality="draft", device="cpu"))
    engine._free = 1_000_000
    with pytest.raises(UserError, match=r"needs 0\.\d GB, and 0\.0 GB are free"):
        engine.fill(gap_for(engine, 5))
    assert not engine.held


@pytest.mark.parametrize(("name", "sides"), [("vace", (5, 4, 4)), ("sparsectrl", (3, 10, 3))])
def test_what_is_rehearsed_is_what_is_taken(name, sides):
    model, feed = make_engine(EngineChoice(name, quality="draft", device="cpu"))._model, feed_of(*sides)
    generate = model.open(CPU, False, SILENT)
    with torch.no_grad(), Live() as live:
        generate(feed, 1, SILENT, None)
    (stages,) = zip(*model.estimate(len(feed.given), (SIDE, SIDE), CPU).stages.values(), strict=True)
    assert live.peak == pytest.approx(max(stage.working for stage in stages), rel=0.05)


def test_parts_wait_only_where_memory_is_scarce():
    need = Estimate({"a": 50, "b": 50}, {"one": (Stage(("a",), 10),), "two": (Stage(("b",), 20),)}, False, 1.0)
    card, processor = (Placement(torch.device(name), torch.float16) for name in ("cuda", "cpu"))
    assert not plan(need, "It", card, 120)
    assert plan(need, "It", card, 119)
    assert plan(need, "It", card, 70)
    for place, free in ((card, 69), (processor, 119)):
        with pytest.raises(UserError, match="needs") as told:
            plan(need, "It", place, free)
        assert told.value.title == "Too little memory"
