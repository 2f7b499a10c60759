"""What public models are told in words: always the same, so that it is computed once."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from ...errors import UserError
from ...files import cache_root, settings_hash, writing
from ...progress import Progress
from ..hminterp.devices import free_memory
from ..hminterp.memory import said
from .parts import Part, readable

WORDS = (
    "blurred, distorted, deformed body, extra limbs, text",
    "A sharp video of one person who moves naturally.",
)
"""What is not wanted, then what is; neutral, for nobody knows what the footage shows."""
_ROOM = 1.1
"""Memory that the text encoder needs, over its files."""


def clip_words(model: Path) -> Tensor:
    """CLIP's last hidden states [2, T, D] of `WORDS`, float32, as Stable Diffusion 1.5 reads them."""
    from transformers import CLIPTextModel, CLIPTokenizer

    with readable(model):
        reader = CLIPTokenizer.from_pretrained(model / "tokenizer", local_files_only=True)
    network = Part(CLIPTextModel, model, "text_encoder", "fp16").load(torch.float32)
    tokens = reader(
        list(WORDS), padding="max_length", max_length=reader.model_max_length, truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        states: Tensor = network(tokens.input_ids).last_hidden_state
    return states


def umt5_words(model: Path, length: int, hashes: object, progress: Progress) -> Tensor:
    """UMT5's last hidden states [2, length, D] of `WORDS`, float32, zero after their end, as Wan reads them.

    They are kept in the cache, since the text encoder is larger than all the rest of the model.

    Parameters
    ----------
    model : Path
        Its folder.
    length : int
        Tokens.
    hashes : object
        What identifies its files.
    progress : Progress

    Raises
    ------
    UserError
        When the text encoder, needed once, does not fit into the memory.
    """
    file = cache_root() / "words" / f"{settings_hash({'model': hashes, 'words': WORDS})}.safetensors"
    if not file.is_file():
        progress.update(0.0)
        with writing(file) as temporary:
            save_file({str(number): states for number, states in enumerate(_umt5(model))}, temporary)
    try:
        states = [load_file(file)[str(number)][:length] for number in range(len(WORDS))]
    except (OSError, SafetensorError) as error:
        raise UserError(f"{file} cannot be read: {error}.", "Delete it: it is made again.") from error
    return torch.stack([functional.pad(each, (0, 0, 0, length - len(each))) for each in states])


def _umt5(model: Path) -> list[Tensor]:
    """The states [T, D] of each of `WORDS`."""
    from transformers import AutoTokenizer, UMT5EncoderModel

    need = round(_ROOM * sum(file.stat().st_size for file in (model / "text_encoder").glob("*.safetensors")))
    free = free_memory(torch.device("cpu"))
    if need > free:
        raise UserError(
            f"The text encoder, needed once, takes {said(need)} of RAM, and {said(free)} are free.",
            f"Close other programs, or copy {cache_root() / 'words'} from a computer where it ran.",
            title="Too little memory",
        )
    with readable(model):
        reader = AutoTokenizer.from_pretrained(model / "tokenizer", local_files_only=True)
    network = Part(UMT5EncoderModel, model, "text_encoder").load(torch.bfloat16)
    with torch.no_grad():
        said_of = [network(reader(text, return_tensors="pt").input_ids) for text in WORDS]
    return [states.last_hidden_state[0].float() for states in said_of]
