"""Recipes: what is taught in which order, as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ...errors import UserError
from ...interpolation.hminterp.config import FULL, SMALL, Config
from ...interpolation.hminterp.config import TINY as TINY_CONFIG

Aim = Literal["autoencoder", "decoder", "interpolator"]
Guidance = Literal["mdm", "linear", "none"]
_NETWORKS = ("denoiser", "reference", "pose_guider", "seed_guider")
"""What learns to interpolate; the paper keeps the rest frozen."""
_ALL = (*_NETWORKS, "tokens")


@dataclass(frozen=True)
class Stage:
    """Some parts of a model learn one thing.

    Attributes
    ----------
    name : str
    aim : {"autoencoder", "decoder", "interpolator"}
        What is minimised (`objectives`).
    trained : tuple of str
        Parts of `HMInterp` that learn, where the model has them; all others stay as they are.
    steps : int
    batch : int
        Windows of a backward pass, over all processes; for the autoencoder, pictures.
    rate : float
        Highest learning rate: it rises over the first 2 % of the steps and falls along a half cosine.
    optimizer : {"adamw", "muon"}
    frames : int
        So many of a window that the decoder makes at a time; 0: all.
    seed, pose : bool
        Whether the Seed Image Guider (the paper's SI) and the Pose Guider (P) are told anything.
    single : float
        Share of batches of single frames (MotionFollower: 0.4).
    hands : float
        Weight of the loss where a hand is confidently seen (MimicMotion: 10).
    snr : float
        Gamma of the min-SNR weights (Hang et al. 2023, equation 8); 0: none.
    offset : float
        Noise that a whole frame shares.
    unconditional : float
        Share of samples that are not told what the person looks like, so that guidance has something to leave.
    keep : float
        Share of the averaged weights (EMA) that a step keeps.
    limit : float
        Of the gradient's norm.
    accumulate : int
        Backward passes of a step.
    """

    name: str
    aim: Aim
    trained: tuple[str, ...]
    steps: int
    batch: int
    rate: float
    optimizer: Literal["adamw", "muon"] = "adamw"
    frames: int = 0
    seed: bool = True
    pose: bool = True
    single: float = 0.0
    hands: float = 1.0
    snr: float = 5.0
    offset: float = 0.0
    unconditional: float = 0.1
    keep: float = 0.999
    limit: float = 1.0
    accumulate: int = 1


@dataclass(frozen=True)
class Recipe:
    """Stages, one after another, and the model that they make.

    Attributes
    ----------
    name : str
    config : Config
        Of a model that is made anew; a model that is there already keeps its own.
    stages : tuple of Stage
    said : str
        What it is, for people.
    seed : int
    guide : int
        Steps by which the Motion Diffusion Model is tuned to the person.
    """

    name: str
    config: Config
    stages: tuple[Stage, ...]
    said: str
    seed: int = 1
    guide: int = 0

    def scaled(self, share: float) -> Recipe:
        """The same with that share of all steps."""
        return replace(
            self, stages=tuple(replace(each, steps=max(1, round(each.steps * share))) for each in self.stages)
        )

    def as_dict(self) -> dict[str, Any]:
        """The recipe as JSON has it."""
        return json.loads(json.dumps(asdict(self)))  # type: ignore[no-any-return] # of a dict

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe that `as_dict` told.

        Raises
        ------
        UserError
            With unknown or missing entries.
        """
        try:
            stages = tuple(Stage(**{**stage, "trained": tuple(stage["trained"])}) for stage in values["stages"])
            return cls(**{**values, "config": Config.from_dict(values["config"]), "stages": stages})
        except (KeyError, TypeError) as error:
            raise UserError(f"This is no recipe that is known here: {error}.", "Begin the training anew.") from error

    def learns(self) -> tuple[str, ...]:
        """Parts that learn in any stage."""
        return tuple(dict.fromkeys(part for stage in self.stages for part in stage.trained))


PAPER = Recipe(
    "paper",
    FULL,
    (
        Stage("decoder", "decoder", ("decoder",), 20_000, 8, 1e-5, frames=7),
        Stage("seed", "interpolator", _NETWORKS, 100_000, 8, 1e-5, pose=False, hands=10.0, offset=0.05),
        Stage("pose", "interpolator", _NETWORKS, 8_000, 8, 1e-5, hands=10.0, offset=0.05),
    ),
    "Condition progressive training (Video Motion Graphs, section 3.3) at full size: given frames first, few steps with"
    " poses; the decoder before it. Those numbers of steps are the paper's; it does not tell the decoder's, nor rates.",
)

PERSONAL = Recipe(
    "personal",
    SMALL,
    (
        Stage("autoencoder", "autoencoder", ("autoencoder",), 3_000, 8, 2e-3, "muon", keep=0.99),
        Stage("decoder", "decoder", ("decoder",), 800, 1, 1e-3, "muon", frames=7, keep=0.99, accumulate=2),
        Stage("seed", "interpolator", _ALL, 3_500, 2, 1e-3, "muon", pose=False, hands=10.0, accumulate=4),
        Stage("pose", "interpolator", _ALL, 500, 2, 5e-4, "muon", hands=10.0, accumulate=4),
    ),
    "A small model of one person, from their own footage alone.",
    guide=400,
)

TINY = Recipe(
    "tiny",
    TINY_CONFIG,
    (
        Stage("autoencoder", "autoencoder", ("autoencoder",), 4, 4, 2e-3, "muon", keep=0.9),
        Stage("decoder", "decoder", ("decoder",), 2, 1, 1e-3, "muon", frames=4, keep=0.9),
        Stage("seed", "interpolator", _ALL, 3, 2, 1e-3, "muon", pose=False, hands=10.0, keep=0.9),
        Stage("pose", "interpolator", _ALL, 2, 2, 5e-4, "muon", hands=10.0, single=0.4, keep=0.9),
    ),
    "For tests.",
    guide=2,
)

RECIPES = {recipe.name: recipe for recipe in (PAPER, PERSONAL, TINY)}


@dataclass(frozen=True)
class Ablation:
    """A row of the paper's tables 5 and 6.

    Attributes
    ----------
    name : str
    table : int
    recipe : Recipe
    guidance : {"mdm", "linear", "none"}
        Whose skeletons lead the trained model.
    paper : mapping of str to float
        PSNR in dB, LPIPS, MOVIE and FVD as the paper has them; not comparable with ours but in their order.
    """

    name: str
    table: int
    recipe: Recipe
    guidance: Guidance = "mdm"
    paper: Mapping[str, float] = field(default_factory=dict)


def ablations(base: Recipe, long: float = 30 / 8) -> tuple[Ablation, ...]:
    """The paper's tables 5 and 6 at any size.

    Table 6 was made without the reference decoder: its best row is table 5's "w/o reference decoder".

    Parameters
    ----------
    base : Recipe
        Ends with the stages "seed" and "pose".
    long : float
        Share of the last stage's steps that the long one has (the paper: 30k to 8k).
    """
    *before, seed, pose = base.stages
    plain = tuple(stage for stage in before if stage.aim != "decoder")

    def recipe(name: str, stages: tuple[Stage, ...], **config: object) -> Recipe:
        changed = replace(base.config, name=name, **config)  # type: ignore[arg-type] # of Config's fields
        return replace(base, name=name, config=changed, stages=stages, said=f"{name}; {base.name}")

    def order(name: str, *stages: Stage) -> Recipe:
        """Of table 6: with the autoencoder's own decoder, and without parts that no stage tells anything."""
        told = {
            **({} if any(stage.pose for stage in stages) else {"pose_channels": ()}),
            **({} if any(stage.seed for stage in stages) else {"seed": "none"}),
        }
        return recipe(name, (*plain, *stages), decoder="none", **told)

    only = {
        "P": replace(seed, name="P", seed=False, pose=True),
        "SI": replace(seed, name="SI", seed=True, pose=False),
        "P + SI": replace(seed, name="P + SI", seed=True, pose=True),
    }
    alone = {name: replace(stage, steps=seed.steps + pose.steps) for name, stage in only.items()}
    last = replace(pose, name="P + SI, short")
    longer = replace(last, name="P + SI, long", steps=round(last.steps * long))
    more = order("SI-PSI-long", only["SI"], longer)
    unposed, unseeded = replace(last, name="SI", pose=False), replace(last, name="P", seed=False)
    one, three = _context(base.config, 1), _context(base.config, 3)
    progressive, bare = (*before, seed, pose), (*plain, seed, pose)
    ours = recipe("s1", progressive, **one)
    zero, none = recipe("zero", progressive, decoder="zero", **one), recipe("none", bare, decoder="none", **one)
    return (
        Ablation("HMInterp, s = 1", 5, ours, "mdm", _paper(39.53, 0.034, 39.18, 1.210)),
        Ablation("HMInterp, s = 3", 5, recipe("s3", progressive, **three), "mdm", _paper(40.40, 0.021, 37.85, 0.619)),
        Ablation("linear guidance", 5, ours, "linear", _paper(39.16, 0.042, 41.06, 1.297)),
        Ablation("no guidance", 5, ours, "none", _paper(39.17, 0.048, 41.34, 1.391)),
        Ablation("zero-padded decoder", 5, zero, "mdm", _paper(38.13, 0.034, 40.11, 1.221)),
        Ablation("no reference decoder", 5, none, "mdm", _paper(37.21, 0.039, 49.67, 1.283)),
        Ablation("P", 6, order("P", alone["P"]), "mdm", _paper(35.55, 0.044, 54.68, 1.369)),
        Ablation("P, then SI", 6, order("P-SI", only["P"], unposed), "mdm", _paper(36.81, 0.041, 51.66, 1.330)),
        Ablation("P + SI", 6, order("PSI", alone["P + SI"]), "mdm", _paper(36.62, 0.041, 52.41, 1.325)),
        Ablation("SI", 6, order("SI", alone["SI"]), "mdm", _paper(36.84, 0.043, 51.89, 1.339)),
        Ablation("SI, then P", 6, order("SI-P", only["SI"], unseeded), "mdm", _paper(36.83, 0.042, 52.03, 1.336)),
        Ablation("SI, then P + SI", 6, order("SI-PSI", only["SI"], last), "mdm", _paper(37.21, 0.039, 49.67, 1.283)),
        Ablation("SI, then P + SI, long", 6, more, "mdm", _paper(36.87, 0.041, 51.69, 1.307)),
    )  # fmt: skip


def _context(config: Config, given: int) -> dict[str, int]:
    """As many given frames at either end, around the same gap."""
    return {"context": given, "frames": config.made + 2 * given}


def _paper(psnr: float, lpips: float, movie: float, fvd: float) -> dict[str, float]:
    return {"PSNR": psnr, "LPIPS": lpips, "MOVIE": movie, "FVD": fvd}
