"""One commit point of a step, the checkpoint, which names the weights that go with it; runs that end, tampered ones."""

import dataclasses
import errno
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from srfast.data.atomic import checksum
from srfast.errors import InputError, RunError
from srfast.training import checkpoint
from srfast.training import log as board
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import recipe
from srfast.training.sources import open_store
from srfast.training.store import PairStore

WEIGHTS = "model.safetensors"


@pytest.fixture
def store(photo_folder: Path) -> PairStore:
    return open_store([photo_folder], 2, color="y", patch=24, quantise=False)[0]


def plan(steps: int = 4) -> Plan:
    return Plan("fsrcnn", 2, steps, dataclasses.replace(recipe("fsrcnn"), batch=2, lr_patch=12), 3)


def run(store: PairStore, out: Path, **options: Any) -> Any:
    return train(plan(), store, out, quiet=True, save_every=2, **options)


@pytest.fixture
def whole(store: PairStore, tmp_path: Path) -> bytes:
    run(store, tmp_path / "whole")
    return (tmp_path / "whole" / WEIGHTS).read_bytes()


@pytest.mark.parametrize("number", range(12))
def test_a_run_that_ends_between_its_files_goes_on_to_the_same_weights(number, ending, store, whole, tmp_path):
    out = tmp_path / "run"
    with ending(number, out):
        run(store, out)
    done = run(store, out, resume=True)
    assert done.step == 4
    assert (out / WEIGHTS).read_bytes() == whole
    assert torch.load(out / "last.pt", weights_only=True)["weights"] == checksum(out / WEIGHTS)


@pytest.mark.parametrize("which", ["absent", "of another step"])
def test_a_finished_run_has_the_weights_its_checkpoint_names(which, store, whole, tmp_path):
    out = tmp_path / "run"
    run(store, out)
    if which == "absent":
        (out / WEIGHTS).unlink()
    else:
        train(plan(2), store, tmp_path / "other", quiet=True)
        (out / WEIGHTS).write_bytes((tmp_path / "other" / WEIGHTS).read_bytes())
    assert run(store, out, resume=True).step == 4
    assert (out / WEIGHTS).read_bytes() == whole


@pytest.mark.parametrize("name", ["last.pt", WEIGHTS])
def test_a_file_that_comes_into_a_runs_folder_meanwhile_stays(name, store, tmp_path):
    def arrive(_model: Any) -> tuple[float, float]:
        if not (tmp_path / "run" / name).exists():
            (tmp_path / "run" / name).write_bytes(b"mine")
        return 30.0, 0.9

    with pytest.raises(InputError, match=f"{name}: exists and was not written by srfast"):
        run(store, tmp_path / "run", evaluate=arrive, eval_every=1)
    assert (tmp_path / "run" / name).read_bytes() == b"mine"


@pytest.mark.parametrize("rest", [b"1", b"3,0.2", b"1,\xff\xfe", b'2,"0.2', b"1,\0"])
def test_a_row_that_was_cut_short_is_not_kept(rest, store, tmp_path):
    """Of the row of step 13, "1" would be one of a step before the checkpoint."""
    out = tmp_path / "run"
    run(store, out, log_every=1)
    rows = [line.split(",")[:3] for line in (out / "log.csv").read_text().splitlines()]
    with open(out / "log.csv", "ab") as file:
        file.write(rest)
    run(store, out, log_every=1, resume=True)
    assert [line.split(",")[:3] for line in (out / "log.csv").read_text().splitlines()] == rows


def test_a_disk_that_is_full_for_tensorboard(store, whole, tmp_path, monkeypatch, caplog):
    pytest.importorskip("tensorboard")
    fallen: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", fallen.append)

    write = board.write_all

    def full(file: Any, data: bytes) -> None:
        if "tensorboard" in str(file.name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, data)

    monkeypatch.setattr(board, "write_all", full)
    with caplog.at_level(logging.WARNING, "srfast"):
        run(store, tmp_path / "run", log_every=1)
    assert [r.message for r in caplog.records] == [
        f"{tmp_path / 'run' / 'tensorboard'}: TensorBoard's file cannot be written (No space left on device); "
        "log.csv continues"
    ]
    assert not fallen
    assert (tmp_path / "run" / WEIGHTS).read_bytes() == whole


def test_tensorboard_reads_what_was_written(store, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(store, tmp_path / "run", log_every=1)
    events = accumulator.EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss", "lr", "seconds", "data_seconds"}
    rows = [line.split(",") for line in (tmp_path / "run" / "log.csv").read_text().splitlines()[1:]]
    scalars = events.Scalars("loss")
    assert [e.step for e in scalars] == [int(step) for step, *_ in rows]
    # They are float32.
    assert [e.value for e in scalars] == pytest.approx([float(loss) for _, loss, *_ in rows], rel=2**-23)


ABOUT = {"model": "srcnn", "options": "{}", "scale": 2, "steps": 8, "seed": 0, "data": "photos", "format": "pt"}


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
def test_the_log_of_a_resumed_run_is_that_of_an_undisturbed_one(draw, store, tmp_path):
    train(plan(8), store, tmp_path / "whole", quiet=True, log_every=3)
    with pytest.raises(KeyboardInterrupt):
        train(plan(8), SignalAt(store, draw), tmp_path / "run", quiet=True, log_every=3)  # type: ignore[arg-type]
    train(plan(8), store, tmp_path / "run", quiet=True, log_every=3, resume=True)
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    a, b = ((tmp_path / n / WEIGHTS).read_bytes() for n in ("run", "whole"))
    assert a == b


def test_equal_weights_have_equal_bytes(tmp_path):
    """The library writes its metadata in another order each time."""
    weights = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(1)}
    seen = set()
    for i in range(8):
        path = tmp_path / f"{i}.safetensors"
        checkpoint.save_weights(path, weights, dict(reversed(ABOUT.items())) if i % 2 else ABOUT)
        seen.add(path.read_bytes())
        assert all(torch.equal(v, weights[k]) for k, v in load_file(path).items())
    assert len(seen) == 1


DAMAGED: dict[str, Any] = {
    "empty": lambda whole: b"",
    "garbage": lambda whole: b"garbage" * 99,
    "truncated": lambda whole: whole[: len(whole) // 2],
}
TAMPERED: dict[str, Any] = {
    "foreign": lambda s: (s.clear(), s.update(state_dict={"w": torch.zeros(2)})),
    "pickle": lambda s: (s.clear(), s.update(format=Path("/"))),
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


@pytest.mark.parametrize("how", [*DAMAGED, *TAMPERED])
def test_damaged_and_tampered_checkpoints_end_in_one_line(how, store, tmp_path, refused):
    train(plan(2), store, tmp_path, quiet=True)
    path = tmp_path / "last.pt"
    if how in DAMAGED:
        path.write_bytes(DAMAGED[how](path.read_bytes()))
    else:
        state = torch.load(path, weights_only=True)
        TAMPERED[how](state)
        torch.save(state, path)
    refused(r"last\.pt", train, plan(2), store, tmp_path, quiet=True, resume=True)


def test_a_full_disk_in_training_names_the_file(store, tmp_path, monkeypatch):
    write = Path.write_bytes

    def on_full_disk(path: Path, data: Any) -> int:
        if path.suffix == ".pt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", on_full_disk)
    with pytest.raises(RunError, match=r"last\.pt: the disk is full"):
        train(plan(2), store, tmp_path, quiet=True)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".srfast") or p.name == "last.pt"]
