"""Checkpoints: written under a temporary name and renamed, and read without running anything they contain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np
import torch
from safetensors.torch import save as serialise
from torch import Tensor

from srfast.data.files import check_input, output_file
from srfast.data.run_folder import check_same
from srfast.errors import InputError

FORMAT = "srfast-checkpoint-1"
LAST = "last.pt"
MODEL = "model.safetensors"


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint under a temporary name, flushes it to disk and renames it."""
    with output_file(path, "checkpoint") as temporary, open(temporary, "wb") as file:
        stream = _Stream(file)
        try:
            torch.save({"format": FORMAT, **state}, cast(IO[bytes], stream))
        except Exception:
            # PyTorch turns a full disk into an error of its own, about positions in the file.
            if stream.error:
                raise stream.error from None
            raise


class _Stream:
    """A file for torch.save that remembers why a write failed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self._file.flush()


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of ``save``. Raises InputError if it is missing, truncated, not a PyTorch file, or not
    srfast's."""
    check_input(path, "a training checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # A damaged file makes the reader raise almost anything; whatever it raises, the file is at fault.
    except Exception as error:
        raise InputError(
            f"{path}: expected a training checkpoint, got a corrupt or foreign file ({_first(error)})"
        ) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(
            f"{path}: expected a training checkpoint of this package ({FORMAT}), got a foreign PyTorch file"
        )
    return state


def check_settings(path: Path, saved: dict[str, Any], settings: dict[str, Any]) -> None:
    """Refuses settings with which a run cannot be resumed, naming the first that differs; steps may grow."""
    now = dict(settings)
    # A checkpoint of an earlier version says nothing of contents.
    was = {"contents": now["contents"], **saved}
    for known in (was, now):
        known["data"] = [known.pop("data"), known.pop("contents")]  # named last
        size = known.pop("cache_bytes")
        known["cache_mb"] = "enough for all images" if size is None else f"{size / 2**20:g}"
    if isinstance(was.get("steps"), int):
        was["steps"] = max(was["steps"], now["steps"])
    way = "resume with the same settings and data or train into another folder"
    check_same(path, was, now, now, done="trained", way=way, sums={"data": "other images or patches"})


def save_weights(path: Path, weights: dict[str, Tensor], metadata: dict[str, Any]) -> str:
    """Writes float32 weights as safetensors under a temporary name, renames the file, and returns its SHA-256."""
    tensors = {k: v.detach().cpu().clone(memory_format=torch.contiguous_format) for k, v in weights.items()}
    data = _with_metadata(serialise(tensors), {k: str(v) for k, v in sorted(metadata.items())})
    with output_file(path, "weights") as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _with_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """Sorts the metadata of a safetensors file; the library's own order varies."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps({"__metadata__": metadata, **json.loads(data[8 : 8 + size])}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


@contextmanager
def judging(path: Path) -> Iterator[None]:
    """Reports an error in the body as the fault of the checkpoint, whose contents the body uses."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: expected a training checkpoint of this run, got one whose contents do not fit ({_first(error)})"
        ) from None


def rng_state() -> dict[str, Any]:
    """State of the generators from which models draw; crops depend only on the seed and the step."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    assert isinstance(keys, np.ndarray)
    cuda = [s.clone() for s in torch.cuda.get_rng_state_all()] if torch.cuda.is_available() else []
    return {
        "torch": torch.get_rng_state(),
        "cuda": cuda,
        "numpy": [name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss],
    }


def restore_rng(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    name, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))


def _first(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
