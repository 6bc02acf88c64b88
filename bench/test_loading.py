"""Shuffled training pairs a second: ``CorePatches`` beside BasicSR's loader of an LMDB and of PNG files."""

from __future__ import annotations

import importlib
import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

import srfast
from bench.conftest import DATA
from srfast.ops.color import WEIGHTS

PATCH, CROP, BATCH, ITEMS = 96, 64, 16, 480
POOLS = {"BSDS400": DATA / "BSDS400", "large": DATA.parents[1] / "pools" / "wild"}


def basicsr(folder: Path, backend: str) -> Any:
    """BasicSR's PairedImageDataset with its random crops, flips and rotations."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("basicsr.data.paired_image_dataset")
    except ImportError as error:
        pytest.skip(f"BasicSR's loader is not at hand ({error}): pip install --no-deps basicsr-fixed")
    end = ".lmdb" if backend == "lmdb" else ""
    roots = {"dataroot_gt": str(folder / f"HR{end}"), "dataroot_lq": str(folder / f"LRx2{end}")}
    how = {"phase": "train", "scale": 2, "gt_size": CROP, "use_hflip": True, "use_rot": True}
    io = {"type": backend, **({"db_paths": list(roots.values()), "client_keys": ["gt", "lq"]} if end else {})}
    return module.PairedImageDataset({**how, **roots, "io_backend": io})


def endless(dataset: Any, batch: int, workers: int) -> Iterator[Any]:
    """Shuffled batches of one epoch after another."""
    how: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0, "drop_last": True}
    return itertools.chain.from_iterable(itertools.repeat(DataLoader(dataset, batch, shuffle=True, **how)))


def hardest(pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> srfast.CoreSet:
    """At most 4000 patches of a pool, for one thread and with a cache of its own."""
    if not POOLS[pool].is_dir():
        pytest.skip(f"the pool {pool} is not beside the project")
    torch.set_num_threads(1)
    monkeypatch.setenv("SRFAST_CACHE", str(tmp_path / "cache"))
    table = srfast.score(POOLS[pool], patch=PATCH, stride=PATCH, mode="dense", scorer="bicubic")
    return srfast.select(table, keep=min(0.5, 4000 / len(table)))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("pool", list(POOLS))
def test_loading(
    beside: Any, benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str, workers: int
) -> None:
    """``ratio_lmdb``, ``ratio_png``: their time over ours for as many crops; ``items_s``: ours a second.

    Theirs are float tensors after a division by 255, as their networks take them; ours are divided here too.
    """
    coreset = hardest(pool, tmp_path, monkeypatch)
    for to in ("lmdb", "folder"):
        srfast.export(coreset, tmp_path / to, to=to, scale=2)

    def scaled(lr: torch.Tensor, hr: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"lq": lr.float() / 255, "gt": hr.float() / 255}

    pairs = srfast.CorePatches(coreset, 2, crop=CROP, flip=True, transform=scaled).prepare(False)
    theirs = {"lmdb": basicsr(tmp_path / "lmdb", "lmdb"), "png": basicsr(tmp_path / "folder", "disk")}
    streams = {name: endless(dataset, BATCH, workers) for name, dataset in {"ours": pairs, **theirs}.items()}

    def taken(name: str) -> Callable[[], None]:
        def run() -> None:
            for batch in itertools.islice(streams[name], ITEMS // BATCH):
                assert batch["gt"].shape == (BATCH, 3, CROP, CROP)

        return run

    def check() -> None:
        plain = srfast.CorePatches(coreset, 2, cache=False)
        packed = srfast.CorePatches(coreset, 2).prepare(False)
        for i in range(0, len(plain), len(plain) // 8):
            assert all(map(torch.equal, plain[i], packed[i]))

    references = {name: taken(name) for name in theirs}
    seconds = beside(taken("ours"), references, check, pool=pool, workers=workers, patches=len(pairs))
    benchmark.extra_info["items_s"] = ITEMS / seconds["subject"]


@pytest.mark.parametrize("crop", [None, CROP])
def test_items(
    benchmark: Any, bsds400: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crop: int | None
) -> None:
    """``items_s``: items a second of a warm store on one core, in random order, with flips."""
    monkeypatch.setenv("SRFAST_CACHE", str(tmp_path))
    torch.set_num_threads(1)
    coreset = srfast.select(srfast.score(bsds400, patch=PATCH, mode="dense", scorer="bicubic"), keep=0.5)
    pairs = srfast.CorePatches(coreset, 2, crop=crop, flip=True).prepare(False)
    order = torch.randperm(len(pairs), generator=torch.Generator().manual_seed(0)).tolist()
    benchmark.pedantic(lambda: [pairs[i] for i in order], rounds=5, warmup_rounds=1)
    benchmark.extra_info["items_s"] = len(order) / benchmark.stats["min"]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than a machine may have cores
@pytest.mark.parametrize("workers", [0, 4])
@pytest.mark.parametrize("pool", list(POOLS))
def test_data_wait(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: str, workers: int) -> None:
    """``wait``: the share of FSRCNN's training step that is spent waiting for batches of a shuffled DataLoader.

    Steps of its recipe: 8 crops of 32 LR pixels at x2, MSE on Y. Without workers the wait is process time, and so is
    the step; with workers both are of the clock, and the workers share the cores with the step.
    """
    coreset = hardest(pool, tmp_path, monkeypatch)
    pairs = srfast.CorePatches(coreset, 2, crop=64, flip=True).prepare(False)
    net = srfast.models.create("fsrcnn", 2)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    weights = torch.from_numpy(WEIGHTS).view(1, 3, 1, 1) / 255
    clock = time.perf_counter if workers else time.process_time
    waited = trained = 0.0
    batches = endless(pairs, 8, workers)
    for step in range(220):
        begin = clock()
        batch = next(batches)
        got = clock()
        lr, hr = ((x.float() * weights).sum(1, keepdim=True) + 16 / 255 for x in batch)
        loss = (net(lr) - hr).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 20:  # the first batches start the workers
            waited, trained = waited + got - begin, trained + clock() - got
    benchmark.extra_info.update(
        pool=pool, workers=workers, wait=waited / (waited + trained), step_ms=trained / 200 * 1e3
    )
    benchmark.pedantic(lambda: None)
