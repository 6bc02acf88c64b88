"""Checkpoints: written under a temporary name and renamed, and read without running anything they contain."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as serialise
from torch import Tensor

from srfast.data.files import check_input, output_file
from srfast.errors import InputError, reading

FORMAT = "srfast-checkpoint-2"
LAST = "last.pt"
MODEL = "model.safetensors"


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint under a temporary name, flushes it to disk and renames it."""
    # PyTorch turns a full disk into an error of its own, about positions in the file.
    data = io.BytesIO()
    torch.save({"format": FORMAT, **state}, data)
    with output_file(path, "checkpoint") as temporary:
        temporary.write_bytes(data.getbuffer())


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of ``save``. Raises InputError if it is missing, truncated, not a PyTorch file, or not
    srfast's."""
    check_input(path, "a training checkpoint")
    with reading(f"{path}: expected a training checkpoint, got a corrupt or foreign file"):
        state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected a training checkpoint of this package ({FORMAT}), got a foreign PyTorch file"
        )
    return state


def save_weights(path: Path, weights: dict[str, Tensor], metadata: dict[str, Any]) -> str:
    """Writes float32 weights as safetensors under a temporary name, renames the file, and returns its SHA-256."""
    tensors = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in weights.items()}
    data = serialise(tensors)
    # The metadata are put in sorted: the library's own order varies.
    size = int.from_bytes(data[:8], "little")
    about = {"__metadata__": {k: str(v) for k, v in sorted(metadata.items())}, **json.loads(data[8 : 8 + size])}
    header = json.dumps(about, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    data = len(header).to_bytes(8, "little") + header + data[8 + size :]
    with output_file(path, "weights") as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def rng_state() -> dict[str, Any]:
    """State of the generators from which models draw; crops depend only on the seed and the step."""
    state: Any = np.random.get_state()
    name, keys, *rest = state
    cuda = [s.clone() for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "numpy": [name, keys.tolist(), *rest]}


def restore_rng(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(tuple(state["numpy"]))
