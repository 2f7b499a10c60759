"""The noise of training and the steps of sampling, as a checkpoint's `Config` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from ...errors import UserError
from .config import Config

Sampler = Literal["ddim", "dpm++"]
MOMENTS = 1000
"""Of training; moment 999 is pure noise at zero terminal SNR."""
_ORDERS: dict[Sampler, int] = {"ddim": 1, "dpm++": 2}


@dataclass(frozen=True)
class Noise:
    """The forward process: noisy = signal · clean + noise · N(0, 1), with signal² + noise² = 1.

    Attributes
    ----------
    kept : float32 [1000]
        Share of the signal's power at each moment (the cumulative product of 1 - beta).
    prediction : {"v_prediction", "epsilon"}
        What the network says.
    """

    kept: Tensor
    prediction: Literal["v_prediction", "epsilon"]

    @classmethod
    def of(cls, config: Config) -> Noise:
        """The noise that the network of this configuration knows.

        Raises
        ------
        UserError
            When epsilon is to be predicted where no signal is left: nothing clean could be told from it.
        """
        if config.zero_snr and config.prediction == "epsilon":
            raise UserError(
                f"The model {config.name} predicts noise (epsilon) at zero terminal SNR, where that says nothing.",
                "Set prediction to v_prediction, or zero_snr to false, as the model was trained.",
            )
        return cls(DDIMScheduler(**_betas(config)).alphas_cumprod, config.prediction)

    def noisy(self, clean: Tensor, noise: Tensor, moment: Tensor) -> Tensor:
        """What is left of `clean` [B, ...] at `moment` [B]."""
        kept, lost = self._rates(moment, clean)
        return kept * clean + lost * noise

    def target(self, clean: Tensor, noise: Tensor, moment: Tensor) -> Tensor:
        """What the network should say of `noisy(clean, noise, moment)`."""
        kept, lost = self._rates(moment, clean)
        return noise if self.prediction == "epsilon" else kept * noise - lost * clean

    def clean(self, said: Tensor, noisy: Tensor, moment: Tensor) -> Tensor:
        """What the network means, when it says `said` of `noisy` [B, ...] at `moment` [B]."""
        kept, lost = self._rates(moment, noisy)
        return (noisy - lost * said) / kept if self.prediction == "epsilon" else kept * noisy - lost * said

    def noise(self, said: Tensor, noisy: Tensor, moment: Tensor) -> Tensor:
        """The noise that the network means, as `clean` is the signal."""
        kept, lost = self._rates(moment, noisy)
        return said if self.prediction == "epsilon" else kept * said + lost * noisy

    def _rates(self, moment: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        kept = self.kept.to(like.device)[moment].view(-1, *[1] * (like.ndim - 1))
        return kept.sqrt(), (1 - kept).sqrt()


def make_scheduler(config: Config, steps: int, sampler: Sampler | None = None) -> DPMSolverMultistepScheduler:
    """The sampler with its steps set; use it for one run.

    DDIM is DPM-Solver++ of order one (Lu et al. 2022, section 4), and here it is made so: diffusers' `DDIMScheduler`
    takes whole-numbered strides whatever the spacing, so that with 15 or 18 steps its last one ends before the clean
    picture and 3 % of noise stay. At zero terminal SNR the first step's signal is 2^-12 instead of 0.

    Parameters
    ----------
    config : Config
        Betas, prediction, spacing, and the sampler where none is named.
    steps : int
        From 1 to 1000.

    Raises
    ------
    UserError
        With other numbers of steps.
    """
    if not 1 <= steps <= MOMENTS:
        raise UserError(f"There are no {steps} denoising steps.", f"Choose from 1 to {MOMENTS}.")
    scheduler = DPMSolverMultistepScheduler(
        **_betas(config), prediction_type=config.prediction, solver_order=_ORDERS[sampler or config.sampler]
    )
    if config.spacing == "trailing":  # diffusers' own have one too many at 61, 103 or 121 steps
        scheduler.set_timesteps(timesteps=[round(MOMENTS * (1 - step / steps)) - 1 for step in range(steps)])
    else:
        scheduler.set_timesteps(steps)
    return scheduler


def _betas(config: Config) -> dict[str, object]:
    return {
        "num_train_timesteps": MOMENTS,
        "beta_start": config.beta_start,
        "beta_end": config.beta_end,
        "beta_schedule": config.betas,
        "rescale_betas_zero_snr": config.zero_snr,
        "timestep_spacing": config.spacing,
    }
