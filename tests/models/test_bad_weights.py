"""Weights that no model computes with are refused where they are read, and losses where they arise."""

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
def test_weights_that_are_not_finite(value, suffix, srcnn_weights, tmp_path):
    state = load_file(srcnn_weights(2))
    state["conv2.weight"][3, 4] = value
    path = tmp_path / f"diverged{suffix}"
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    for read in (load_state, lambda p: load_network(p, 2)):
        with pytest.raises(InputError, match=r"diverged\..*: .*conv2\.weight.*|diverged\..*finite"):
            read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"conv1.weight": torch.zeros(3, 3).to_sparse()}, "expected (dense|PyTorch).*sparse_coo|weights only"),
        ({"conv1.weight": torch.zeros(3, 3, device="meta")}, "expected (dense|PyTorch).*meta|weights only"),
        # A stride of zero: four bytes that requested 7.6 GB when they were looked at.
        (
            {"conv1.weight": torch.zeros(1).expand(1 << 31)},
            r"expected dense tensors of 16 to 64 bits, got 'conv1.weight' \(strided",
        ),
        (
            {"conv1.weight": torch.zeros(4, dtype=torch.float8_e4m3fn)},
            "expected dense tensors of 16 to 64 bits, got .*float8",
        ),
        ({"settings": 3, "average": {}, "model": 5}, "expected a dictionary of tensors"),
    ],
    ids=["sparse", "meta", "repeating", "float8", "no weights"],
)
def test_tensors_that_nothing_computes_with(content, message, tmp_path):
    path = tmp_path / "odd.pth"
    torch.save(content, path)
    assert path.stat().st_size < 1 << 16
    for read in (load_state, lambda p: load_network(p, 2)):
        with pytest.raises(InputError, match=rf"odd\.pth: .*({message})"):
            read(path)


def test_damaged_safetensors_headers(srcnn_weights, tmp_path):
    data = srcnn_weights(2).read_bytes()
    path = tmp_path / "odd.safetensors"
    size = int.from_bytes(data[:8], "little")
    huge = b'{"a": {"dtype": "F32", "shape": [1' + b"0" * 30 + b'], "data_offsets": [0, 4]}}'
    for header in (b"[" * 500, huge, b"{}"):
        path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + size :])
        with pytest.raises(InputError, match=r"odd\.safetensors: expected "):
            load_network(path, 2)


def huge(x: Tensor) -> Tensor:
    """A scorer that overflows."""
    return torch.nn.functional.interpolate(x, scale_factor=2) * torch.finfo(torch.float32).max * 4


def test_a_loss_that_is_not_finite_is_refused_where_it_arises(photo_folder, tmp_path):
    patches = np.full((2, 24, 24, 3), 200, np.uint8)
    for given in (patches, torch.from_numpy(patches)):
        with pytest.raises(RunError, match="expected finite losses, got"):
            srfast.score_patches(given, scorer=huge, backend="torch")
    with pytest.raises(RunError, match=r"astronaut\.png: expected finite losses, got (inf|nan) for patch 0"):
        srfast.score(photo_folder, patch=48, scorer=huge, backend="torch", output=tmp_path / "s.parquet")
    assert not (tmp_path / "s.parquet").exists()


def test_json_on_stdout_is_always_json(capsys):
    from srfast.cli.options import emit

    emit({"a": float("nan"), "b": [float("inf"), {"c": 1.5}], "d": (1, None)})

    def no(text: str) -> Any:
        raise AssertionError(text)

    content = json.loads(capsys.readouterr().out, parse_constant=no)
    assert content == {"a": None, "b": [None, {"c": 1.5}], "d": [1, None]}


def test_metadata_that_ask_for_gigabytes(tmp_path, monkeypatch):
    """156 bytes of them built a model of 7.4 GB before its names were compared."""
    built: list[str] = []
    create = srfast.models.create

    def watched(name: str, scale: int, **options: Any) -> Any:
        if torch.empty(0).device.type != "meta":
            built.append(name)
        return create(name, scale, **options)

    monkeypatch.setattr(srfast.models, "create", watched)
    path = tmp_path / "huge.safetensors"
    wrong = ({"features": 100_000}, {"blocks": 10**9}, {"blocks": 10**400}, {"features": "x"}, {"features": -1}, [1])
    for options in wrong:
        about = {"model": "edsr", "scale": "2", "options": json.dumps(options)}
        save_file({"a": torch.zeros(3)}, path, metadata=about)
        with pytest.raises(InputError, match=r"huge\.safetensors: expected the weights of the model its metadata name"):
            srfast.models.load(path)
    for name, scale in (("\0", "2"), ("edsr", "\ud7ff"), ("edsr", "9" * 5000)):
        save_file({"a": torch.zeros(3)}, path, metadata={"model": name, "scale": scale})
        with pytest.raises(InputError, match=r"huge\.safetensors"):
            srfast.models.load(path)
    assert not built


def test_a_mat_file_that_ends_its_reader(tmp_path, monkeypatch):
    """SciPy reads it in a process of its own, which may crash, take all memory or never end."""
    from srfast.models.official import readers as matlab

    pytest.importorskip("scipy")
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\0\1IM" + b"\x0f\0\0\0\xff\xff\xff\xff" * 90)
    with pytest.raises(InputError, match=r"a\.mat: expected a MATLAB file"):
        load_state(path)
    for code, words in (("import os; os.abort()", "reading it ends the process"), ("1 / 0", "ZeroDivisionError")):
        monkeypatch.setattr(matlab, "_CHILD", code)
        with pytest.raises(InputError, match=rf"a\.mat: expected a MATLAB file.*{words}"):
            load_state(path)
