"""The stand-ins at full size, on the meta device, from the configurations of the published models.

Parameter counts, and the sizes of the published files that they explain, are independent truth.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanVACETransformer3DModel

from vmg_backend.interpolation.hminterp.devices import Placement
from vmg_backend.interpolation.standins import sparsectrl, vace
from vmg_backend.models import REGISTRY, find_model

CARD = Placement(torch.device("cuda"), torch.float16)
TRANSFORMER = {
    "attention_head_dim": 128, "cross_attn_norm": True, "eps": 1e-6, "ffn_dim": 8960, "freq_dim": 256,
    "in_channels": 16, "num_attention_heads": 12, "num_layers": 30, "out_channels": 16, "patch_size": [1, 2, 2],
    "qk_norm": "rms_norm_across_heads", "text_dim": 4096, "vace_in_channels": 96, "vace_layers": [*range(0, 30, 2)],
}  # fmt: skip
UNET = {
    "act_fn": "silu", "attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280],
    "cross_attention_dim": 768, "in_channels": 4, "layers_per_block": 2, "norm_num_groups": 32, "out_channels": 4,
    "sample_size": 64,
}  # fmt: skip
CONTROL = {"attention_head_dim": 8, "block_out_channels": [320, 640, 1280, 1280], "cross_attention_dim": 768}
AUTOENCODER = {
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4, "latent_channels": 4,
    "layers_per_block": 2, "sample_size": 256, "up_block_types": ["UpDecoderBlock2D"] * 4,
}  # fmt: skip
CONFIGS = {
    "wan-vace/transformer": TRANSFORMER,
    "wan-vace/vae": {},
    "sd15-unet/unet": UNET,
    "animatediff-v3": {"use_motion_mid_block": False},
    "sparsectrl-rgb": {},
    "controlnet-openpose": CONTROL,
    "sd-vae": AUTOENCODER,
}
HEADER = 200_000
"""Bytes that a safetensors file has, at most, beside its numbers."""


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("VMG_MODELS", str(tmp_path))
    for place, config in CONFIGS.items():
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "config.json").write_text(json.dumps(config))
    return {model.name: model.folder for model in REGISTRY}


def count(network, part=""):
    return sum(parameter.numel() for name, parameter in network.named_parameters() if part in name)


def test_vace_is_the_published_network():
    with torch.device("meta"):
        transformer, autoencoder = WanVACETransformer3DModel(**TRANSFORMER), AutoencoderKLWan()
    assert count(transformer) == 2_153_972_032
    base = count(transformer) - count(transformer, "vace_")
    assert base == 1_418_996_800  # Wan2.1 T2V 1.3B, published in 32 bits, the rest in 16
    assert (4 * base + 2 * count(transformer, "vace_")) / 1e9 == pytest.approx(7.15, abs=0.005)
    assert count(autoencoder) == 126_892_531


def test_sparsectrls_parts_are_the_published_ones(folders):
    shapes = {name: part.shape(torch.float16) for name, part in sparsectrl._parts(folders).items()}
    assert count(shapes["unet"]) == 859_520_964
    assert find_model("sd15-unet").files[1].size == pytest.approx(2 * 859_520_964, abs=HEADER)
    assert count(shapes["motion"]) * 4 / 1e9 == pytest.approx(find_model("animatediff-v3").gigabytes, abs=0.005)
    assert count(shapes["sparse"]) == 496_730_880
    assert count(shapes["sparse"]) * 4 / 1e9 == pytest.approx(find_model("sparsectrl-rgb").gigabytes, abs=0.005)
    assert find_model("controlnet-openpose").files[1].size == pytest.approx(2 * count(shapes["pose"]), abs=HEADER)
    assert find_model("sd-vae").files[1].size == pytest.approx(4 * count(shapes["autoencoder"]), abs=HEADER)
    with torch.device("meta"):
        networks = sparsectrl._networks(shapes)
    assert count(networks.unet) == 859_520_964 + count(shapes["motion"])
    assert networks.unet.dtype == torch.float16


def test_memory_of_twelve_frames_on_a_card(folders):
    """Weights are known to the byte; beside them, every stage works with something, and offloading helps."""
    wan = vace.Vace(folders["wan-vace"], "", 30).estimate(21, (480, 832), CARD)
    assert wan.weights == {"autoencoder": 4 * 126_892_531, "transformer": 2 * 2_153_972_032}
    assert 10e9 < wan.peak < 16e9  # the autoencoder's float32 pictures
    sparse = sparsectrl.SparseCtrl(folders, 25).estimate(16, (512, 512), CARD)
    assert sum(sparse.weights.values()) / 1e9 == pytest.approx(4.4, abs=0.05)
    assert 5.0e9 < sparse.peak < 9e9
    for need in (wan, sparse):
        assert replace(need, offload=True).peak < need.peak
        assert min(need.phases.values()) > need.slack * sum(need.weights.values())
