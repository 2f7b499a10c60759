"""All that belongs to a checkpoint of HMInterp, as data; needs no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from ...errors import UserError

FILE = "config.json"
"""The config's name in a model's folder."""
HASHES = "hashes.json"
"""SHA-256 of each file of a model, beside them."""
_GROUPS = 32  # of every GroupNorm in Stable Diffusion's blocks
MOTION_HEADS = 4
"""Of motion attention."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What a checkpoint of HMInterp is and how it wants to be sampled.

    Attributes
    ----------
    name : str
    frames : int
        Of one call, given ones included; the network is fed with no other number.
    context : int
        Given frames at either end.
    size : int
        Short side of the crop that it was trained on, px.
    aspect : float
        Width over height of that crop; 0: any.
    latent_channels : int
    latent_scale : float
        Latents are multiplied by it, so that they have a spread of 1.
    autoencoder : tuple of int
        Channels of its levels; each but the last halves the picture.
    autoencoder_layers : int
        Residual blocks of a level.
    channels : tuple of int
        Of the denoiser's and ReferenceNet's levels.
    layers : int
        Residual blocks of a level.
    heads : int
        Of attention, at every level.
    token_width : int
        Of the tokens that cross-attention reads.
    tokens : str
        From CLIP's image encoder, or of the pooled latents.
    motion_mid : bool
        A motion module in the middle block.
    motion_layers : int
        Transformer blocks of a motion module.
    motion_norm : str
        What the motion modules' GroupNorm takes its statistics over: each frame (AnimateDiff's and the authors'
        code), or the whole clip (diffusers).
    longest : int
        Position codes of the motion modules.
    reference : str
        ReferenceNet, MotionFollower's light controller, or none.
    references : int
        The start frame alone, or start and end.
    reference_time : int
        Diffusion step that ReferenceNet is told.
    seed : str
        Given latents join the noisy ones as more channels of the input, or by a guider that is added.
    seed_channels : tuple of int
        Of that guider, as many as the autoencoder has levels.
    seed_stride : int
        1 reads latents, the autoencoder's factor reads pictures with their mask.
    seed_filling : str
        What stands in the gap: duplicates of the nearest given latent, or latents of the flow morph.
    pose_channels : tuple of int
        Of the Pose Guider, as many as the autoencoder has levels; none without one.
    pose_style : str
        One of `pose.maps.STYLES`.
    motion_attention : int
        Width of the module that fits the guiders' features to the denoiser's own; 0: none (`motion_attention`).
    recurrent : bool
        A frame attends over its neighbours' tokens instead of its own (`reference.Reader`).
    decoder : str
        What the Reference Decoder gives the frames between the ends: a mix of the ends by time, the nearer end, zeros;
        none without one.
    decoder_channels : tuple of int
        Of its levels, finest first.
    prediction, betas, beta_start, beta_end, zero_snr, spacing
        The diffusion, as diffusers' schedulers name it.
    sampler : str
    steps : int
    guidance : float
    renoise_given : bool
        At each step, given frames are replaced by their own latents with that step's noise.
    licence, source : str
    """

    name: str
    frames: int
    context: int
    size: int
    aspect: float = 0.0
    latent_channels: int = 4
    latent_scale: float = 0.18215
    autoencoder: tuple[int, ...]
    autoencoder_layers: int = 2
    channels: tuple[int, ...]
    layers: int = 2
    heads: int = 8
    token_width: int = 768
    tokens: Literal["clip", "latent"] = "clip"
    motion_mid: bool = False
    motion_layers: int = 1
    motion_norm: Literal["frame", "clip"] = "frame"
    longest: int = 32
    reference: Literal["attention", "light", "none"] = "attention"
    references: Literal[1, 2] = 2
    reference_time: int = 0
    seed: Literal["widened", "guider", "none"] = "widened"
    seed_channels: tuple[int, ...] = (16, 32, 96, 256)
    seed_stride: int = 1
    seed_filling: Literal["duplicate", "morph"] = "duplicate"
    pose_channels: tuple[int, ...] = (16, 32, 96, 256)
    pose_style: str = "mimicmotion"
    motion_attention: int = 0
    recurrent: bool = False
    decoder: Literal["repeat", "nearest", "zero", "none"] = "repeat"
    decoder_channels: tuple[int, ...] = ()
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    betas: Literal["linear", "scaled_linear"] = "linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    zero_snr: bool = True
    spacing: Literal["trailing", "leading", "linspace"] = "trailing"
    sampler: Literal["ddim", "dpm++"] = "ddim"
    steps: int = 25
    guidance: float = 3.5
    renoise_given: bool = True
    licence: str
    source: str

    def __post_init__(self) -> None:
        wrong = next((sentence for broken, sentence in self._rules() if broken), None)
        if wrong:
            raise _bad(f'The model "{self.name}" does not fit together: {wrong}.')

    def _rules(self) -> list[tuple[bool, str]]:
        widths = (*self.channels, *self.autoencoder, *self.decoder_channels)
        return [
            (not self.channels or not self.autoencoder, "it has no levels"),
            (self.context < 1 or self.made < 1, f"{self.frames} frames leave none between {self.context} at each end"),
            (self.frames > self.longest, f"{self.frames} frames, but places for {self.longest}"),
            (any(width < 1 or width % _GROUPS for width in widths), f"channels must be multiples of {_GROUPS}"),
            (any(width % self.heads for width in self.channels), f"channels must be multiples of {self.heads} heads"),
            (self.size < 1 or self.size % self.multiple > 0, f"its size is no multiple of {self.multiple} px"),
            (
                self.motion_attention % MOTION_HEADS > 0,
                f"motion attention's width must be a multiple of {MOTION_HEADS} heads",
            ),
            (
                bool(self.pose_channels) and len(self.pose_channels) != len(self.autoencoder),
                "the Pose Guider needs as many levels as the autoencoder",
            ),
            (
                self.seed == "guider" and len(self.seed_channels) != len(self.autoencoder),
                "the Seed Guider needs as many levels as the autoencoder",
            ),
            (
                self.decoder != "none" and len(self.decoder_channels) != len(self.autoencoder),
                "the Reference Decoder needs as many levels as the autoencoder",
            ),
            (self.seed_stride not in (1, self.factor), f"the Seed Guider's stride is neither 1 nor {self.factor}"),
        ]

    @property
    def made(self) -> int:
        """Frames that one call makes."""
        return self.frames - 2 * self.context

    @property
    def factor(self) -> int:
        """Pixels of a latent cell's side."""
        return 1 << len(self.autoencoder) - 1

    @property
    def multiple(self) -> int:
        """Pixels that a crop's sides must be a multiple of."""
        return self.factor << len(self.channels) - 1

    @property
    def input_channels(self) -> int:
        """Channels of the denoiser's input: noisy latents, and seed latents with their mask where it is widened."""
        return 2 * self.latent_channels + 1 if self.seed == "widened" else self.latent_channels

    def as_dict(self) -> dict[str, Any]:
        """The config as JSON has it."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return] # of a dict

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """The config that `as_dict` told.

        Raises
        ------
        UserError
            With unknown, missing or unfitting entries.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise _bad(f"The model's config has entries that are not known here: {', '.join(unknown)}.")
        hints = get_type_hints(cls)
        try:
            return cls(**{name: _read(name, hints[name], value) for name, value in values.items()})
        except TypeError as error:
            raise _bad(f"The model's config is not complete: {error}.") from error

    def save(self, folder: Path) -> None:
        """Write `config.json` into a folder that is being written."""
        (folder / FILE).write_text(json.dumps(self.as_dict(), indent=1, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Config:
        """Read `config.json` of a model's folder.

        Raises
        ------
        UserError
            When there is none that fits.
        """
        try:
            values = json.loads((folder / FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise _bad(f"{folder / FILE} cannot be read as a model's config: {error}.") from error
        if not isinstance(values, dict):
            raise _bad(f"{folder / FILE} is no model's config.")
        return cls.from_dict(values)


def hashes_of(folder: Path) -> dict[str, str]:
    """What a model's files are, as was found when they were written: hashing gigabytes takes too long to wait for.

    Raises
    ------
    UserError
        When that is not there.
    """
    try:
        hashes = json.loads((folder / HASHES).read_text(encoding="utf-8"))
        return {str(name): str(digest) for name, digest in hashes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"{folder / HASHES} cannot be read: {error}.", "Copy or import the whole model again."
        ) from error


def _read(name: str, hint: Any, value: Any) -> Any:  # noqa: ANN401 - any of JSON's values
    if get_origin(hint) is Literal:
        fits = value in get_args(hint) and type(value) in map(type, get_args(hint))
    elif get_origin(hint) is tuple:
        fits = isinstance(value, list) and all(type(item) is int for item in value)
        value = tuple(value) if fits else value
    elif hint is float:
        fits = type(value) in (int, float)
        value = float(value) if fits else value
    else:
        fits = type(value) is hint
    if not fits:
        raise _bad(f'The model\'s config has {value!r} for "{name}".')
    return value


def _bad(message: str) -> UserError:
    return UserError(message, "Get the model again, or use a version that knows it.", title="Other model")


TINY = Config(
    name="tiny",
    frames=8,
    context=1,
    size=64,
    latent_scale=1.0,
    autoencoder=(32, 32, 32, 32),
    autoencoder_layers=1,
    channels=(32, 64),
    layers=1,
    token_width=32,
    tokens="latent",
    seed_channels=(8, 8, 16, 16),
    pose_channels=(8, 8, 16, 16),
    decoder_channels=(32, 32, 32, 32),
    steps=4,
    guidance=2.0,
    licence="GPL-3.0-or-later",
    source="Made by this project's tests.",
)
"""For tests."""

SMALL = Config(
    name="small",
    frames=18,
    context=3,
    size=256,
    latent_channels=8,
    latent_scale=1.0,
    autoencoder=(64, 128, 256, 256),
    autoencoder_layers=1,
    channels=(128, 256, 384, 384),
    layers=1,
    token_width=256,
    tokens="latent",
    seed_channels=(16, 32, 64, 128),
    pose_channels=(16, 32, 64, 128),
    decoder_channels=(64, 128, 256, 256),
    sampler="dpm++",
    steps=8,
    guidance=2.0,
    licence="That of the footage which it was trained on.",
    source="Trained on one person's footage.",
)
"""For one person's own model."""

FULL = Config(
    name="full",
    frames=18,
    context=3,
    size=512,
    autoencoder=(128, 256, 512, 512),
    channels=(320, 640, 1280, 1280),
    decoder_channels=(128, 256, 512, 512),
    licence="CreativeML OpenRAIL-M",
    source="Stable Diffusion 1.5 and AnimateDiff v3.",
)
"""As the paper has it."""

AUTHORS = Config(
    name="authors",
    frames=14,
    context=3,
    size=512,
    autoencoder=(128, 256, 512, 512),
    channels=(320, 640, 1280, 1280),
    motion_mid=True,
    references=1,
    seed="guider",
    pose_style="vmg",
    decoder="none",
    steps=20,
    licence="CreativeML OpenRAIL-M",
    source="H-Liu1997/Video-Motion-Graphs",
)
"""The checkpoint that the paper's authors released; what its card leaves open is as in Moore-AnimateAnyone."""
