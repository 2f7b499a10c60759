"""The authors' checkpoint: every name placed, at full size on the meta device; and the numbers of the published layout.

Checkpoints are rebuilt from our own modules by the rules' inverse, written here once more and on their own.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra [generate]")
pytest.importorskip("diffusers", reason="needs the extra [generate]")

from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from vmg_backend import models  # noqa: E402
from vmg_backend.cli import main  # noqa: E402
from vmg_backend.errors import Cancelled, UserError  # noqa: E402
from vmg_backend.interpolation.hminterp import importing  # noqa: E402
from vmg_backend.interpolation.hminterp.config import AUTHORS, TINY, Config  # noqa: E402
from vmg_backend.interpolation.hminterp.denoiser import Denoiser, FrameNorm, motion_modules  # noqa: E402
from vmg_backend.interpolation.hminterp.importing import Choices, import_checkpoint, lay_out  # noqa: E402
from vmg_backend.interpolation.hminterp.model import HMInterp  # noqa: E402
from vmg_backend.interpolation.hminterp.pose_guider import PoseGuider  # noqa: E402
from vmg_backend.interpolation.hminterp.reference import ReferenceNet  # noqa: E402
from vmg_backend.progress import Progress  # noqa: E402

SMALLEST = replace(
    TINY, motion_mid=True, references=1, seed="guider", seed_channels=(8, 8, 8, 16), decoder="none", decoder_channels=()
)
"""The authors' architecture at a test's size."""
THEIRS = {"denoiser": "denoising_unet", "reference": "reference_unet", "pose_guider": "pose_guider"}


def theirs(part: str, name: str) -> list[str]:
    """The names of a tensor of ours in a published checkpoint."""
    name = name.removeprefix("unet.")
    if ".motion_modules." in name:
        name = re.sub(r"(motion_modules\.\d+)", r"\1.temporal_transformer", name)
        for ours, others in {"attn1": "attention_blocks.0", "attn2": "attention_blocks.1", "norm3": "ff_norm"}.items():
            name = name.replace(f".{ours}.", f".{others}.")
        name = name.replace(".norm1.", ".norms.0.").replace(".norm2.", ".norms.1.")
    prefix = THEIRS.get(part, "whatever_the_guider_is_called")
    if name.endswith(".pos_embed.pe"):
        block = name.removesuffix("pos_embed.pe")
        return [f"{prefix}.{block}attention_blocks.{i}.pos_encoder.pe" for i in (0, 1)]
    return [f"{prefix}.{name}"]


def published(model: HMInterp) -> dict[str, torch.Tensor]:
    """A model of ours as the authors would have saved it."""
    return {
        name: tensor
        for part, module in model.named_children()
        if part in (*THEIRS, "seed_guider")
        for ours, tensor in module.state_dict().items()
        for name in theirs(part, ours)
    }


def filled(config: Config) -> HMInterp:
    """A model with numbers everywhere, also where training begins with zeros."""
    torch.manual_seed(3)
    model = HMInterp.build(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return model.eval()


@pytest.fixture(scope="module")
def small() -> HMInterp:
    return filled(SMALLEST)


@pytest.fixture
def tensors(small) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in published(small).items()}


def components(model: HMInterp):
    return lambda _config, _progress: {
        "autoencoder": model.autoencoder.state_dict(),
        "tokens": model.tokens.state_dict(),
    }


CHOICES = Choices(base=replace(SMALLEST, motion_mid=False, channels=(32, 32), longest=16))
"""What is read from the names is deliberately wrong in the base."""


def test_every_tensor_of_a_full_size_checkpoint_has_its_place():
    full = HMInterp.build(AUTHORS, "meta")
    checkpoint = lay_out(published(full), Choices(), "rebuilt")
    assert checkpoint.config == AUTHORS
    assert {name: len(part) for name, part in checkpoint.parts.items()} == {
        "denoiser": 1253,
        "reference": 682,
        "pose_guider": 16,
        "seed_guider": 16,
    }
    assert len(checkpoint.twins) == len(checkpoint.left_out) == 21
    count = {name: sum(tensor.numel() for tensor in part.values()) for name, part in checkpoint.parts.items()}
    assert count["reference"] == 859_508_800
    assert count["pose_guider"] == 1_086_480


def test_the_published_layout_at_full_size(media):
    file = media / "checkpoint" / "keys.json"
    if not file.exists():
        pytest.skip("VMG_MEDIA has no checkpoint/keys.json")
    layout = json.loads(file.read_text(encoding="utf-8"))
    tensors = {
        f"{prefix}.{name}": torch.empty(shape, device="meta")
        for prefix in THEIRS.values()
        for name, shape in layout[prefix].items()
    }
    assert len(tensors) == 1972
    checkpoint = lay_out(tensors, Choices(), "published")
    config = checkpoint.config
    assert (config.channels, config.layers, config.token_width) == ((320, 640, 1280, 1280), 2, 768)
    assert (config.motion_mid, config.motion_layers, config.longest) == (True, 1, 32)
    assert (config.pose_channels, config.seed) == ((16, 32, 96, 256), "none")
    placed = sum(len(part) for part in checkpoint.parts.values())
    assert placed + len(checkpoint.left_out) == 1972
    # Nothing but names was changed, and both ways of making such a checkpoint agree.
    ours = HMInterp.build(replace(AUTHORS, seed="none"), "meta")
    assert {name: list(tensor.shape) for name, tensor in published(ours).items()} == {
        name: list(tensor.shape) for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("wrapper", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_a_small_checkpoint_comes_through_whole(small, tensors, tmp_path, wrapper):
    source = tmp_path / "small.safetensors"
    save_file({wrapper + name: tensor for name, tensor in tensors.items()}, source)
    report = import_checkpoint(source, tmp_path / "imported", CHOICES, components=components(small))
    assert report.warnings == []
    assert report.tensors["denoiser"] == len(small.denoiser.state_dict())
    loaded = HMInterp.load(tmp_path / "imported")
    assert replace(loaded.config, name="", licence="", source="") == replace(
        SMALLEST, name="", licence="", source="", motion_norm="frame"
    )
    assert report.sha256 in loaded.config.source
    assert "Not known" in loaded.config.licence
    wanted = small.state_dict()
    assert set(loaded.state_dict()) == set(wanted)
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in loaded.state_dict().items())
    assert all(isinstance(module.norm, FrameNorm) for module in motion_modules(loaded.denoiser))


@pytest.mark.parametrize(
    ("source", "precision", "written"),
    [(torch.float32, "own", "F32"), (torch.bfloat16, "own", "BF16"), (torch.float32, "fp16", "F16")],
)
def test_a_model_keeps_its_precision_or_takes_half_the_size(small, tensors, tmp_path, source, precision, written):
    file = tmp_path / "small.safetensors"
    save_file({name: tensor.to(source) for name, tensor in tensors.items()}, file)
    choices = replace(CHOICES, precision=precision)
    report = import_checkpoint(file, tmp_path / "out", choices, components=components(small))
    parts = list((tmp_path / "out").glob("*.safetensors"))
    assert len(parts) == 6
    own = ("autoencoder", "tokens")  # in 32 bits, as their files
    assert {kind for part in parts if part.stem not in own for kind in kinds(part)} == {written}
    assert {kind for part in parts if part.stem in own for kind in kinds(part)} == {
        "F16" if precision == "fp16" else "F32"
    }
    assert report.bytes == sum(part.stat().st_size for part in (tmp_path / "out").iterdir())
    hashes = json.loads((tmp_path / "out" / "hashes.json").read_text(encoding="utf-8"))
    assert all(hashes[part.name] == importing.content_hash(part) for part in parts)
    wanted, loaded = small.state_dict(), HMInterp.load(tmp_path / "out").state_dict()
    assert all(torch.allclose(tensor, wanted[name], rtol=0.01, atol=1e-4) for name, tensor in loaded.items())


def kinds(file: Path) -> set[str]:
    with safe_open(file, "pt") as held:
        return {held.get_slice(name).get_dtype() for name in held.keys()}  # noqa: SIM118 - no mapping


@pytest.mark.parametrize("stage", ["Checking", "Looking", "Writing"])
def test_a_cancelled_import_leaves_nothing(small, tensors, tmp_path, stage):
    save_file(tensors, tmp_path / "small.safetensors")
    cancelled = threading.Event()

    def report(fraction: float, at: str) -> None:
        assert fraction < 1.0
        if at.startswith(stage):
            cancelled.set()

    with pytest.raises(Cancelled):
        import_checkpoint(
            *(tmp_path / "small.safetensors", tmp_path / "out", CHOICES, Progress(report, cancelled)),
            components=components(small),
        )
    assert [file.name for file in tmp_path.iterdir()] == ["small.safetensors"]


def test_a_number_that_half_precision_cannot_hold_is_refused(small, tensors, tmp_path):
    tensors["reference_unet.conv_in.bias"][3] = 1e6
    save_file(tensors, tmp_path / "small.safetensors")
    choices = replace(CHOICES, precision="fp16")
    with pytest.raises(UserError, match=r"unet\.conv_in\.bias holds numbers that are too large"):
        import_checkpoint(tmp_path / "small.safetensors", tmp_path / "out", choices, components=components(small))
    assert not (tmp_path / "out").exists()


def test_a_pickle_is_opened_only_where_its_hash_is_vouched_for(small, tensors, tmp_path, monkeypatch):
    source = tmp_path / "model.bin"
    torch.save({"state_dict": tensors, "step": 3}, source)
    with pytest.raises(UserError, match="SHA-256 is not known") as caught:
        import_checkpoint(source, tmp_path / "out", CHOICES, components=components(small))
    sha256 = str(caught.value).split("known here: ")[1].split()[0]
    with pytest.raises(UserError, match="has the SHA-256"):
        import_checkpoint(source, tmp_path / "out", replace(CHOICES, sha256="0" * 64), components=components(small))
    assert not (tmp_path / "out").exists()
    import_checkpoint(source, tmp_path / "out", replace(CHOICES, sha256=sha256.upper()), components=components(small))

    entry = replace(models.find_model("video-motion-graphs"), files=(models.File("a/model.bin", sha256=sha256),))
    monkeypatch.setattr(importing, "REGISTRY", (entry,))
    report = import_checkpoint(source, tmp_path / "out", CHOICES, components=components(small))
    assert report.config.licence == "CreativeML OpenRAIL-M"
    assert report.config.source == f"H-Liu1997/Video-Motion-Graphs: a/model.bin (SHA-256 {sha256})"


def test_a_pickle_with_more_than_tensors_is_refused(small, tmp_path):
    source = tmp_path / "model.bin"
    torch.save({"a": Path("x")}, source)
    choices = replace(CHOICES, sha256=importing.content_hash(source))
    with pytest.raises(UserError, match="cannot be read as tensors"):
        import_checkpoint(source, tmp_path / "out", choices, components=components(small))


KEY = "denoising_unet.down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0."


def rename(tensors, old, new):
    tensors[new] = tensors.pop(old)


def swap(tensors, one, other):
    tensors[one], tensors[other] = tensors[other], tensors[one]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t.pop(f"{KEY}attention_blocks.0.to_q.weight"),
            r"nothing fits denoiser\.unet\.down_blocks\.0\.motion_modules\.0\.transformer_blocks\.0\.attn1\.to_q\.",
        ),
        (lambda t: t.pop(f"{KEY}attention_blocks.0.pos_encoder.pe"), r"nothing fits denoiser\..*pos_embed\.pe"),
        (
            lambda t: t.update({"denoising_unet.mid_block.attn_temp.weight": torch.zeros(2)}),
            r"denoising_unet\.mid_block\.attn_temp\.weight has no place",
        ),
        (
            lambda t: t.update({f"{KEY}attention_blocks.2.to_q.weight": torch.zeros(2)}),
            r"attention_blocks\.2\.to_q\.weight has no place",
        ),
        (lambda t: t.update({"pose_guider.extra": torch.zeros(2)}), r"pose_guider\.extra has no place"),
        (lambda t: t.update({"other.weight": torch.zeros(2)}), r"other\.\* \(1 tensors\) has no place"),
        (lambda t: t.update({"lonely": torch.zeros(2)}), "lonely has no place"),
        (
            lambda t: swap(t, "reference_unet.conv_in.weight", "reference_unet.time_embedding.linear_1.weight"),
            r"reference_unet\.conv_in\.weight has the shape .*time_embedding\.linear_1\.weight has the shape",
        ),
        (
            lambda t: rename(t, "reference_unet.conv_in.weight", "reference_unet.conv_begin.weight"),
            r"conv_begin\.weight has no place; nothing fits reference\.unet\.conv_in\.weight",
        ),
        (lambda t: t.pop("denoising_unet.conv_in.weight"), r"conv_in\.weight is missing"),
        (lambda t: [t.pop(name) for name in list(t) if name.startswith("pose_guider")], r"nothing below pose_guider\."),
        (lambda t: [t.pop(name) for name in list(t) if "motion_modules" in name], "no motion modules"),
        (
            lambda t: t.update({"module.pose_guider.conv_in.bias": t["pose_guider.conv_in.bias"]}),
            r"pose_guider\.conv_in\.bias is there twice",
        ),
        (
            lambda t: t.update({"whatever_the_guider_is_called.conv_in.weight": torch.zeros(8, 5, 3, 3)}),
            "5 input channels, not 4",
        ),
        (
            lambda t: t.update({"denoising_unet.conv_in.weight": torch.zeros(32, 8, 3, 3)}),
            r"denoising_unet\.conv_in\.weight has 8 channels",
        ),
    ],
)
def test_what_cannot_be_placed_is_named(tensors, change, said):
    change(tensors)
    with pytest.raises(UserError, match=said):
        lay_out(tensors, CHOICES, "small")


def test_a_head_of_the_reference_net_is_left_out(tensors):
    tensors["reference_unet.conv_norm_out.weight"] = torch.zeros(32)
    assert "reference_unet.conv_norm_out.weight" in lay_out(tensors, CHOICES, "small").left_out


def test_without_the_seed_guider_or_with_a_widened_input(tensors):
    without = {name: tensor for name, tensor in tensors.items() if not name.startswith("whatever")}
    assert lay_out(without, CHOICES, "small").config.seed == "none"
    without["denoising_unet.conv_in.weight"] = torch.zeros(32, 9, 3, 3)
    assert lay_out(without, CHOICES, "small").config.seed == "widened"


def test_choices_that_names_do_not_tell(tensors):
    config = lay_out(tensors, replace(CHOICES, heads=4, seed_stride=8, betas="scaled_linear"), "small").config
    assert (config.heads, config.seed_stride, config.betas) == (4, 8, "scaled_linear")
    with pytest.raises(UserError, match="heads"):
        lay_out(tensors, replace(CHOICES, heads=7), "small")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(tensors, wrong):
    tensors["reference_unet.conv_in.bias"][3] = wrong
    with pytest.raises(UserError, match=r"reference\.unet\.conv_in\.bias"):
        importing.check_values(lay_out(tensors, CHOICES, "small"))


def test_codes_that_differ_from_their_twin_are_refused(tensors):
    tensors[f"{KEY}attention_blocks.1.pos_encoder.pe"][0, 1, 1] += 0.001
    with pytest.raises(UserError, match=re.escape(f"{KEY}attention_blocks.1.pos_encoder.pe")):
        importing.check_values(lay_out(tensors, CHOICES, "small"))


def test_layers_that_were_never_trained_are_said(tensors):
    module = "denoising_unet.down_blocks.0.motion_modules.0.temporal_transformer"
    tensors[f"{module}.proj_out.weight"].zero_()
    tensors["reference_unet.down_blocks.0.attentions.0.proj_out.weight"].zero_()  # of no meaning
    (sentence,) = importing.check_values(lay_out(tensors, CHOICES, "small"))
    assert "denoiser.unet.down_blocks.0.motion_modules.0.proj_out.weight" in sentence
    assert "reference" not in sentence


def test_other_position_codes_are_said(tensors):
    for i in (0, 1):
        tensors[f"{KEY}attention_blocks.{i}.pos_encoder.pe"][0, 2] += 0.1
    (sentence,) = importing.check_values(lay_out(tensors, CHOICES, "small"))
    assert "down_blocks.0.motion_modules.0.transformer_blocks.0.pos_embed.pe" in sentence


def test_codes_in_half_precision_are_near_enough(tensors):
    half = {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}
    assert importing.check_values(lay_out(half, CHOICES, "small")) == []


def test_a_folder_that_holds_something_else_is_not_replaced(small, tensors, tmp_path):
    source, kept = tmp_path / "small.safetensors", tmp_path / "holiday" / "picture.png"
    save_file(tensors, source)
    kept.parent.mkdir()
    kept.write_bytes(b"x")
    with pytest.raises(UserError, match="no model"):
        import_checkpoint(source, kept.parent, CHOICES, components=components(small))
    assert kept.exists()


def test_autoencoders_of_older_files_have_other_names(small):
    targets = small.autoencoder.state_dict()
    older = {}
    for name, tensor in targets.items():
        for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
            name = re.sub(rf"(attentions\.\d+)\.{re.escape(new)}\.", rf"\1.{old}.", name)
        older[name] = tensor
    assert set(older) != set(targets)
    for given in (older, targets):
        placed = importing.place(given, importing._AUTOENCODER, targets, "vae")
        assert all(placed[name] is tensor for name, tensor in targets.items())


def test_the_image_encoder_at_full_size():
    targets = HMInterp.build(AUTHORS, "meta").tokens.state_dict()
    given = {name.removeprefix("encoder."): tensor for name, tensor in targets.items()}
    given["vision_model.embeddings.position_ids"] = torch.empty(1, 257, device="meta")
    assert set(importing.place(given, importing._CLIP, targets, "clip")) == set(targets)


def test_without_the_autoencoder_the_command_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_MODELS", str(tmp_path))
    with pytest.raises(UserError, match="vmg models get sd-vae"):
        importing.public_components(SMALLEST)


class Parity:
    """The published layout in miniature, through our own classes."""

    def __init__(self, folder: Path) -> None:
        with safe_open(folder / "parity_net.safetensors", "pt") as file:
            self.told = json.loads(file.metadata()["config"])
        tensors = load_file(folder / "parity_net.safetensors")
        self.checkpoint = lay_out({name: tensor.float() for name, tensor in tensors.items()}, Choices(), "parity")
        self.io = load_file(folder / "parity_io.safetensors")
        config = self.checkpoint.config
        self.denoiser, self.reference, self.pose = Denoiser(config), ReferenceNet(config), PoseGuider(config)
        for name, module in (("denoiser", self.denoiser), ("reference", self.reference), ("pose_guider", self.pose)):
            importing.fill(module, self.checkpoint.parts[name], name)
            module.eval()

    def __call__(self, case: str, **more: object) -> torch.Tensor:
        noisy = self.io[f"{case}.x"]
        tokens = self.io[f"{case}.e"].repeat_interleave(noisy.shape[2], 0)
        return self.denoiser(noisy, self.io[f"{case}.t"], tokens, **more)

    def features(self, case: str) -> torch.Tensor:
        return self.io[f"{case}.pf"].transpose(1, 2).flatten(0, 1)


@pytest.fixture(scope="module")
def parity(media) -> Parity:
    if not (media / "checkpoint" / "parity_net.safetensors").exists():
        pytest.skip("VMG_MEDIA has no checkpoint/parity_net.safetensors")
    with torch.no_grad():
        return Parity(media / "checkpoint")


def error(found: torch.Tensor, true: torch.Tensor) -> float:
    assert found.shape == true.shape
    return float((found - true).norm() / true.norm())


def test_the_config_is_read_from_the_names(parity):
    config, told = parity.checkpoint.config, parity.told
    assert config.channels == tuple(told["block_out_channels"])
    assert (config.layers, config.token_width) == (told["layers_per_block"], told["cross_attention_dim"])


@pytest.mark.parametrize("case", ["a", "odd"])
@torch.no_grad()
def test_plain_and_posed_outputs_are_reproduced(parity, case):
    assert error(parity(case), parity.io[f"{case}.plain"]) < 1e-5
    maps = parity.io[f"{case}.pose"]
    assert error(parity.pose(maps), parity.features(case)) < 1e-5
    assert error(parity(case, added=parity.pose(maps)), parity.io[f"{case}.posed"]) < 1e-5


@torch.no_grad()
def test_outputs_with_a_reference_are_reproduced(parity):
    io = parity.io
    references = parity.denoiser.references(parity.reference(io["a.rl"], io["a.e"]), 1)
    posed = parity.features("a")  # as the reference outputs were made
    assert error(parity("a", references=references, added=posed), io["a.refd"]) < 1e-5
    guided = references.batched([False, True])
    assert error(parity("a", references=guided, added=posed), io["a.refd_cfg"]) < 1e-5
    plain = parity("a", references=references.batched([False, False]))
    assert error(plain, io["a.plain"]) < 1e-5


@torch.no_grad()
def test_the_reference_net_is_reproduced(parity):
    io = parity.io
    body = parity.reference.unet(io["a.rl"], 0, io["a.e"], return_dict=False)[0]
    assert error(body, io["a.ref_out"]) < 1e-5


@torch.no_grad()
def test_one_motion_module_is_reproduced(parity):
    x = parity.io["mm.x"]
    module = parity.denoiser.unet.down_blocks[1].motion_modules[0]
    y = module(x.transpose(1, 2).flatten(0, 1), num_frames=x.shape[2])
    y = getattr(y, "sample", y)
    assert error(y.unflatten(0, (-1, x.shape[2])).transpose(1, 2), parity.io["mm.y"]) < 1e-5


@torch.no_grad()
def test_statistics_over_the_clip_would_not_reproduce_it(parity):
    """The test can fail: diffusers' own GroupNorm of the motion modules is another network."""
    stock = Denoiser(replace(parity.checkpoint.config, motion_norm="clip"))
    stock.load_state_dict(parity.denoiser.state_dict())
    tokens = parity.io["a.e"].repeat_interleave(parity.io["a.x"].shape[2], 0)
    assert error(stock(parity.io["a.x"], parity.io["a.t"], tokens), parity.io["a.plain"]) > 1e-2


