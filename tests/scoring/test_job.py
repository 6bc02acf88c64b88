"""Losses that are not finite are refused where they arise, also where an engine takes several images at once."""

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import srfast
from srfast.data import dali
from srfast.data.grid import Grid
from srfast.errors import InputError, RunError
from srfast.ops import native
from srfast.ops.native import SRCNN_SHAPES
from srfast.scoring import device_loading, patches, pipeline
from srfast.scoring import per_image as job
from srfast.scoring.backends.compiled import NativeEngine
from srfast.scoring.backends.protocol import Scores
from srfast.scoring.network import Network, load_network
from srfast.scoring.settings import ScoreArguments


class Broken:
    """An engine as that of a GPU, whose network gives NaN for the last patch of an image it is told of."""

    name, precision, concurrent = "native", "fp32", False
    device = torch.device("cpu")

    def __init__(self, broken: int = 0) -> None:
        self.broken = broken
        self.calls = 0

    def _scores(self, grid: Grid) -> Scores:
        loss = np.ones(len(grid), np.float32)
        if self.calls == self.broken:
            loss[-1] = np.nan
        self.calls += 1
        return Scores(loss, loss * 0, loss * 0)

    def submit(self, _images: Any, grids: Sequence[Grid], _dense: bool) -> Any:
        return lambda: [self._scores(grid) for grid in grids]

    def batch_tensor(self, batch: torch.Tensor) -> torch.Tensor:
        return torch.full((len(batch),), torch.inf)


@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_of_several_images_at_once(mode, photo_folder, tmp_path, monkeypatch):
    """The second image of a group; the finished first one is kept for ``--resume``."""
    output = tmp_path / "s.parquet"
    settings = ScoreArguments(patch=48, mode=mode)
    monkeypatch.setattr(job, "make_engine", lambda *_args, **_options: Broken(1))
    with pytest.raises(RunError, match=r"chelsea\.jpg: expected finite losses, got nan for patch 19"):
        pipeline.write_scores(photo_folder, output, settings)
    assert not output.exists()
    scored: list[int] = []
    monkeypatch.setattr(job, "make_engine", lambda *_args, **_options: Broken(-1))
    again = replace(settings, resume=True, progress=lambda done, *_: scored.append(done))
    pipeline.write_scores(photo_folder, output, again)
    assert scored[0] == 1


def test_of_images_that_were_decoded_on_the_device(photo_folder, monkeypatch):
    pixels = np.zeros((96, 96, 3), np.uint8)
    stream = SimpleNamespace(batches=lambda: iter([[(0, torch.from_numpy(pixels))]]))
    monkeypatch.setattr(dali, "PatchStream", lambda *_args, **_options: stream)
    monkeypatch.setattr(device_loading, "read_rgb", lambda _path: pixels)
    files = pipeline.find_images(photo_folder / "chelsea.jpg")
    with pytest.raises(RunError, match=r"chelsea\.jpg: expected finite losses, got nan for patch 3"):
        list(device_loading.outcomes(job.Job(Broken(), ScoreArguments(patch=48), 1), files))


def overflowing(kind: str, scale: int = 2) -> Network:
    """An SRCNN of finite weights whose sums leave float32: the last one, or products of conv2 that give NaN before an
    activation that could hide it."""
    weights = {name: np.zeros(shape, np.float32) for name, shape in SRCNN_SHAPES.items()}
    if kind == "last":
        weights["conv1.bias"][0] = weights["conv2.weight"][0, 0] = 1e10
        weights["conv3.weight"][0, 0] = 3e38
    else:
        weights["conv1.bias"][:2] = 3e38
        weights["conv2.weight"][0, 0], weights["conv2.weight"][0, 1] = 1e10, -1e10
        weights["conv3.weight"][0, 0] = 1
    return Network("srcnn", "overflowing", "", scale, weights)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("kind", ["last", "hidden"])
@pytest.mark.parametrize("mode", ["patch", "dense"])
@pytest.mark.parametrize("backend", ["native", "torch", "onnx"])
def test_of_a_network_that_overflows(backend, mode, kind, precision, photo_folder, monkeypatch):
    """Not one engine, of no instruction set, gives it a loss; the image or, before any, the network is named."""
    if backend == "onnx":
        pytest.importorskip("onnxruntime")
    network = overflowing(kind)
    if backend != "native":
        if precision == "fp32":
            with pytest.raises(RunError, match=r"\.(jpg|png): expected finite losses, got (nan|inf)"):
                srfast.score(photo_folder, patch=48, mode=mode, backend=backend, scorer=network)  # type: ignore[arg-type]
        return
    for isa in native.isas():
        named = "overflowing" if precision == "fast" and native.integer_kernels(isa) else r"\.(jpg|png)"
        monkeypatch.setattr(job, "make_engine", lambda n, s, **_: NativeEngine(n, s.precision, isa))  # noqa: B023
        with pytest.raises(RunError, match=rf"{named}: expected finite losses"):
            srfast.score(photo_folder, patch=48, mode=mode, scorer=network, precision=precision)  # type: ignore[arg-type]


def test_of_a_large_image_that_is_cut_into_tiles():
    image = np.random.default_rng(0).integers(0, 256, (400, 300, 3), dtype=np.uint8)
    for kind in ("last", "hidden"):
        loss = NativeEngine(overflowing(kind)).dense(image, Grid.over(400, 300, 2, 48, 48), 3).loss
        assert not np.isfinite(loss).any()


def test_of_tensors_on_the_cpu(monkeypatch):
    monkeypatch.setattr(patches, "make_engine", lambda *_args, **_options: Broken())
    with pytest.raises(RunError, match="scorer: expected finite losses, got inf for patch 0"):
        patches.score_patches(torch.zeros(2, 48, 48, 3, dtype=torch.uint8))


@pytest.mark.parametrize("dtype", ["float64", "float16", ">f4"])
def test_weights_of_any_type_are_float32(dtype):
    """The compiled engine reads bytes: those of another type would be other numbers, or too few."""
    shipped = load_network("srcnn", 2)
    network = Network("srcnn", "typed", "", 2, {name: a.astype(dtype) for name, a in shipped.arrays.items()})
    rounded = {name: a.astype(dtype).astype(np.float32) for name, a in shipped.arrays.items()}
    x = np.random.default_rng(0).integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(
        NativeEngine(network).batch(x), NativeEngine(Network("srcnn", "rounded", "", 2, rounded)).batch(x)
    )


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros(31, np.float32), r"conv2\.bias: expected numbers \[32\], got float32 \[31\]"),
        (np.zeros(32, complex), r"conv2\.bias: expected numbers \[32\], got complex128 \[32\]"),
        (np.full(32, 1e300), r"conv2\.bias: expected finite numbers in the range of float32"),
        (np.full(32, np.nan), r"conv2\.bias: expected finite numbers"),
        (None, r"conv2\.bias: expected numbers \[32\], got object \[\]"),
    ],
)
def test_weights_that_are_none_are_refused(wrong, words):
    arrays = dict(load_network("srcnn", 2).arrays or {}) | {"conv2.bias": wrong}
    with pytest.raises(InputError, match=f"^scorer: typed: {words}"):
        Network("srcnn", "typed", "", 2, arrays)
