"""Adapters: small weights on top of a model, which fit it to one footage (Edit-Your-Motion).

A tuned model is a folder with the adapters, the config that they make of their base's, and hashes; the base stays
where it is, as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models.attention_processor import Attention
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ...errors import UserError
from ...files import content_hash, write_json, writing_folder
from ...progress import SILENT, Progress
from ...tensors import Kind, opened
from .config import FILE, HASHES, Config
from .model import HMInterp, fill
from .motion_attention import MotionAttention

ADAPTERS = "adapters.safetensors"
"""The adapters' name in a tuned model's folder."""
_FORMAT = "vmg adapters 1"
_REMEDY = "Tune the model again."
_KIND = Kind("adapters", _REMEDY, lambda stated: stated.get("format") == _FORMAT)
_LINEARS = ("to_q", "to_k", "to_v", "to_out.0")


@dataclass(frozen=True)
class Adaptation:
    """What adapters add to a model.

    Attributes
    ----------
    rank : int
        Of what is added to the weights of attention.
    motion_attention : int
        Width of motion attention.
    recurrent : bool
        Whether frames attend over their neighbours' tokens instead of their own.
    """

    rank: int = 16
    motion_attention: int = 64
    recurrent: bool = True

    def config(self, base: Config) -> Config:
        """The config of a model of config `base` with such adapters."""
        return replace(base, motion_attention=self.motion_attention, recurrent=self.recurrent)


@dataclass(frozen=True)
class Tuned:
    """What a file of adapters says of itself.

    Attributes
    ----------
    base : str
        Name or folder of the model that was tuned.
    hashes : mapping of str to str
        SHA-256 of that model's files.
    adaptation : Adaptation
    about : mapping of str to JSON
        How it was tuned: recipe, footage.
    """

    base: str
    hashes: Mapping[str, str]
    adaptation: Adaptation
    about: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Tuned:
        """What a file says.

        Raises
        ------
        UserError
            When there is none, or it is something else.
        """
        with opened(file, _KIND, "pt") as held:
            stated = held.metadata()
        try:
            values = json.loads(stated["tuned"])
            return cls(**{**values, "adaptation": Adaptation(**values["adaptation"])})
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{file} does not say what it was tuned on: {error}.", _REMEDY) from error


class LowRank(nn.Module):
    """A weight [out, in] and the product of a high and a wide matrix, which is zero at first (Hu et al. 2022).

    `down` begins with a deviation that makes an optimizer of Adam's kind move the weight as far in its first steps as
    it would without the detour, so that learning rates of the whole weights' training hold.

    Parameters
    ----------
    weight : Tensor
        Of the size and on the device.
    rank : int
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        wide, high = weight.shape[1], weight.shape[0]
        place: dict[str, Any] = {"device": weight.device, "dtype": torch.float32}
        self.down = nn.Parameter(torch.randn(rank, wide, **place) * rank**-0.5)
        self.up = nn.Parameter(torch.zeros(high, rank, **place))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with what is added, in its own precision."""
        return (weight.float() + self.up @ self.down).to(weight.dtype)


class Adapters(nn.Module):
    """Weights that a model may be given; without effect until they have learned.

    Parameters
    ----------
    model : HMInterp
        Has the attentions that they are for.
    adaptation : Adaptation

    Attributes
    ----------
    temporal, recurrent : ModuleDict of LowRank
        For the denoiser's attention over time, and within frames, by the linear layer's name (with / for the points).
    motion : MotionAttention
    """

    def __init__(self, model: HMInterp, adaptation: Adaptation) -> None:
        super().__init__()
        self.adaptation = adaptation
        rank, (temporal, recurrent) = adaptation.rank, _layers(model)
        self.temporal = nn.ModuleDict({name: LowRank(layer.weight, rank) for name, layer in temporal.items()})
        self.recurrent = nn.ModuleDict({name: LowRank(layer.weight, rank) for name, layer in recurrent.items()})
        with torch.device(model.denoiser.unet.device):
            self.motion = MotionAttention(model.config.channels[0], adaptation.motion_attention)

    def attach(self, model: HMInterp) -> None:
        """Let a model use them. Each group becomes a part of the model by its name, which may be trained.

        Raises
        ------
        UserError
            When the model has adapters already.
        """
        if model.config.motion_attention:
            raise UserError("The model is tuned already.", "Tune the model that it was made from.")
        for group, layers in zip((self.temporal, self.recurrent), _layers(model), strict=True):
            for name, layer in layers.items():
                parametrize.register_parametrization(layer, "weight", group[name])
        for name, part in self.named_children():
            model.add_module(name, part)
        _reshape(model, self.adaptation.config(model.config), self.motion)

    def detach(self, model: HMInterp) -> None:
        """Give a model back as it was, bit for bit."""
        self._remove(model, keep=False)
        _reshape(model, replace(model.config, motion_attention=0, recurrent=False), None)

    def merge(self, model: HMInterp) -> None:
        """Make a model of its own of what they are attached to, which is saved and loaded as any other."""
        self._remove(model, keep=True)

    def _remove(self, model: HMInterp, keep: bool) -> None:
        for layers in _layers(model):
            for layer in layers.values():
                parametrize.remove_parametrizations(layer, "weight", leave_parametrized=keep)
        for name, _ in self.named_children():
            delattr(model, name)


def _reshape(model: HMInterp, config: Config, motion: MotionAttention | None) -> None:
    model.config = config
    model.denoiser.motion_attention, model.denoiser.recurrent = motion, config.recurrent


def _layers(model: HMInterp) -> tuple[dict[str, nn.Linear], dict[str, nn.Linear]]:
    """The linear layers of the denoiser's attentions over time, and of those within frames, by name."""
    temporal: dict[str, nn.Linear] = {}
    spatial: dict[str, nn.Linear] = {}
    for name, module in model.denoiser.unet.named_modules():
        over_time = ".motion_modules." in name
        if isinstance(module, Attention) and (over_time or name.endswith(".attn1")):
            for linear in _LINEARS:
                layer = module.get_submodule(linear)
                (temporal if over_time else spatial)[f"{name}.{linear}".replace(".", "/")] = layer
    return temporal, spatial


