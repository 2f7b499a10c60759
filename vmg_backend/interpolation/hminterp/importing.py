"""The authors' checkpoint in our form: every tensor is placed, or the import fails and names it.

Its layout is that of Moore-AnimateAnyone's training module: two UNets and guiders below one root, the motion modules in
AnimateDiff's own words. It differs from ours in names, not in tensors. What the names do not tell (heads, the seed
guider's stride, the noise schedule) is chosen.
"""

from __future__ import annotations

import math
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ...errors import UserError
from ...files import content_hash
from ...models import REGISTRY, find_model, need
from ...progress import SILENT, Progress, shares
from .config import AUTHORS, FILE, Config
from .denoiser import Denoiser
from .model import HMInterp, fill
from .pose_guider import PoseGuider
from .reference import ReferenceNet
from .seed import SeedGuider

_SHOWN = 12
"""Problems that an error lists."""
_WRAPPERS = {"module", "_orig_mod"}
"""Path elements that training in parallel and compiling leave in names."""
_CONTAINERS = ("state_dict", "module")
"""Where a file may hold the tensors among other things."""
_WRITTEN: Mapping[str, torch.dtype | None] = {"own": None, "fp16": torch.float16}
"""By the name of a precision."""
_NEAR = 1e-2
"""Most that rounding to half precision moves a position code."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Rule:
    """What becomes of the names that a pattern matches whole.

    Attributes
    ----------
    matches : str
        Regular expression.
    becomes : str or None
        The new name, with the pattern's groups; None leaves the tensor out.
    twin : str, optional
        Name of the tensor that one that is left out must be equal to.
    """

    matches: str
    becomes: str | None = r"\g<0>"
    twin: str | None = None


_MODULE = r"(?P<module>.+\.motion_modules\.\d+)\.temporal_transformer"
_BLOCK = rf"{_MODULE}\.(?P<block>transformer_blocks\.\d+)"


def _in_block(theirs: str, ours: str) -> Rule:
    return Rule(rf"{_BLOCK}\.{theirs}\.(?P<rest>.+)", rf"unet.\g<module>.\g<block>.{ours}.\g<rest>")


_DENOISER = (
    # Both attentions of a block have the same codes; diffusers keeps them once.
    Rule(rf"{_BLOCK}\.attention_blocks\.0\.pos_encoder\.pe", r"unet.\g<module>.\g<block>.pos_embed.pe"),
    Rule(
        rf"{_BLOCK}\.attention_blocks\.1\.pos_encoder\.pe",
        None,
        r"\g<module>.temporal_transformer.\g<block>.attention_blocks.0.pos_encoder.pe",
    ),
    _in_block(r"attention_blocks\.0(?!\.pos_encoder)", "attn1"),
    _in_block(r"attention_blocks\.1(?!\.pos_encoder)", "attn2"),
    _in_block(r"norms\.0", "norm1"),
    _in_block(r"norms\.1", "norm2"),
    _in_block("ff_norm", "norm3"),
    _in_block("ff", "ff"),
    Rule(rf"{_MODULE}\.(?P<rest>(norm|proj_in|proj_out)\..+)", r"unet.\g<module>.\g<rest>"),
    Rule(r"(?!.*\.motion_modules\.).+", r"unet.\g<0>"),
)
_REFERENCE = (
    Rule(r"conv_(norm_)?out\..+", None),  # a head that nobody reads
    Rule(r"(?!conv_(norm_)?out\.).+", r"unet.\g<0>"),
)
_GUIDER = (Rule(".+"),)
_AUTOENCODER = (
    *(
        Rule(rf"(?P<at>.+\.attentions\.\d+)\.{old}\.(?P<rest>.+)", rf"\g<at>.{new}.\g<rest>")
        for old, new in (("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0"))
    ),
    Rule(r"(?!.+\.attentions\.\d+\.(query|key|value|proj_attn)\.).+"),
)
_CLIP = (
    Rule(r"vision_model\.embeddings\.position_ids", None),  # 0, 1, 2, ...
    Rule(r"(?!vision_model\.embeddings\.position_ids).+", r"encoder.\g<0>"),
)


@dataclass(frozen=True)
class _Part:
    """What stands below a prefix of the checkpoint: our name, the rules, the module."""

    name: str
    rules: Sequence[Rule]
    make: Callable[[Config], nn.Module]


_PARTS = {
    "denoising_unet": _Part("denoiser", _DENOISER, Denoiser),
    "reference_unet": _Part("reference", _REFERENCE, ReferenceNet),
    "pose_guider": _Part("pose_guider", _GUIDER, PoseGuider),
}
_SEED = _Part("seed_guider", _GUIDER, SeedGuider)
"""Its prefix is not known: it is the one that is left."""


@dataclass(frozen=True)
class Choices:
    """What a checkpoint's names do not tell.

    Attributes
    ----------
    heads : int
        Of attention.
    seed_stride : int
        Of the seed guider: 1 reads latents, 8 pictures.
    betas : str
        The noise schedule.
    sha256 : str, optional
        What a file must have that is not known here.
    precision : str
        What the model is written in: "own" is that of the files.
    base : Config
        The rest: frames, steps, guidance.
    """

    heads: int = 8
    seed_stride: int = 1
    betas: Literal["linear", "scaled_linear"] = "linear"
    sha256: str | None = None
    precision: Literal["own", "fp16"] = "own"
    base: Config = AUTHORS


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose names and shapes are all accounted for.

    Attributes
    ----------
    config : Config
    parts : mapping of str to tensors
        By our parts' names and our tensors' names.
    twins : sequence of (name, tensor, tensor)
        Tensors that were left out, with those that they must be equal to.
    left_out : sequence of str
        Their names, and those that were left out without a twin.
    """

    config: Config
    parts: Mapping[str, Tensors]
    twins: Sequence[tuple[str, Tensor, Tensor]]
    left_out: Sequence[str]


