"""Training throughput beside a plain PyTorch loop."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

import srfast
from bench.test_loading import endless
from srfast import models
from srfast.data.images import find_images, read_rgb
from srfast.models import layers
from srfast.ops.color import to_y
from srfast.training import host
from srfast.training.loop import train
from srfast.training.plan import Plan
from srfast.training.recipes import recipe
from srfast.training.sources import open_store

STEPS = 30


class Files(Dataset[tuple[Tensor, Tensor]]):
    """What training repositories do: LR and HR files on disk, a random crop, flips, a float tensor."""

    def __init__(self, folder: Path, patch: int, scale: int) -> None:
        self.hr = sorted((folder / "hr").iterdir())
        self.lr = sorted((folder / "lr").iterdir())
        self.patch, self.scale = patch, scale

    def __len__(self) -> int:
        return len(self.hr)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        hr, lr = (np.asarray(Image.open(files[index])) for files in (self.hr, self.lr))
        p, s = self.patch, self.scale
        y, x = (int(torch.randint(n - p + 1, ())) for n in lr.shape[:2])
        pair = [lr[y : y + p, x : x + p], hr[y * s : (y + p) * s, x * s : (x + p) * s]]
        for axis in (0, 1):
            if torch.rand(()) < 0.5:
                pair = [np.flip(image, axis) for image in pair]
        if torch.rand(()) < 0.5:
            pair = [image.swapaxes(0, 1) for image in pair]
        a, b = (torch.from_numpy(image.copy())[None].float() / 255 for image in pair)
        return a, b


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Y of photographs, HR and LR, as PNG."""
    data = pytest.importorskip("skimage.data", reason="needs the demo extra")
    folder = tmp_path_factory.mktemp("pairs")
    for kind in ("rgb", "hr", "lr"):
        (folder / kind).mkdir()
    crops = itertools.product(("astronaut", "chelsea", "coffee", "rocket"), (0, 60, 120), (0, 70))
    for i, (name, y, x) in enumerate(crops):
        rgb = getattr(data, name)()[y : y + 180, x : x + 320]
        rgb = np.ascontiguousarray(rgb[: len(rgb) // 2 * 2, : rgb.shape[1] // 2 * 2])
        luma = to_y(rgb, "classic").astype(np.uint8)
        Image.fromarray(rgb).save(folder / "rgb" / f"{i:02}.png")
        Image.fromarray(luma).save(folder / "hr" / f"{i:02}.png")
        Image.fromarray(srfast.imresize(luma, 0.5)).save(folder / "lr" / f"{i:02}.png")
    return folder


def plain_fsrcnn(model: Any, lr: Tensor) -> Tensor:
    """FSRCNN at x2 as its authors write it: every operator is PyTorch's own."""
    x = lr
    for module in model.body:
        if isinstance(module, nn.PReLU):
            x = F.prelu(x, module.weight)
        else:
            x = F.conv2d(F.pad(x, (module.kernel_size[0] // 2,) * 4, mode="replicate"), module.weight, module.bias)
    x = F.pad(x, (2,) * 4, mode="replicate")
    return F.conv_transpose2d(x, model.deconv.weight, model.deconv.bias, stride=2)[..., 8:-7, 8:-7]


def plain_srcnn(model: Any, lr: Tensor) -> Tensor:
    x = layers.bicubic(lr, 2)
    for conv, rectify in ((model.conv1, True), (model.conv2, True), (model.conv3, False)):
        x = F.conv2d(F.pad(x, (conv.kernel_size[0] // 2,) * 4, mode="replicate"), conv.weight, conv.bias)
        x = F.relu(x) if rectify else x
    return x


@pytest.mark.parametrize(("name", "plain"), [("fsrcnn", plain_fsrcnn), ("srcnn", plain_srcnn)])
def test_gradients(beside: Any, benchmark: Any, name: str, plain: Callable[[nn.Module, Tensor], Tensor]) -> None:
    """``ratio_plain_modules``: PyTorch's operators' time over ours, forward and backward of 16 crops of 24 x 24."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    host.keep_freed_memory()
    model: Any = models.create(name, 2)
    model.to(memory_format=torch.channels_last)
    lr, hr = torch.rand(16, 1, 24, 24), torch.rand(16, 1, 48, 48)
    parameters = list(model.parameters())

    def gradients(net: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(F.mse_loss(net(lr), hr), parameters)

    def check() -> None:
        for mine, theirs in zip(gradients(model), gradients(lambda x: plain(model, x)), strict=True):
            # Sums of up to 36,864 pixels in another order.
            torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max()))

    beside(lambda: gradients(model), {"plain_modules": lambda: gradients(lambda x: plain(model, x))}, check)
    benchmark.extra_info["gflop"] = {"fsrcnn": 0.66, "srcnn": 1.39}[name]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("name", ["srcnn", "fsrcnn"])
def test_training(beside: Any, benchmark: Any, pairs: Path, tmp_path: Path, name: str, workers: int) -> None:
    """``ratio_plain_loop``: the plain loop's time over ours, the same model, crops, optimiser (Adam) and fp32."""
    torch.set_num_threads(1)
    how = dataclasses.replace(recipe(name), optimizer="adam", batch=8, lr_patch=32, quantise=True, ema=0.0)
    store, _ = open_store([pairs / "rgb"], 2, color="y", patch=64)
    runs = itertools.count()
    waits = []

    def ours() -> None:
        result = train(Plan(name, 2, STEPS, how), store, tmp_path / str(next(runs)), log_every=STEPS, quiet=True)
        waits.append(result.data_seconds / result.seconds)

    model = models.create(name, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    batches = endless(Files(pairs, 32, 2), 8, workers)

    def plain() -> None:
        for lr, hr in itertools.islice(batches, STEPS):
            loss = torch.nn.functional.mse_loss(model(lr), hr)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    def check() -> None:
        lr, hr = Files(pairs, 32, 2)[0]
        mine = srfast.training.store.Batches(store, batch=8, patch=64, seed=0)[0]
        assert mine[0].shape[1:] == lr.shape
        assert mine[1].shape[1:] == hr.shape
        assert len(find_images(pairs / "rgb")) == len(Files(pairs, 32, 2))
        assert read_rgb(find_images(pairs / "rgb")[0].path).shape[:2] == (180, 320)

    beside(ours, {"plain_loop": plain}, check, workers=workers)
    benchmark.extra_info["data_share"] = float(np.median(waits))
    benchmark.extra_info["steps"] = STEPS
