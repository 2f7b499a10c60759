"""Devices and memory of HMInterp: what is chosen, what is needed, what is said. No GPU: CUDA and MPS are pretended."""

import types
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
psutil = pytest.importorskip("psutil")

from vmg_backend.errors import UserError  # noqa: E402
from vmg_backend.interpolation.hminterp import devices, memory  # noqa: E402
from vmg_backend.interpolation.hminterp.conditioning import conditions_of  # noqa: E402
from vmg_backend.interpolation.hminterp.config import FULL, TINY  # noqa: E402
from vmg_backend.interpolation.hminterp.devices import Placement, bounded, choose, explained, free_memory, total_memory  # noqa: E402
from vmg_backend.interpolation.hminterp.generating import decoded  # noqa: E402
from vmg_backend.interpolation.hminterp.memory import (  # noqa: E402
    THRIFTS,
    Estimate,
    Live,
    Residence,
    Stage,
    Thrift,
    estimate,
    plan,
)  # fmt: skip
from vmg_backend.interpolation.hminterp.model import HMInterp  # noqa: E402
from vmg_backend.interpolation.hminterp.sampling import sample  # noqa: E402

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda:0"), torch.device("mps")
HOME, GPU = Placement(CPU, torch.float32), Placement(CUDA, torch.float16)


@pytest.fixture
def cuda(monkeypatch):
    """Two NVIDIA GPUs; the first is of 2020, the second of 2018. Returns what was asked of the first."""
    asked = types.SimpleNamespace(fractions=[], emptied=0)
    capabilities = {"cuda:0": (8, 6), "cuda:1": (7, 5)}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: ("RTX 3060", "RTX 2060")[number])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capabilities[str(device)])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (6_000_000_000, 12_000_000_000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 500_000_000)
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda part, device: asked.fractions.append((part, device))
    )

    def empty():
        asked.emptied += 1

    monkeypatch.setattr(torch.cuda, "empty_cache", empty)
    return asked


@pytest.fixture
def mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1_000_000_000)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 11_000_000_000)


# --- devices


def test_without_a_gpu_the_cpu_counts_in_full_precision():
    assert devices.devices() == {"cpu": "CPU"}
    assert choose() == choose("cpu") == choose("cpu", "fp32") == Placement(CPU, torch.float32)


def test_the_first_gpu_is_chosen_and_each_counts_as_it_can(cuda):
    assert devices.devices() == {"cuda:0": "RTX 3060", "cuda:1": "RTX 2060", "cpu": "CPU"}
    assert choose() == choose("cuda") == Placement(CUDA, torch.bfloat16)
    assert choose("cuda:1") == Placement(torch.device("cuda:1"), torch.float16)
    assert choose("cuda", "fp16").dtype == torch.float16
    assert choose("cuda:1", "fp32").dtype == torch.float32


def test_amds_gpus_are_cudas_to_torch(cuda, monkeypatch):
    monkeypatch.setattr(torch.version, "hip", "6.4")
    assert choose("cuda:1").dtype == torch.bfloat16


def test_apples_gpu(mps):
    assert choose() == Placement(MPS, torch.float16)
    assert choose("mps", "fp32").dtype == torch.float32
    with pytest.raises(UserError, match="fp16 or fp32"):
        choose("mps", "bf16")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "tpu"])
def test_a_device_that_is_not_there_is_told(name):
    with pytest.raises(UserError, match=f'"{name}" here. Choose auto, or one of: cpu'):
        choose(name)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp8"])
def test_a_precision_that_the_device_has_not_is_told(precision):
    with pytest.raises(UserError, match="fp32"):
        choose("cpu", precision)


def test_free_memory(cuda, mps, monkeypatch):
    assert free_memory(CUDA) == 6_500_000_000  # torch's own cache is free for torch
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: types.SimpleNamespace(available=7_000_000_000, total=9_000_000_000)
    )
    assert free_memory(CPU) == 7_000_000_000
    assert free_memory(MPS) == 8_000_000_000
    assert [total_memory(device) for device in (CUDA, MPS, CPU)] == [12_000_000_000, 11_000_000_000, 9_000_000_000]
    monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=20_000_000_000))
    assert free_memory(MPS) == 11_000_000_000


