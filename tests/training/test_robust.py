"""Training runs that are interrupted, tampered with, or run out of disk."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from srfast.errors import InputError, RunError
from srfast.training import checkpoint
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import recipe
from srfast.training.sources import open_store
from srfast.training.store import PairStore

ABOUT = {"model": "srcnn", "options": "{}", "scale": 2, "steps": 8, "seed": 0, "data": "photos", "format": "pt"}


@pytest.fixture
def store(photo_folder: Path) -> PairStore:
    return open_store([photo_folder], 2, color="y", patch=24, quantise=False)[0]


def plan(steps: int = 8) -> Plan:
    import dataclasses

    return Plan("fsrcnn", 2, steps, dataclasses.replace(recipe("fsrcnn"), batch=2, lr_patch=12), 3)


def log_of(run: Path) -> list[list[str]]:
    """Rows without the columns of time."""
    return [line.split(",")[:5] for line in (run / "log.csv").read_text().splitlines()]


class SignalAt:
    """Pairs whose n-th draw sends this process a signal."""

    def __init__(self, store: PairStore, draw: int) -> None:
        self._store, self._left = store, draw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def crop(self, *args: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return self._store.crop(*args)


@pytest.mark.parametrize("draw", [1, 5, 9])
def test_the_log_of_a_resumed_run_is_that_of_an_undisturbed_one(draw: int, store: PairStore, tmp_path: Path) -> None:
    train(plan(), store, tmp_path / "whole", quiet=True, log_every=3)
    with pytest.raises(KeyboardInterrupt):
        train(plan(), SignalAt(store, draw), tmp_path / "run", quiet=True, log_every=3)  # type: ignore[arg-type]
    train(plan(), store, tmp_path / "run", quiet=True, log_every=3, resume=True)
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    a, b = (load_file(tmp_path / n / "model.safetensors") for n in ("run", "whole"))
    assert all(torch.equal(a[k], b[k]) for k in b)
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == (
        tmp_path / "whole" / "model.safetensors"
    ).read_bytes()


def test_equal_weights_have_equal_bytes(tmp_path: Path) -> None:
    """The library writes its metadata in another order each time."""
    weights = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(1)}
    seen = set()
    for i in range(8):
        path = tmp_path / f"{i}.safetensors"
        checkpoint.save_weights(path, weights, dict(reversed(ABOUT.items())) if i % 2 else ABOUT)
        seen.add(path.read_bytes())
        assert all(torch.equal(v, weights[k]) for k, v in load_file(path).items())
    assert len(seen) == 1


TAMPERED: dict[str, Any] = {
    "no settings": lambda s: s.pop("settings"),
    "no model": lambda s: s.pop("model"),
    "settings are a list": lambda s: s.update(settings=[1]),
    "rng is nothing": lambda s: s.update(rng=None),
    "rng without numpy": lambda s: s["rng"][0].pop("numpy"),
    "step is a word": lambda s: s.update(step="many"),
    "weights of another shape": lambda s: s["model"].update({next(iter(s["model"])): torch.zeros(1)}),
    "an average of nothing": lambda s: s.update(average={"x": torch.zeros(1)}),
    "optimizer": lambda s: s.update(optimizer={}),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampered_checkpoints_end_in_one_line(how: str, store: PairStore, tmp_path: Path) -> None:
    train(plan(2), store, tmp_path, quiet=True)
    path = tmp_path / "last.pt"
    state = torch.load(path, weights_only=True)
    TAMPERED[how](state)
    torch.save(state, path)
    with pytest.raises(InputError, match=r"last\.pt") as caught:
        train(plan(2), store, tmp_path, quiet=True, resume=True)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE and /dev/full")
def test_a_full_disk_in_training_names_the_file(
    store: PairStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = open("/dev/full", "wb", buffering=0)
    real = checkpoint._Stream

    def on_full_disk(_file: Any) -> Any:
        return real(full)

    monkeypatch.setattr(checkpoint, "_Stream", on_full_disk)
    with full, pytest.raises(RunError, match=r"last\.pt: the disk is full"):
        train(plan(2), store, tmp_path, quiet=True)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".srfast") or p.name == "last.pt"]


def test_files_of_the_users_in_a_run_folder_stay(store: PairStore, tmp_path: Path) -> None:
    for name in ("log.csv", "model.safetensors", "last.pt"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes(b"mine")
        with pytest.raises(InputError, match="was not written by srfast"):
            train(plan(2), store, folder, quiet=True)
        assert [(p.name, p.read_bytes()) for p in folder.iterdir()] == [(name, b"mine")]
