"""HMInterp as one module: all its parts, made, saved and loaded by the config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import UserError
from ...files import content_hash, write_json, writing_folder
from ...progress import SILENT, Progress, shares
from ...tensors import Kind, opened
from .autoencoder import make_autoencoder
from .config import FILE, HASHES, Config
from .decoder import ReferenceDecoder
from .denoiser import Denoiser
from .light_reference import LightReference
from .pose_guider import PoseGuider
from .reference import ReferenceNet
from .seed import SeedGuider
from .tokens import make_tokens
from .writing import write_tensors

_SHOWN = 3
"""Names of wrong tensors that an error lists."""
_REMEDY = "Get or import the model again."
_PART = Kind("part of a model", _REMEDY)


class HMInterp(nn.Module):
    """The parts of the network (Video Motion Graphs, section 3.3, figure 3), untrained.

    Parameters
    ----------
    config : Config

    Attributes
    ----------
    autoencoder : AutoencoderKL
    tokens : ClipTokens or LatentTokens
    denoiser : Denoiser
    reference : ReferenceNet or LightReference, optional
    pose_guider : PoseGuider, optional
    seed_guider : SeedGuider, optional
    decoder : ReferenceDecoder, optional
        Parts that the config goes without are None.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = make_autoencoder(config)
        self.tokens = make_tokens(config)
        self.denoiser = Denoiser(config)
        self.reference: ReferenceNet | LightReference | None = None
        if config.reference != "none":
            self.reference = (ReferenceNet if config.reference == "attention" else LightReference)(config)
        self.pose_guider = PoseGuider(config) if config.pose_channels else None
        self.seed_guider = SeedGuider(config) if config.seed == "guider" else None
        self.decoder = ReferenceDecoder(config) if config.decoder != "none" else None

    @classmethod
    def build(cls, config: Config, device: str | torch.device = "cpu") -> HMInterp:
        """An untrained network; on the device "meta" it has shapes only."""
        with torch.device(device):
            return cls(config)

    def save(self, folder: Path, progress: Progress = SILENT, dtype: torch.dtype | None = None) -> None:
        """Write `config.json`, a safetensors file for each part and their hashes; an older folder there is replaced.

        Parameters
        ----------
        folder : Path
        progress : Progress
        dtype : torch.dtype, optional
            What numbers with a fraction are written in; by default each as it is.

        Raises
        ------
        UserError
            When it cannot be written, or a number is too large for `dtype`.
        """
        with writing_folder(folder) as temporary:
            self.config.save(temporary)
            parts, hashes = dict(self.named_children()), {FILE: content_hash(temporary / FILE)}
            spans = shares(sum(tensor.nbytes for tensor in part.state_dict().values()) for part in parts.values())
            for (name, part), span in zip(parts.items(), spans, strict=True):
                file = _file(temporary, name)
                hashes[file.name] = write_tensors(file, part.state_dict(), progress.part(*span), dtype)
            write_json(temporary / HASHES, hashes)

    @classmethod
    def load(
        cls,
        folder: Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        progress: Progress = SILENT,
    ) -> HMInterp:
        """The network that `save` wrote, ready for use: without gradients, in the given precision.

        Raises
        ------
        UserError
            When files or tensors are missing, too many or of another shape.
        """
        config = Config.load(folder)
        from accelerate import init_empty_weights

        with init_empty_weights(include_buffers=False):
            model = cls(config)
        parts = dict(model.named_children())
        _same_names(f"The model in {folder}", set(parts), {file.stem for file in folder.glob("*.safetensors")})
        for number, (name, part) in enumerate(parts.items()):
            reading = progress.part(number / len(parts), (number + 1) / len(parts))
            tensors = _read(_file(folder, name), device, dtype, reading)
            fill(part, tensors, f'The part "{name}" of the model in {folder}')
        return model.to(device).eval().requires_grad_(False)


def fill(part: nn.Module, tensors: Mapping[str, Tensor], what: str, remedy: str = _REMEDY) -> None:
    """Give a module its tensors, all of them and no others.

    Parameters
    ----------
    part : nn.Module
        May be on the device "meta".
    tensors : mapping of str to Tensor
        They become the module's own.
    what : str
        What the part is, for a sentence.
    remedy : str
        What to do when they do not fit.

    Raises
    ------
    UserError
        When some are missing, too many or of another shape.
    """
    wanted = part.state_dict()
    _same_names(what, set(wanted), set(tensors), remedy)
    if other := [name for name, tensor in wanted.items() if tensor.shape != tensors[name].shape]:
        shapes = f"{tuple(tensors[other[0]].shape)} instead of {tuple(wanted[other[0]].shape)}"
        raise _unfit(f"{what} has tensors of another shape: {_some(other)} ({shapes}).", remedy)
    part.load_state_dict(tensors, strict=True, assign=True)


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def _read(file: Path, device: str | torch.device, dtype: torch.dtype, progress: Progress) -> dict[str, Tensor]:
    tensors = {}
    with opened(file, _PART, "pt") as held:
        names = list(held.keys())
        for number, name in enumerate(names):
            progress.update(number / len(names))
            tensor = held.get_tensor(name)
            # A copy, because the file is mapped, and while it is, Windows would not let it be replaced.
            tensors[name] = tensor.to(device, dtype if tensor.is_floating_point() else None, copy=True)
    return tensors


def _same_names(what: str, wanted: set[str], given: set[str], remedy: str = _REMEDY) -> None:
    if missing := sorted(wanted - given):
        raise _unfit(f"{what} has no {_some(missing)}.", remedy)
    if unknown := sorted(given - wanted):
        raise _unfit(f"{what} has what does not belong to it: {_some(unknown)}.", remedy)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _unfit(message: str, remedy: str) -> UserError:
    return UserError(message, remedy, title="Model incomplete")