def test_free_memory_of_this_computer():
    source = Path("/proc/meminfo")
    if not source.exists():
        pytest.skip("reads what Linux says itself")
    told = dict(line.split(":") for line in source.read_text().splitlines())
    assert free_memory(CPU) == pytest.approx(1024 * int(told["MemAvailable"].split()[0]), rel=0.2)


def test_a_gpu_is_kept_from_spilling(cuda):
    with pytest.raises(ZeroDivisionError), bounded(CUDA, 6_000_000_000):
        assert cuda.fractions == [(0.5, CUDA)]
        raise ZeroDivisionError
    assert cuda.fractions == [(0.5, CUDA), (1.0, CUDA)]
    with bounded(CUDA, 99_000_000_000):
        assert cuda.fractions[-2:] == [(1.0, CUDA), (1.0, CUDA)]
    with bounded(CPU, 1):
        pass
    assert len(cuda.fractions) == 4


# --- out of memory


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("MPS backend out of memory (MPS allocated: 17.2 GB). Tried to allocate 1.1 GB on private pool."),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
    MemoryError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_running_out_of_memory_is_told_and_what_was_held_is_given_back(cuda, error):
    held = []

    def deep(depth):
        tensor = torch.zeros(8)
        held.append(weakref.ref(tensor))
        if depth == 0:
            raise error
        deep(depth - 1)

    with (
        pytest.raises(UserError, match=r"The GPU ran out of memory. Choose 384 px.") as told,
        explained(CUDA, "Choose 384 px."),
    ):
        deep(3)
    assert told.value.title == "Out of memory"
    assert [tensor() for tensor in held] == [None] * 4  # though the error is still in hand
    assert cuda.emptied == 1


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: device-side assert triggered\nCompile with `TORCH_USE_CUDA_DSA` to enable"),
        RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("HIP error: an illegal memory access was encountered."),
    ],
    ids=lambda error: str(error).partition("\n")[0],
)
def test_a_lost_gpu_is_told_and_not_asked_again(cuda, error):
    with pytest.raises(UserError, match="The GPU failed") as told, explained(CUDA, "Choose 384 px.", "Resume."):
        raise error
    assert (told.value.title, told.value.remedy) == ("Graphics card lost", "Resume.")
    assert str(error).partition("\n")[0].rstrip(".") in told.value.message
    assert "\n" not in told.value.message
    assert cuda.emptied == 0


def test_the_cpu_really_runs_out():
    with pytest.raises(UserError, match="The computer ran out of memory"), explained(CPU):
        torch.empty(2**50)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shapes do not match"),
        RuntimeError("CUDA error: no kernel image is available for execution on the device"),
        UserError("a", "b"),
        KeyError("x"),
    ],
)
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as told, explained(CPU):
        raise error
    assert told.value is error


# --- what is needed


def test_live_bytes_are_those_of_the_tensors():
    """A short life, counted by hand; float32, 1000 numbers are 4000 bytes."""
    outside = torch.ones(5000)
    with Live() as live:
        a = torch.zeros(1000)
        assert (live.now, live.peak) == (4000, 4000)
        view = a.view(10, 100)[2:5].t()
        assert live.now == 4000  # looks into a
        b = a + 1
        assert live.now == 8000
        del a
        assert live.now == 8000  # the view still does
        del view
        assert (live.now, live.peak) == (4000, 8000)
        b += 1
        outside.mul_(2)
        kept = outside[:10]
        assert live.now == 4000  # outside was there before
        c = b.half()
        assert live.now == 6000
        (b * 2).sum()
        assert live.now == 6000
        assert live.peak == 6000 + 4000 + 4
        del b, c, kept
    assert live.now == 0


def really(model, config, given, two_pass, chunk):
    """Peaks of the three phases, run with numbers."""
    side, peaks = config.size, {}
    with torch.no_grad():
        with Live() as live:
            pictures = torch.rand(1, 2 * given, 3, side, side)
            maps = torch.rand(1, 3, config.frames, side, side)
            conditions = conditions_of(model, pictures, config.frames - 2 * given, maps)
        peaks["prepare"], held = live.peak, live.now
        with Live() as live:
            latents = sample(model.denoiser, conditions, config, seed=0, steps=2, guidance=2.0, two_pass=two_pass)
        peaks["denoise"] = held + live.peak
        with Live() as live:
            decoded(model, latents, pictures, chunk)
        peaks["decode"] = held + live.peak
    return peaks