@dataclass(frozen=True)
class Report:
    """What an import did."""

    config: Config
    sha256: str
    tensors: Mapping[str, int]
    parameters: Mapping[str, int]
    bytes: int
    left_out: Sequence[str]
    warnings: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {**vars(self), "config": self.config.as_dict()}

    def told(self) -> str:
        """The report in words."""
        lines = [
            f"{name:13}{self.tensors[name]:6} tensors {self.parameters[name] / 1e6:10.1f} million numbers"
            for name in self.tensors
        ]
        config = self.config
        lines += [
            f"every tensor placed, {len(self.left_out)} that say nothing new left out",
            f"{config.frames} frames a call, {config.context} given at each end, {config.steps} steps, guidance "
            f"{config.guidance}; {config.heads} heads, {config.betas} betas, seed {config.seed}, stride "
            f"{config.seed_stride}",
            f"licence: {config.licence}",
            f"{self.bytes / 1e9:.2f} GB",
        ]
        return "\n".join(lines)


def import_checkpoint(
    source: Path,
    out: Path,
    choices: Choices,
    progress: Progress = SILENT,
    components: Callable[[Config, Progress], Mapping[str, Tensors]] | None = None,
) -> Report:
    """Bring a checkpoint into a folder that `HMInterp.load` reads.

    Parameters
    ----------
    source : Path
        A ``.safetensors``, or a pickle (``.bin``, ``.pth``) whose SHA-256 is known here or in `choices`.
    out : Path
        Folder; one with an older model is replaced.
    choices : Choices
    components : callable, optional
        Gives the tensors of the parts that the checkpoint goes without; by default `public_components`.

    Raises
    ------
    UserError
        When the file is not what it should be, a tensor has no place or a place no tensor, or numbers are no numbers.
    """
    _check_out(out)
    sha256 = content_hash(source, _begun(progress.part(0.0, 0.2, f"Checking {source.name}")))
    origin, licence = _origin(source, sha256, choices)
    checkpoint = lay_out(read_tensors(source), choices, source.name)
    noted = check_values(checkpoint, _begun(progress.part(0.2, 0.6, "Looking at the numbers")))
    config = replace(checkpoint.config, name=out.name, source=origin, licence=licence)
    rest = (components or public_components)(config, _begun(progress.part(0.6, 0.7, "Autoencoder and image encoder")))
    parts = {**checkpoint.parts, **rest}
    model = HMInterp.build(config, "meta")
    for name, part in model.named_children():
        fill(part, parts.get(name, {}), f'The part "{name}" of {source.name}')
    model.save(out, progress.part(0.7, 1.0, f"Writing {out.name}"), _WRITTEN[choices.precision])
    progress.update(1.0)
    for sentence in noted:
        warnings.warn(sentence, stacklevel=2)
    return Report(
        config,
        sha256,
        {name: len(tensors) for name, tensors in parts.items()},
        {name: sum(tensor.numel() for tensor in tensors.values()) for name, tensors in parts.items()},
        sum(file.stat().st_size for file in out.iterdir()),
        checkpoint.left_out,
        noted,
    )


