"""Pose Guider: pose maps as features for the denoiser (AnimateAnyone, section 3.2)."""

from __future__ import annotations

from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor

from .config import Config


class PoseGuider(ControlNetConditioningEmbedding):
    """Features of pose maps, added after the denoiser's first convolution; zero until trained.

    Parameters
    ----------
    config : Config
    """

    def __init__(self, config: Config) -> None:
        super().__init__(config.channels[0], 3, config.pose_channels)

    def forward(self, maps: Tensor) -> Tensor:
        """Features of each frame.

        Parameters
        ----------
        maps : [B, 3, F, H, W]
            In 0..1.

        Returns
        -------
        [B·F, C0, h, w]
        """
        features: Tensor = super().forward(maps.transpose(1, 2).flatten(0, 1))
        return features
