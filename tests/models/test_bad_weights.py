"""Weights that no model computes with are refused where they are read, and losses where they arise."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import srfast
from srfast.errors import InputError, RunError
from srfast.models.loading import load_state
from srfast.scoring.network import load_network

Weights = Callable[[int], Path]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_weights_that_are_not_finite(value: float, suffix: str, srcnn_weights: Weights, tmp_path: Path) -> None:
    state = load_file(srcnn_weights(2))
    state["conv2.weight"][3, 4] = value
    path = tmp_path / f"diverged{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    for read in (load_state, lambda p: load_network(p, 2)):
        with pytest.raises(InputError, match=r"diverged\..*: expected finite weights, got NaN or infinity in 'conv2.w"):
            read(path)


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (torch.zeros(3, 3).to_sparse(), "sparse_coo"),
        (torch.zeros(3, 3, device="meta"), "meta"),
    ],
)
def test_tensors_without_dense_values(tensor: Tensor, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.pth"
    torch.save({"conv1.weight": tensor}, path)
    with pytest.raises(InputError, match=rf"odd\.pth: expected (dense|PyTorch).*{kind}|weights only"):
        load_state(path)


def test_damaged_safetensors_headers(srcnn_weights: Weights, tmp_path: Path) -> None:
    data = srcnn_weights(2).read_bytes()
    path = tmp_path / "odd.safetensors"
    size = int.from_bytes(data[:8], "little")
    for header in (
        b"[" * 500,
        b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 30 + b'], "data_offsets": [0, 4]}}',
        b"{}",
    ):
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        with pytest.raises(InputError, match=r"odd\.safetensors: expected "):
            load_network(path, 2)


def huge(x: Tensor) -> Tensor:
    """A scorer that overflows."""
    return torch.nn.functional.interpolate(x, scale_factor=2) * torch.finfo(torch.float32).max * 4


def test_a_loss_that_is_not_finite_is_refused_where_it_arises(photo_folder: Path, tmp_path: Path) -> None:
    patches = np.full((2, 24, 24, 3), 200, np.uint8)
    with pytest.raises(RunError, match="expected finite losses, the scorer gives"):
        srfast.score_patches(patches, scorer=huge, backend="torch")
    with pytest.raises(RunError, match="expected finite losses"):
        srfast.score_patches(torch.from_numpy(patches), scorer=huge, backend="torch")
    with pytest.raises(
        RunError, match=r"astronaut\.png: expected finite losses, the scorer gives (inf|nan) for patch 0"
    ):
        srfast.score(photo_folder, patch=48, scorer=huge, backend="torch", output=tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()


def test_json_on_stdout_is_always_json(capsys: pytest.CaptureFixture[str]) -> None:
    from srfast.cli.options import emit

    emit({"a": float("nan"), "b": [float("inf"), {"c": 1.5}], "d": (1, None)})

    def no(text: str) -> Any:
        raise AssertionError(text)

    found = json.loads(capsys.readouterr().out, parse_constant=no)
    assert found == {"a": None, "b": [None, {"c": 1.5}], "d": [1, None]}


def test_pickles_that_are_no_weights(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"settings": 3, "average": {}, "model": 5}, buffer)
    (tmp_path / "odd.pt").write_bytes(buffer.getvalue())
    with pytest.raises(InputError, match="expected a dictionary of tensors"):
        load_state(tmp_path / "odd.pt")
