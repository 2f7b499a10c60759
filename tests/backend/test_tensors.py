"""Files of tensors: what is said of those that are not what they should be, to each of their readers."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from vmg_backend.errors import Cancelled, UserError
from vmg_backend.motion.weights import SHIPPED, Weights
from vmg_backend.progress import Progress
from vmg_backend.tensors import Kind, opened

KIND = Kind("thing", "Make another.", lambda stated: stated.get("made") == "here")


def spoilt(file: Path) -> Path:
    """A copy of the shipped weights, cut short."""
    file.write_bytes(SHIPPED.read_bytes()[:-1000])
    return file


def another(file: Path) -> Path:
    save_file({"a": np.zeros(3, np.float32)}, file, {"format": "pt"})
    return file


def no_tensors(file: Path) -> Path:
    file.write_bytes(b"PK\x03\x04 an archive, say")
    return file


def missing(file: Path) -> Path:
    return file


FILES = [
    (missing, "File missing", "There is no "),
    (spoilt, "File damaged", "cannot be read as "),
    (no_tensors, "File damaged", "cannot be read as "),
    (another, "Another file", "of this version"),
]


@pytest.mark.parametrize(("made", "title", "said"), FILES)
def test_what_is_wrong_with_a_file_is_said_with_its_name_and_a_remedy(tmp_path, made, title, said):
    file = made(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match=said) as caught, opened(file, KIND, "numpy"):
        pass
    assert caught.value.title == title
    assert str(file) in caught.value.message
    assert caught.value.remedy == "Make another."


def test_a_good_one_is_read(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": np.arange(3.0)}, file, {"made": "here"})
    with opened(file, KIND, "numpy") as held:
        assert held.get_tensor("a").tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("made", "title", "said"), FILES)
def test_the_motion_model_says_it(tmp_path, made, title, said):
    with pytest.raises(UserError, match=f"{said}.*Train one") as caught:
        Weights.load(made(tmp_path / "a.safetensors"))
    assert caught.value.title == title


@pytest.mark.parametrize(("made", "title", "said"), FILES)
def test_a_training_says_it(tmp_path, made, title, said):
    pytest.importorskip("torch", reason="needs the extra [train]")
    from vmg_backend.training.mdm import RECIPES, Training

    with pytest.raises(UserError, match=f"{said}.*Delete it") as caught:
        Training(lambda *_: None, 17, RECIPES["tiny"]).resume(made(tmp_path / "a.safetensors"))
    assert caught.value.title == title


@pytest.mark.parametrize(("made", "title", "said"), FILES[1:3])
def test_a_model_says_it(tmp_path, made, title, said):
    pytest.importorskip("diffusers", reason="needs the extra [generate]")
    from vmg_backend.interpolation.hminterp.config import TINY
    from vmg_backend.interpolation.hminterp.model import HMInterp

    HMInterp.build(TINY).save(tmp_path / "model")
    made(tmp_path / "model" / "denoiser.safetensors")
    with pytest.raises(UserError, match=f"{said}.*Get or import") as caught:
        HMInterp.load(tmp_path / "model")
    assert caught.value.title == title


def test_the_writer_of_big_files_agrees_with_the_formats_own(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from vmg_backend.files import content_hash
    from vmg_backend.interpolation.hminterp.writing import write_tensors

    torch.manual_seed(0)
    tensors = {
        "half": torch.randn(3, 5).half(),
        "bits": torch.tensor([True, False, True]),
        "number": torch.tensor(7),
        "turned": torch.randn(1300, 1000).T,
        "brain": torch.randn(7).bfloat16(),
        "empty": torch.zeros(0, 4),
    }
    file = tmp_path / "a.safetensors"
    assert write_tensors(file, tensors) == content_hash(file)
    from safetensors.torch import load_file as load_torch

    read = load_torch(file)
    assert {name: tensor.dtype for name, tensor in read.items()} == {n: t.dtype for n, t in tensors.items()}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    head = json.loads(file.read_bytes()[8:].split(b"\n")[0][: int.from_bytes(file.read_bytes()[:8], "little")])
    assert all(head[n]["data_offsets"][0] % t.element_size() == 0 for n, t in tensors.items())

    write_tensors(file, tensors, dtype=torch.float16)
    assert {name: str(array.dtype) for name, array in load_file(file).items()} == {
        **dict.fromkeys(("half", "turned", "brain", "empty"), "float16"),
        "bits": "bool",
        "number": "int64",
    }
    with pytest.raises(UserError, match="big holds numbers that are too large for float16"):
        write_tensors(file, {"big": torch.tensor([1e6])}, dtype=torch.float16)


def test_writing_stops_in_the_middle_of_a_tensor(tmp_path):
    torch = pytest.importorskip("torch", reason="needs the extra [train]")
    from vmg_backend.interpolation.hminterp.writing import write_tensors

    cancelled, told = threading.Event(), []

    def report(fraction: float, _: str) -> None:
        told.append(fraction)
        if len(told) == 4:
            cancelled.set()

    file = tmp_path / "a.safetensors"
    with pytest.raises(Cancelled):
        write_tensors(file, {"large": torch.zeros(16_000_000)}, Progress(report, cancelled))
    assert told == sorted(told)
    assert told[1] < 0.07  # of 64 MB
    assert file.stat().st_size < 20e6