@pytest.mark.parametrize(
    ("reference", "size", "given", "two_pass", "chunk"),
    [("attention", 64, 1, False, 4), ("attention", 96, 3, True, 1), ("light", 64, 1, True, 4)],
)
def test_the_rehearsal_is_what_really_happens(reference, size, given, two_pass, chunk):
    """On the meta device and on the CPU, the same peaks: within 5 % (a few copies of the latents)."""
    config = replace(TINY, reference=reference, size=size)
    torch.manual_seed(0)
    model = HMInterp.build(config).eval().requires_grad_(False)
    thrift = Thrift(two_pass=two_pass, chunk=chunk)
    told = estimate(config, height=size, width=size, place=HOME, given=given, thrift=thrift)
    for phase, peak in really(model, config, given, two_pass, chunk).items():
        assert max(stage.working for stage in told.stages[phase]) == pytest.approx(peak, rel=0.05), phase
    stored = {name: sum(x.nbytes for x in part.parameters()) for name, part in model.named_children()}
    assert told.weights == stored


def test_half_precision_needs_half_and_thrift_needs_less():
    def need(dtype=torch.float16, **changes):
        return estimate(TINY, height=128, width=128, place=Placement(CUDA, dtype), **changes)

    assert 2 * sum(need().weights.values()) == sum(need(torch.float32).weights.values())
    assert need().peak < 0.6 * need(torch.float32).peak
    needs = [need(thrift=thrift).peak for thrift in THRIFTS]
    assert needs[0] == max(needs)
    assert needs[-1] == min(needs) < 0.8 * needs[0]
    assert need(guided=False).phases["denoise"] == need(thrift=THRIFTS[1]).phases["denoise"]
    longer = need(frames=TINY.frames + 20).phases
    assert all(longer[phase] > most for phase, most in need().phases.items())
    assert need(given=3).phases["prepare"] > need().phases["prepare"]


def test_work_is_proportional_to_the_pixels():
    """Rehearsed at two sizes; and at one, scaled."""
    small, large = (estimate(replace(TINY, size=side), height=256, width=256, place=HOME) for side in (128, 256))
    for phase, most in small.phases.items():
        assert large.phases[phase] == pytest.approx(most, rel=0.03)


def test_offloaded_parts_do_not_add_up():
    weights = {"autoencoder": 200, "denoiser": 1000, "reference": 700, "decoder": 100}
    stages = {
        "prepare": (Stage(("autoencoder",), 900), Stage(("reference",), 300)),
        "denoise": (Stage(("denoiser",), 400),),
        "decode": (Stage(("autoencoder", "decoder"), 500),),
    }
    every, some = (Estimate(weights, stages, offload, 1.2) for offload in (False, True))
    assert every.phases == {
        "prepare": round(1.2 * 2900), "denoise": round(1.2 * 2400), "decode": round(1.2 * 2500),
    }  # fmt: skip
    assert some.phases == {"prepare": round(1.2 * 1100), "denoise": round(1.2 * 1400), "decode": round(1.2 * 800)}
    assert some.peak == round(1.2 * 1400)
    quarter = some.scaled(0.25)
    assert quarter.phases["denoise"] == round(1.2 * 1100)


def test_stages_name_their_parts():
    told = estimate(TINY, height=64, width=64, place=HOME).stages
    assert [stage.parts for stage in told["prepare"]] == [
        ("autoencoder",), ("tokens",), ("reference",), ("denoiser",), ("pose_guider",),
    ]  # fmt: skip
    assert [stage.parts for stage in told["denoise"] + told["decode"]] == [("denoiser",), ("autoencoder", "decoder")]


# --- the plan


def needs(config, side, **changes):
    return [estimate(config, height=side, width=side, place=GPU, thrift=way, **changes).peak for way in THRIFTS]


