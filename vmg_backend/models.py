"""The model files that can be had, as data, and those that are here."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .errors import UserError
from .files import content_hash, write_json
from .progress import SILENT, Progress, shares

MODELS_VARIABLE = "VMG_MODELS"
RECORD = "model.json"
"""Beside a model's files: what they are, and their hashes."""
OWN = "hminterp"
"""The folder of models of our own form: imported and trained ones."""
_FORMAT = "vmg model 1"


@dataclass(frozen=True)
class Licence:
    """A licence in words, as far as that helps to decide; the text at `url` is what counts."""

    name: str
    words: str
    url: str


@dataclass(frozen=True)
class File:
    """A file of a model on its hub; ``FOLDER/*`` stands for all that lie directly in a folder.

    `size` (bytes) and `sha256` are None where they are not known here: then those that the hub states are checked, and
    where it states none, the first download's are recorded.
    """

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Model:
    """A model that can be downloaded.

    Attributes
    ----------
    name : str
        What it is called here, and the name of its folder.
    hub, revision : str
        Where it lies: ``https://huggingface.co/HUB``; the commit, or ``main`` where none is known here.
    files : tuple of File
        What is needed of it.
    licence : Licence
        Must be accepted before the download.
    purpose : str
        What it is for, in half a sentence.
    gigabytes : float
        10^9 bytes of all files, roughly: for people.
    needs : tuple of str
        Names of other models that it does not work without.
    """

    name: str
    hub: str
    revision: str
    files: tuple[File, ...]
    licence: Licence
    purpose: str
    gigabytes: float
    needs: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Where a person can read about it."""
        return f"https://huggingface.co/{self.hub}"

    @property
    def folder(self) -> Path:
        """Where its files are, or would be."""
        return models_root() / self.name


_OPENRAIL = Licence(
    "CreativeML OpenRAIL-M",
    "free, also for commercial work; forbids a list of harmful uses, and so must whoever passes it on",
    "https://huggingface.co/spaces/CompVis/stable-diffusion-license",
)
_APACHE = Licence(
    "Apache-2.0",
    "free for all uses; keep the notices when you pass it on",
    "https://www.apache.org/licenses/LICENSE-2.0",
)
_ANIMATEDIFF = Licence(
    "Apache-2.0 (AnimateDiff's; this page of the hub states none)",
    "free for all uses; keep the notices when you pass it on",
    "https://github.com/guoyww/AnimateDiff/blob/main/LICENSE.txt",
)
_MIT = Licence("MIT", "free for all uses; keep the notice when you pass it on", "https://opensource.org/license/mit")
_STABILITY = Licence(
    "Stability AI Community License",
    "free for research and for those who earn less than its limit with it; others need a paid one",
    "https://huggingface.co/stabilityai/stable-video-diffusion-img2vid-xt/blob/main/LICENSE.md",
)

CHECKPOINT = File(
    "finetune_weighted/checkpoint-8000/pytorch_model.bin",
    sha256="9cc0f0354c5ec4b33085196ba5786f845e0901fd1dc7159e57be14d972c371af",
)
"""The authors' networks, to be imported."""

