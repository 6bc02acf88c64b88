"""``--loader dali``: the same table to the bit as srfast's own decoder, or a refusal. DALI runs on the CPU here."""

import importlib.util
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from srfast.data import dali
from srfast.data.images import ImageFile, read_rgb
from srfast.errors import InputError, RunError
from srfast.scoring import device_loading, pipeline
from srfast.scoring import per_image as job
from srfast.scoring.backends.gpu import GpuEngine
from srfast.scoring.settings import ScoreArguments

needs_dali = pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None or importlib.util.find_spec("nvidia.dali") is None,
    reason="DALI is not installed (pip install 'srfast[dali]')",
)


@pytest.fixture
def gpu_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU engine on the CPU, where its kernels fall back to torch."""
    monkeypatch.setattr(
        job, "make_engine", lambda network, *_args, **_options: GpuEngine(network, "native", "fp32", "cpu")
    )


@pytest.fixture
def jpegs(tmp_path: Path, photographs: dict[str, np.ndarray]) -> Path:
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for name, size in (("astronaut", (150, 190)), ("chelsea", (97, 133)), ("coffee", (60, 200))):
        Image.fromarray(photographs[name][: size[0], : size[1]]).save(folder / f"{name} é.jpg", quality=92)
    return folder


@needs_dali
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_the_same_table_to_the_bit(gpu_engine, jpegs, tmp_path, mode):
    tables = []
    for loader in ("srfast", "dali"):
        settings = ScoreArguments(stride=48, mode=mode, loader=loader)
        summary = pipeline.write_scores(jpegs, tmp_path / f"{loader}.parquet", settings)
        assert [entry["image"] for entry in summary.meta["small"]] == ["coffee é.jpg"]
        tables.append(pipeline.ScoreTable.read(tmp_path / f"{loader}.parquet"))
    # One image a call or several: float32 convolutions of another batch size may add in another order.
    for column in ("x", "y", "bicubic", "sobel"):
        np.testing.assert_array_equal(tables[1].column(column), tables[0].column(column))
    np.testing.assert_allclose(tables[1].column("loss"), tables[0].column("loss"), rtol=1e-6)


class Loader:
    """Stands for DALI's stream: srfast's pixels, changed by ``change``."""

    change: Any = staticmethod(lambda image: image)

    def __init__(self, files: list[ImageFile], **_: Any) -> None:
        self.files = files

    def batches(self) -> Iterator[list[tuple[int, torch.Tensor]]]:
        for first in range(0, len(self.files), 2):
            yield [
                (first + i, torch.from_numpy(np.ascontiguousarray(type(self).change(read_rgb(file.path)))))
                for i, file in enumerate(self.files[first : first + 2])
            ]


def test_a_decoder_that_rounds_otherwise_scores(gpu_engine, jpegs, tmp_path, monkeypatch):
    """nvJPEG is off by one here and there by design: every file was refused. The table says whose pixels they are."""
    monkeypatch.setattr(dali, "PatchStream", Loader)
    rng = np.random.default_rng(0)

    def off_by_one(image):
        error = rng.integers(-1, 2, image.shape) * (rng.random(image.shape) < 0.5)
        return np.clip(image + error, 0, 255).astype(np.uint8)

    monkeypatch.setattr(Loader, "change", staticmethod(off_by_one))
    settings = ScoreArguments(stride=48, loader="dali", scorer="bicubic")
    meta = pipeline.write_scores(jpegs, tmp_path / "out.parquet", settings).meta
    assert meta["decoder"]["tolerance"] == {"mean": 0.5, "largest": 16}
    assert meta["decoder"]["name"].startswith("libjpeg-turbo of ")
    own = pipeline.write_scores(jpegs, tmp_path / "own.parquet", ScoreArguments(stride=48, scorer="bicubic")).meta
    assert "decoder" not in own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i: np.minimum(i, 254) + 1, "off by 0.8"),
        (lambda i: i[:, :, ::-1], "off by"),
        (lambda i: i[:, ::-1], "off by"),
        (lambda i: np.roll(i, 1, 0), "off by"),
        (lambda i: i.swapaxes(0, 1), "of shape"),
    ],
)
def test_a_decoder_that_is_wrong_is_refused(change, words, gpu_engine, jpegs, tmp_path, monkeypatch):
    """A level everywhere, channels swapped, mirrored, shifted by a pixel, turned."""
    monkeypatch.setattr(dali, "PatchStream", Loader)
    monkeypatch.setattr(Loader, "change", staticmethod(change))
    with pytest.raises(RunError, match=f"to other pixels than srfast, {words}"):
        pipeline.write_scores(jpegs, tmp_path / "out.parquet", ScoreArguments(loader="dali", scorer="bicubic"))
    assert not (tmp_path / "out.parquet").exists()


def test_plain_chroma_is_refused_only_where_colours_count(gpu_engine, jpegs, tmp_path, monkeypatch):
    """Scores depend on Y, which rounding and another up-sampling of chroma move by less than the colours."""

    def plain(image):
        planes = np.asarray(Image.fromarray(image).convert("YCbCr")).copy()
        h, w = (n // 2 * 2 for n in image.shape[:2])
        chroma = planes[:h, :w, 1:].reshape(h // 2, 2, w // 2, 2, 2).mean((1, 3)).round().repeat(2, 0).repeat(2, 1)
        planes[:h, :w, 1:] = chroma
        return np.asarray(Image.fromarray(planes, "YCbCr").convert("RGB")).copy()

    monkeypatch.setattr(dali, "PatchStream", Loader)
    monkeypatch.setattr(Loader, "change", staticmethod(plain))
    monkeypatch.setattr(device_loading, "TOLERANCE", {"mean": 1.0, "largest": 64})
    pipeline.write_scores(jpegs, tmp_path / "y.parquet", ScoreArguments(loader="dali", scorer="bicubic"))
    settings = ScoreArguments(loader="dali", scorer="bicubic", defects=True)
    with pytest.raises(RunError, match="to other pixels than srfast"):
        pipeline.write_scores(jpegs, tmp_path / "rgb.parquet", settings)


def test_a_cut_file_is_refused_whatever_the_loader_makes_of_it(gpu_engine, jpegs, tmp_path, monkeypatch):
    """Not the first file, which is compared anyway: its end is of one colour, so srfast's decoder looks at it."""
    path = sorted(jpegs.iterdir())[1]
    data = path.read_bytes()

    def gray(file):
        return np.array(Image.open(io.BytesIO(file.read_bytes())))

    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9")
    monkeypatch.setattr(dali, "PatchStream", Loader)
    monkeypatch.setitem(Loader.batches.__globals__, "read_rgb", gray)
    with pytest.raises(InputError, match="cannot be decoded"):
        pipeline.write_scores(jpegs, tmp_path / "out.parquet", ScoreArguments(loader="dali", scorer="bicubic"))


@pytest.mark.parametrize(
    ("folder", "options", "words"),
    [
        ("photo_folder", {}, r"dali is for JPEG files.*\.png"), ("jpegs", {"skip_bad": True}, "leave `skip_bad` out"),
        ("jpegs", {"device": "cpu"}, "loader: dali decodes for `device` cuda"),
    ],
)  # fmt: skip
def test_what_does_not_go_together(folder, options, words, request, tmp_path):
    images = request.getfixturevalue(folder)
    if not options.get("device"):
        request.getfixturevalue("gpu_engine")
    with pytest.raises(InputError, match=words):
        pipeline.write_scores(images, tmp_path / "out.parquet", ScoreArguments(loader="dali", **options))