def test_the_fastest_way_that_fits_is_taken():
    def taken(free):
        return plan(TINY, height=128, width=128, place=GPU, free=free)

    steps = needs(TINY, 128)
    assert taken(steps[0]) == THRIFTS[0]
    for free in np.linspace(min(steps), max(steps), 9).astype(int).tolist():
        fitting = [way for way, need in zip(THRIFTS, steps, strict=True) if need <= free]
        assert taken(free) == fitting[0]
    with pytest.raises(UserError):
        taken(min(steps) - 1)


def test_nothing_is_offloaded_from_the_cpu_to_the_cpu():
    staying = max(i for i, way in enumerate(THRIFTS) if not way.offload)
    least = estimate(TINY, height=128, width=128, place=HOME, thrift=THRIFTS[staying]).peak
    assert plan(TINY, height=128, width=128, place=HOME, free=least) == THRIFTS[staying]
    with pytest.raises(UserError):
        plan(TINY, height=128, width=128, place=HOME, free=least - 1)


def test_a_refusal_names_a_size_that_fits():
    with pytest.raises(UserError, match=r"HMInterp at 256 px needs 0.1 GB, and 0.0 GB are free") as told:
        plan(TINY, height=256, width=256, place=GPU, free=(free := needs(TINY, 256)[-1] // 3))
    side = int(told.value.remedy.split()[1])
    assert side % TINY.multiple == 0
    assert plan(TINY, height=side, width=side, place=GPU, free=int(1.03 * free))
    with pytest.raises(UserError):
        plan(TINY, height=side + TINY.multiple, width=side + TINY.multiple, place=GPU, free=int(0.97 * free))


def test_a_refusal_names_the_light_controller_where_that_fits(monkeypatch):
    """Pretended needs: 10 MB; 5 MB beside the weights' 4 at half the pixels; 6 MB with the light controller."""

    def pretended(config, **_):
        heavy = config.reference == "attention"
        stage = Stage(("denoiser",), 6_000_000 if heavy else 2_000_000)
        return Estimate({"denoiser": 4_000_000}, {"denoise": (stage,)}, False, 1.0)

    monkeypatch.setattr(memory, "estimate", pretended)
    asked = {"height": 128, "width": 192, "place": GPU}
    with pytest.raises(UserError) as both:
        plan(TINY, **asked, free=8_000_000)
    assert both.value.remedy == "Choose 96 px or a model with the light controller."
    with pytest.raises(UserError) as smaller:
        plan(TINY, **asked, free=5_900_000)
    assert smaller.value.remedy == "Choose 64 px."
    with pytest.raises(UserError) as neither:  # and sizes below the half are no advice
        plan(TINY, **asked, free=5_000_000)
    assert neither.value.remedy.startswith("Close other programs")


@pytest.mark.long
def test_the_full_model_at_512_px():
    """The first needs more than 9 GB, fits 8 GB with thrift, and a card of 4 GB is told what would fit."""
    every = needs(FULL, 512)
    assert 9e9 < every[0] < 13e9
    assert every[-1] < 8e9
    with pytest.raises(UserError, match=r"HMInterp at 512 px needs \d\.\d GB, and 4.0 GB are free. Choose \d+ px"):
        plan(FULL, height=512, width=512, place=GPU, free=4_000_000_000)


# --- offloading


class Part(torch.nn.Linear):
    """Remembers where it was moved."""

    def __init__(self):
        super().__init__(2, 2)
        self.moves = []

    def to(self, device):
        self.moves.append(str(device))
        return self


def test_parts_are_on_the_device_for_their_turn(cuda):
    first, second = Part(), Part()
    place = Residence(CUDA, offload=True)
    with place.using(first, None, second):
        assert first.moves == second.moves == ["cuda:0"]
    with pytest.raises(ZeroDivisionError), place.using(first):
        raise ZeroDivisionError
    assert first.moves == ["cuda:0", "cpu"] * 2
    assert second.moves == ["cuda:0", "cpu"]
    assert cuda.emptied == 2


def test_without_offloading_nothing_moves():
    part = Part()
    with Residence(CUDA, offload=False).using(part):
        pass
    assert part.moves == []