def asked(capsys, *words: str) -> tuple[int, dict]:
    code = main(["models", "import", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_the_verb(small, tensors, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("VMG_MODELS", str(tmp_path / "models"))
    source = tmp_path / "mine.safetensors"
    save_file(tensors, source)
    code, said = asked(capsys, str(source))
    assert code == 2
    assert "vmg models get sd-vae" in said["error"]["remedy"]

    monkeypatch.setattr("vmg_backend.model_verbs.need", lambda name: tmp_path / name)
    code, said = asked(capsys, "sd-vae")
    assert code == 2
    assert "needs no import" in said["error"]["message"]
    code, said = asked(capsys, "no such file")
    assert code == 2

    def imported(source: Path, out: Path, choices: Choices, progress: Progress) -> importing.Report:
        return import_checkpoint(source, out, replace(choices, base=SMALLEST), progress, components(small))

    monkeypatch.setattr(importing, "import_checkpoint", imported)
    code, said = asked(capsys, str(source), "--heads", "4", "--betas", "scaled_linear", "--precision", "fp16")
    assert code == 0
    assert kinds(Path(said["out"]) / "denoiser.safetensors") == {"F16"}
    assert Path(said["out"]) == tmp_path / "models" / "hminterp" / "mine"
    assert (said["config"]["heads"], said["config"]["betas"], said["config"]["name"]) == (4, "scaled_linear", "mine")
    assert models.own_models() == [Path(said["out"])]
    assert HMInterp.load(Path(said["out"])).config.heads == 4