# Hashes and sizes are those that the hub's pages or several public projects that pin the same commit state.
REGISTRY: tuple[Model, ...] = (
    Model(
        "video-motion-graphs",
        "H-Liu1997/Video-Motion-Graphs",
        "main",
        (CHECKPOINT,),
        _OPENRAIL,
        "HMInterp as its authors trained it: 3 + 8 + 3 frames at Stable Diffusion 1.5's size; import it next",
        8.7,
        ("sd-vae", "clip-image-encoder"),
    ),
    Model(
        "sd-vae",
        "stabilityai/sd-vae-ft-mse",
        "31f26fdeee1355a5c34592e401dd41e45d25a493",
        (
            File("config.json", 547, "92d3dfb746fca211a2c9e019e285f8597412211728dce3c5bcf4eda0f2d62e7e"),
            File(
                "diffusion_pytorch_model.safetensors",
                334_643_276,
                "a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
            ),
        ),
        _MIT,
        "the autoencoder of every model of Stable Diffusion 1.5's size",
        0.33,
    ),
    Model(
        "clip-image-encoder",
        "lambdalabs/sd-image-variations-diffusers",
        "42bc0ee1726b141d49f519a6ea02ccfbf073db2e",
        (
            File("image_encoder/config.json"),
            File(
                "image_encoder/pytorch_model.bin",
                1_215_993_967,
                "89d2aa29b5fdf64f3ad4f45fb4227ea98bc45156bbae673b85be1af7783dbabb",
            ),
        ),
        _OPENRAIL,
        "CLIP ViT-L/14: tells the networks in one token what a picture shows",
        1.22,
    ),
    Model(
        "sd15-unet",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        (
            File("unet/config.json", 743, "78f474de6bab3d893868f37be97b636ae65c0df3073ed3256ca458ff599b5f96"),
            File(
                "unet/diffusion_pytorch_model.fp16.safetensors",
                1_719_125_304,
                "c83908253f9a64d08c25fc90874c9c8aef9a329ce1ca5fb909d73b0c83d1ea21",
            ),
        ),
        _OPENRAIL,
        "Stable Diffusion 1.5's denoiser: where training at full size begins",
        1.72,
    ),
    Model(
        "sd15-text",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
        (
            File("text_encoder/config.json", 617, "845df614cb9327ae7bbea027316246fae917827407da6df13572e41b5f93b4cc"),
            File(
                "text_encoder/model.fp16.safetensors",
                246_144_864,
                "77795e2023adcf39bc29a884661950380bd093cf0750a966d473d1718dc9ef4e",
            ),
            File("tokenizer/merges.txt", 524_619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"),
            File(
                "tokenizer/special_tokens_map.json",
                sha256="c4864a9376a8401918425bed71fc14fc0e81f9b59ec45c1cf96cccb2df508eac",
            ),
            File(
                "tokenizer/tokenizer_config.json",
                sha256="00439066fcba73de57644cf41e4e3b9f2dbb09d7f3fc2005898ba52399045882",
            ),
            File("tokenizer/vocab.json", 1_059_962, "e089ad92ba36837a0d31433e555c8f45fe601ab5c221d4f607ded32d9f7a4349"),
        ),
        _OPENRAIL,
        "Stable Diffusion 1.5's text encoder: for `sparsectrl`",
        0.25,
    ),
    Model(
        "animatediff-v3",
        "guoyww/animatediff-motion-adapter-v1-5-3",
        "2e8139b1d1269fd8a21deb96ad19455e187692eb",
        (File("config.json"), File("diffusion_pytorch_model.safetensors")),
        _ANIMATEDIFF,
        "AnimateDiff's motion modules: where training at full size begins, and `sparsectrl`",
        1.67,
    ),
    Model(
        "svd-decoder",
        "stabilityai/stable-video-diffusion-img2vid-xt",
        "9e43909513c6714f1bc78bcb44d96e733cd242aa",
        (
            File("vae/config.json", 607),
            File(
                "vae/diffusion_pytorch_model.fp16.safetensors",
                195_531_910,
                "af602cd0eb4ad6086ec94fbf1438dfb1be5ec9ac03fd0215640854e90d6463a3",
            ),
        ),
        _STABILITY,
        "Stable Video Diffusion's temporal decoder: where training of the Reference Decoder begins",
        0.2,
    ),
    Model(
        "sparsectrl-rgb",
        "guoyww/animatediff-sparsectrl-rgb",
        "b8003d681d813c095e459b9141122894daff2d13",
        (File("config.json"), File("diffusion_pytorch_model.safetensors")),
        _ANIMATEDIFF,
        "key frames for AnimateDiff: for `sparsectrl`",
        1.99,
        ("controlnet-openpose", "animatediff-v3", "sd15-unet", "sd15-text", "sd-vae"),
    ),
    Model(
        "controlnet-openpose",
        "lllyasviel/control_v11p_sd15_openpose",
        "9ae9f970358db89e211b87c915f9535c6686d5ba",
        (File("config.json", 999), File("diffusion_pytorch_model.fp16.safetensors", 722_598_642)),
        _OPENRAIL,
        "poses for Stable Diffusion 1.5: for `sparsectrl`",
        0.72,
    ),
    Model(
        "wan-vace",
        "Wan-AI/Wan2.1-VACE-1.3B-diffusers",
        "ec4d2cb062b548996b179d493fdd05340de702a1",
        (
            File("model_index.json"),
            File("scheduler/*"),
            File("tokenizer/*"),
            File("text_encoder/*"),
            File("transformer/*"),
            File("vae/*"),
        ),
        _APACHE,
        "Wan2.1-VACE 1.3B: for `vace`",
        19.0,
    ),
    Model(
        "sentence-encoder",
        "sentence-transformers/all-MiniLM-L6-v2",
        "c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        (
            *(File(name) for name in ("config.json", "config_sentence_transformers.json", "modules.json")),
            *(File(name) for name in ("sentence_bert_config.json", "1_Pooling/config.json", "vocab.txt")),
            *(File(name) for name in ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")),
            File(
                "model.safetensors",
                sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
        ),
        _APACHE,
        "matches the phrases of a text with labels of the footage by what they mean",
        0.092,
    ),
)


@dataclass(frozen=True)
class Held:
    """A file that is here: its path in the model's folder, bytes, SHA-256, and who vouches for the hash."""

    path: str
    size: int
    sha256: str
    vouched: str  # "registry", "hub", or "first download"


@dataclass(frozen=True)
class Installed:
    """A model that is here, whole."""

    name: str
    hub: str
    commit: str
    licence: str
    files: tuple[Held, ...]

    def save(self, folder: Path) -> None:
        """Write the record beside the files: the last step of a download."""
        write_json(folder / RECORD, {"format": _FORMAT, **asdict(self)})


def models_root() -> Path:
    """The user's folder of models: data that is worth keeping, unlike the cache."""
    if override := os.environ.get(MODELS_VARIABLE):
        return Path(override)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "video-motion-graphs" / "models"


def find_model(name: str) -> Model:
    """The registry's entry.

    Raises
    ------
    UserError
        When there is none of that name.
    """
    for model in REGISTRY:
        if model.name == name:
            return model
    raise UserError(f'There is no model "{name}".', f"Choose one of: {', '.join(each.name for each in REGISTRY)}.")


def installed(model: Model) -> Installed | None:
    """The model's record where all its files are here with their sizes; else None."""
    try:
        record: dict[str, Any] = json.loads((model.folder / RECORD).read_text(encoding="utf-8"))
        if record.pop("format") != _FORMAT:
            return None
        found = Installed(**{**record, "files": tuple(Held(**held) for held in record["files"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(_size(model.folder / held.path) == held.size for held in found.files)
    return found if whole else None


def need(name: str) -> Path:
    """The folder of a model that must be here.

    Raises
    ------
    UserError
        When it is not: with the command that gets it.
    """
    model = find_model(name)
    if installed(model) is None:
        raise UserError(
            f"The model {name} ({model.purpose}) is not here, and nothing is downloaded without being asked.",
            f"Run `vmg models get {name}` ({model.gigabytes:.2g} GB).",
            title="Model missing",
        )
    return model.folder


def verify(found: Installed, folder: Path, progress: Progress = SILENT) -> list[str]:
    """Hash every file of a model again; gives a sentence for each that is not what it was."""
    problems = []
    for held, (begin, end) in zip(found.files, shares(held.size for held in found.files), strict=True):
        part = progress.part(begin, end, f"Checking {held.path}")
        part.update(0.0)
        if content_hash(folder / held.path, part) != held.sha256:
            problems.append(f"{folder / held.path} is damaged: delete it, then run `vmg models get {found.name}`.")
    return problems


def own_models() -> list[Path]:
    """Folders of models of our own form, imported or trained, by name."""
    return sorted(file.parent for file in (models_root() / OWN).glob("[!.]*/config.json"))


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None