def save_tuned(folder: Path, adapters: Adapters, config: Config, tuned: Tuned) -> None:
    """Write a tuned model's folder; an older one there is replaced.

    Parameters
    ----------
    folder : Path
    adapters : Adapters
    config : Config
        With them.
    tuned : Tuned

    Raises
    ------
    UserError
        When it cannot be written.
    """
    with writing_folder(folder) as temporary:
        config.save(temporary)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in adapters.state_dict().items()}
        save_file(tensors, temporary / ADAPTERS, {"format": _FORMAT, "tuned": json.dumps(asdict(tuned))})
        write_json(temporary / HASHES, {name: content_hash(temporary / name) for name in (FILE, ADAPTERS)})


def load_adapters(file: Path, model: HMInterp) -> Adapters:
    """The adapters of a file, for a model of the kind that they were made for; not attached yet.

    Raises
    ------
    UserError
        When the file is none of adapters, or they do not fit the model.
    """
    adapters = Adapters(model, Tuned.read(file).adaptation)
    with opened(file, _KIND, "pt") as held:
        tensors = {name: held.get_tensor(name).clone() for name in held.keys()}  # noqa: SIM118 - no mapping
    fill(adapters, tensors, str(file), _REMEDY)
    return adapters.to(model.denoiser.unet.device)


def load_tuned(
    base: Path,
    file: Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress = SILENT,
) -> HMInterp:
    """A model with adapters in it, ready for use, as `HMInterp.load` gives one without.

    Parameters
    ----------
    base : Path
        The folder of the model that was tuned.
    file : Path
        The adapters.
    device, dtype, progress
        As of `HMInterp.load`.

    Raises
    ------
    UserError
        When either cannot be read, or they do not fit together.
    """
    model = HMInterp.load(base, device, dtype, progress)
    adapters = load_adapters(file, model)
    adapters.attach(model)
    adapters.merge(model)
    adapters.motion.to(dtype=dtype)
    return model.eval().requires_grad_(False)