def read_tensors(source: Path) -> dict[str, Tensor]:
    """The tensors of a file, mapped into memory; nothing but tensors is unpickled.

    Raises
    ------
    UserError
        When it holds none.
    """
    try:
        held: Any = (
            load_file(source)
            if source.suffix == ".safetensors"
            else torch.load(source, map_location="cpu", weights_only=True, mmap=True)
        )
    except (OSError, RuntimeError, ValueError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise _unfit(f"{source.name} cannot be read as tensors: {error}.") from error
    for name in _CONTAINERS:
        if isinstance(held, Mapping) and isinstance(held.get(name), Mapping):
            held = held[name]
    if not isinstance(held, Mapping) or not held:
        raise _unfit(f"{source.name} holds no tensors by name.")
    if other := [str(name) for name, value in held.items() if not isinstance(value, Tensor)]:
        raise _unfit(f"{source.name} holds what is no tensor: {_some(other)}.")
    return {str(name): tensor for name, tensor in held.items()}


def lay_out(tensors: Tensors, choices: Choices, what: str) -> Checkpoint:
    """Find each tensor's place by its name and shape; looks at no values.

    Raises
    ------
    UserError
        With the names of what cannot be placed or is missing.
    """
    groups = _split(tensors, what)
    parts, problems = dict(_PARTS), [f"nothing below {prefix}." for prefix in _PARTS if prefix not in groups]
    others = [prefix for prefix in groups if prefix not in _PARTS]
    if len(others) == 1 and "conv_in.weight" in groups[others[0]]:
        parts[others[0]] = _SEED
    else:
        problems += [f"{prefix}.* ({len(groups[prefix])} tensors) has no place" for prefix in others]
    _refuse(problems, what)
    seed = groups[others[0]] if others else None
    config = _read_config(groups["denoising_unet"], groups["pose_guider"], seed, choices, what)
    placed: dict[str, Tensors] = {}
    twins: list[tuple[str, Tensor, Tensor]] = []
    left_out: list[str] = []
    with torch.device("meta"):
        targets = {prefix: part.make(config).state_dict() for prefix, part in parts.items()}
    for prefix, part in parts.items():
        group = groups[prefix]
        plan = _Plan.of(group, part.rules)
        problems += plan.problems(group, targets[prefix], f"{prefix}.", f"{part.name}.")
        placed[part.name] = {target: group[source] for source, target in plan.moved.items()}
        twins += [(f"{prefix}.{name}", group[name], group[twin]) for name, twin in plan.twins.items() if twin in group]
        left_out += [f"{prefix}.{name}" for name in plan.left_out]
    _refuse(problems, what)
    return Checkpoint(config, placed, twins, left_out)


def check_values(checkpoint: Checkpoint, progress: Progress = SILENT) -> list[str]:
    """Look at every number of a checkpoint; gives sentences to warn with.

    Raises
    ------
    UserError
        When there are NaN or infinite ones, or what was left out says something else than its twin.
    """
    every = [
        (f"{part}.{name}", tensor) for part, tensors in checkpoint.parts.items() for name, tensor in tensors.items()
    ]
    broken, silent, odd = [], [], []
    for (name, tensor), (begin, _) in zip(every, shares(tensor.numel() for _, tensor in every), strict=True):
        progress.update(begin)
        if not bool(torch.isfinite(tensor).all()):
            broken.append(name)
        if name.endswith((".proj_out.weight", ".conv_out.weight")) and _ends_silent(name) and not bool(tensor.any()):
            silent.append(name)
        if name.endswith(".pos_embed.pe") and not torch.allclose(tensor.float(), _codes(tensor), rtol=0.0, atol=_NEAR):
            odd.append(name)
    if broken:
        raise _unfit(f"These tensors hold NaN or infinite numbers: {_some(broken)}.")
    if other := [name for name, tensor, twin in checkpoint.twins if not torch.equal(tensor, twin)]:
        raise _unfit(f"These tensors should repeat others, and do not: {_some(other)}.")
    noted = []
    if silent:
        noted.append(f"All zero, so never trained: {_some(silent)}. The model will not do what they are for.")
    if odd:
        noted.append(f"Other position codes than usual in {_some(odd)}; they are taken as they are.")
    return noted


def public_components(config: Config, progress: Progress = SILENT) -> dict[str, Tensors]:
    """Autoencoder and image encoder from the models that were downloaded.

    Raises
    ------
    UserError
        When they are not here: with the command that gets them.
    """
    vae, clip = (need(name) for name in ("sd-vae", "clip-image-encoder"))
    made = HMInterp.build(config, "meta")
    found: dict[str, Tensors] = {}
    for name, folder, model, rules, module in (
        ("autoencoder", vae, "sd-vae", _AUTOENCODER, made.autoencoder),
        ("tokens", clip, "clip-image-encoder", _CLIP, made.tokens),
    ):
        file = next(file for file in find_model(model).files if file.sha256 and not file.path.endswith(".json"))
        if content_hash(folder / file.path, progress) != file.sha256:
            raise _unfit(f"{folder / file.path} is damaged.")
        found[name] = place(read_tensors(folder / file.path), rules, module.state_dict(), model)
    return found


def place(tensors: Tensors, rules: Sequence[Rule], targets: Tensors, what: str) -> dict[str, Tensor]:
    """Tensors under their new names.

    Raises
    ------
    UserError
        With the names of what cannot be placed or is missing.
    """
    plan = _Plan.of(tensors, rules)
    _refuse(plan.problems(tensors, targets), what)
    return {target: tensors[source] for source, target in plan.moved.items()}


@dataclass(frozen=True)
class _Plan:
    """Which name becomes which."""

    moved: Mapping[str, str]
    twins: Mapping[str, str]
    left_out: Sequence[str]
    unclear: Sequence[str]

    @classmethod
    def of(cls, names: Iterable[str], rules: Sequence[Rule]) -> _Plan:
        moved, twins, left_out, unclear = {}, {}, [], []
        for name in names:
            fitting = [(rule, match) for rule in rules if (match := re.fullmatch(rule.matches, name))]
            if len(fitting) != 1:
                unclear.append(name)
                continue
            rule, match = fitting[0]
            if rule.becomes is not None:
                moved[name] = match.expand(rule.becomes)
            else:
                left_out.append(name)
            if rule.twin is not None:
                twins[name] = match.expand(rule.twin)
        return cls(moved, twins, left_out, unclear)

    def problems(self, tensors: Tensors, targets: Tensors, theirs: str = "", ours: str = "") -> list[str]:
        """What has no place, and which place has nothing: a phrase each that begins with a name and its prefix."""
        origin: dict[str, str] = {}
        found = [f"{theirs}{name} has no place" for name in self.unclear]
        for source, target in self.moved.items():
            if target not in targets:
                found.append(f"{theirs}{source} has no place")
            elif target in origin:
                found.append(f"{theirs}{source} has the place of {theirs}{origin[target]}")
            elif tensors[source].shape != targets[target].shape:
                shapes = f"{list(tensors[source].shape)}, not {list(targets[target].shape)}"
                found.append(f"{theirs}{source} has the shape {shapes}")
            origin.setdefault(target, source)
        return found + [f"nothing fits {ours}{target}" for target in targets if target not in origin]


def _split(tensors: Tensors, what: str) -> dict[str, dict[str, Tensor]]:
    """Tensors by the first element of their names, without what wrappers leave in them."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = ".".join(element for element in name.split(".") if element not in _WRAPPERS).partition(".")
        group = groups.setdefault(prefix, {})
        if not rest or rest in group:
            _refuse([f"{name} {'is there twice' if rest else 'has no place'}"], what)
        group[rest] = tensor
    return groups


def _read_config(unet: Tensors, pose: Tensors, seed: Tensors | None, choices: Choices, what: str) -> Config:
    """What names and shapes tell, and what was chosen."""

    def shape(group: Tensors, name: str) -> Sequence[int]:
        if name not in group:
            _refuse([f"{name} is missing"], what)
        return group[name].shape

    def named(pattern: str) -> list[str]:
        return [name for name in unet if re.search(pattern, name)]

    def count(pattern: str) -> int:
        return len({match[1] for name in unet if (match := re.match(pattern, name))})

    def levels(group: Tensors) -> tuple[int, ...]:
        steps = sum(bool(re.fullmatch(r"blocks\.\d+\.weight", name)) for name in group) // 2
        return shape(group, "conv_in.weight")[0], *(shape(group, f"blocks.{2 * i + 1}.weight")[0] for i in range(steps))

    codes, crossing = named(r"\.pos_encoder\.pe$"), named(r"\.attentions\..*\.attn2\.to_k\.weight$")
    if not codes or not crossing:
        _refuse(["denoising_unet has no motion modules" if crossing else "denoising_unet attends to no tokens"], what)
    inputs, latents = shape(unet, "conv_in.weight")[1], shape(unet, "conv_out.weight")[0]
    if inputs not in (latents, 2 * latents + 1) or (inputs != latents and seed is not None):
        _refuse([f"denoising_unet.conv_in.weight has {inputs} channels, for which there is no use"], what)
    if seed is not None and shape(seed, "conv_in.weight")[1] != 4:
        _refuse([f"the one part that is left has {shape(seed, 'conv_in.weight')[1]} input channels, not 4"], what)
    return replace(
        choices.base,
        latent_channels=latents,
        channels=tuple(
            shape(unet, f"down_blocks.{i}.resnets.0.conv1.weight")[0] for i in range(count(r"down_blocks\.(\d+)\."))
        ),
        layers=count(r"down_blocks\.0\.resnets\.(\d+)\."),
        heads=choices.heads,
        token_width=shape(unet, crossing[0])[1],
        motion_mid=bool(named(r"^mid_block\.motion_modules\.")),
        motion_layers=count(r".*\.temporal_transformer\.transformer_blocks\.(\d+)\."),
        motion_norm="frame",
        longest=shape(unet, codes[0])[1],
        reference="attention",
        seed="guider" if seed is not None else "none" if inputs == latents else "widened",
        seed_stride=choices.seed_stride,
        seed_channels=levels(seed) if seed is not None else choices.base.seed_channels,
        pose_channels=levels(pose),
        betas=choices.betas,
    )


def _ends_silent(name: str) -> bool:
    """Whether the layer is zero before training."""
    return ".motion_modules." in name or name.startswith(("pose_guider.", "seed_guider."))


def _codes(like: Tensor) -> Tensor:
    """The position codes of AnimateDiff, [1, longest, width]."""
    longest, width = like.shape[1:]
    angles = torch.arange(longest)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None]


def _origin(source: Path, sha256: str, choices: Choices) -> tuple[str, str]:
    """Where a file is from and its licence; refuses pickles that nobody vouches for."""
    stated = (choices.sha256 or "").lower()
    if stated and stated != sha256:
        raise UserError(f"{source.name} has the SHA-256 {sha256}, not {stated}.", "Get it again.", title="Another file")
    for model in REGISTRY:
        for file in model.files:
            if file.sha256 == sha256:
                return f"{model.hub}: {file.path} (SHA-256 {sha256})", model.licence.name
    if source.suffix != ".safetensors" and not stated:
        raise UserError(
            f"{source.name} is a pickle, which can hold programs, and its SHA-256 is not known here: {sha256}",
            "If that is what the place states that you got it from, give it with --sha256; better, get a .safetensors.",
            title="Unknown file",
        )
    return f"{source.name} (SHA-256 {sha256})", "Not known: that of the place which the file was got from."


def _check_out(out: Path) -> None:
    """A folder is only replaced where it holds a model."""
    if out.exists() and not (out / FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is there, and no model.", "Name a new folder with --out.")


def _begun(progress: Progress) -> Progress:
    progress.update(0.0)
    return progress


def _refuse(problems: Sequence[str], what: str) -> None:
    if problems:
        raise _unfit(f"{what} is no checkpoint of this layout: {_some(problems, '; ')}.")


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return between.join(names[:_SHOWN]) + more


def _unfit(message: str) -> UserError:
    return UserError(message, "Look whether it is the file that you mean, and get it again.", title="Import failed")
