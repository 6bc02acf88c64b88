"""A core-set to LMDB beside BasicSR's own scripts on the same images; encoders; memory."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from bench.measure import record, side_by_side, timed
from srfast.data.images import find_images, read_rgb
from srfast.exporting.encode import encode_png, encode_webp

SCRIPT = Path("scripts", "data_preparation", "extract_subimages.py")
SIZE, STEP, IMAGES = 96, 48, 186
"""54 patches of each image of 480 x 320: 10,044."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(HR, LR): PNG files of 480 x 320 and their MATLAB-like halves, which BasicSR's scripts need and srfast makes."""
    from bench.conftest import DATA

    if not (DATA / "BSDS400").is_dir():
        pytest.skip("BSDS400 is not beside the project")
    folder = tmp_path_factory.mktemp("images")
    hr, lr = folder / "HR", folder / "LR"
    hr.mkdir()
    lr.mkdir()
    for file in find_images(DATA / "BSDS400")[:IMAGES]:
        rgb = read_rgb(file.path)
        rgb = np.ascontiguousarray((rgb if rgb.shape[1] > rgb.shape[0] else rgb.transpose(1, 0, 2))[:320, :480])
        name = Path(file.name).with_suffix(".png").name
        Image.fromarray(rgb).save(hr / name, compress_level=1)
        Image.fromarray(srfast.imresize(rgb, 0.5)).save(lr / name, compress_level=1)
    return hr, lr


@pytest.fixture(scope="module")
def coreset(images: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every patch of BasicSR's grid."""
    places = [(x, y) for y in [*range(0, 320 - SIZE, STEP), 320 - SIZE] for x in range(0, 480 - SIZE + 1, STEP)]
    rows = [(file.name, x, y) for file in find_images(images[0]) for x, y in places]
    name, x, y = (list(column) for column in zip(*rows, strict=True))
    columns = {
        "image": pa.array(name),
        **{k: pa.array(v, pa.int32()) for k, v in {"x": x, "y": y, "size": [SIZE] * len(x)}.items()},
        "loss": pa.array(np.zeros(len(x), np.float32)),
        "rank": pa.array(np.arange(len(x), dtype=np.int32)),
    }
    about = {"version": 1, "root": str(images[0]), "scale": 2, "patch": SIZE, "selection": {}}
    path = tmp_path_factory.mktemp("coreset") / "coreset.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata({b"srfast": json.dumps(about).encode()}), path)
    return path


def basicsr_scripts() -> tuple[Any, Any]:
    """(extract_subimages, make_lmdb_from_imgs) of BasicSR's checkout at $BASICSR."""
    root = os.environ.get("BASICSR", "")
    if not (Path(root) / SCRIPT).is_file():
        pytest.skip("BASICSR does not name a checkout of BasicSR (https://github.com/XPixelGroup/BasicSR)")
    util = pytest.importorskip("basicsr.utils.lmdb_util", reason="pip install --no-deps basicsr-fixed")
    sys.path.append(str((Path(root) / SCRIPT).parent))  # its pool's processes look it up by its name
    return importlib.import_module("extract_subimages").extract_subimages, util.make_lmdb_from_imgs


def basicsr(images: tuple[Path, Path], out: Path, processes: int, *, pool: bool) -> None:
    """Sub-images of both folders, then both databases, as the scripts do; ``pool``: the databases by a pool as well."""
    extract, make = basicsr_scripts()
    shutil.rmtree(out, ignore_errors=True)
    for source, name, factor in zip(images, ("HR", "LRx2"), (1, 2), strict=True):
        sub = out / f"{name}_sub"
        options = {"n_thread": processes, "compression_level": 3, "thresh_size": 0}
        options |= {"crop_size": SIZE // factor, "step": STEP // factor}
        extract({**options, "input_folder": str(source), "save_folder": str(sub)})
        paths = sorted(os.listdir(sub))
        keys = [p.split(".png")[0] for p in paths]
        make(str(sub), str(out / f"{name}.lmdb"), paths, keys, multiprocessing_read=pool, n_thread=processes)


def database_bytes(out: Path) -> int:
    return sum(p.stat().st_size for p in out.glob("*.lmdb/data.mdb"))


@pytest.mark.parametrize("workers", [1, 2])
def test_lmdb(
    benchmark: Any, images: tuple[Path, Path], coreset: Path, tmp_path: Path, capfd: Any, workers: int
) -> None:
    """10,044 patches of 96 x 96 and their LR to LMDB, beside BasicSR's scripts with as many processes.

    ``basicsr_pool`` reads the sub-images with the pool, ``basicsr`` one after another, as the script for DIV2K does.
    BasicSR is given the LR images; srfast makes them.
    """
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"

    def export() -> None:
        shutil.rmtree(ours, ignore_errors=True)
        srfast.export(coreset, ours, to="lmdb", scale=2, threads=workers)

    runs: dict[str, Callable[[], Any]] = {
        "subject": export,
        "basicsr_pool": lambda: basicsr(images, theirs, workers, pool=True),
        "basicsr": lambda: basicsr(images, theirs, workers, pool=False),
    }
    seconds = {name: timed(run)[0] for name, run in runs.items()}  # of the first call, which counts for the user
    check_equal(ours, theirs)
    record(benchmark, seconds)
    benchmark.extra_info["bytes_of_basicsr"] = database_bytes(ours) / database_bytes(theirs)
    benchmark.pedantic(export, rounds=1, iterations=1)


def check_equal(ours: Path, theirs: Path) -> None:
    """The same patches, pixel by pixel, whatever their keys."""
    import cv2
    import lmdb

    for name in ("HR", "LRx2"):
        hashes = []
        for out in (ours, theirs):
            with lmdb.open(str(out / f"{name}.lmdb"), readonly=True, lock=False) as env, env.begin() as transaction:
                decoded = (cv2.imdecode(np.frombuffer(v, np.uint8), cv2.IMREAD_COLOR) for _, v in transaction.cursor())
                hashes.append(sorted(hash(np.asarray(patch).tobytes()) for patch in decoded))
        assert hashes[0] == hashes[1]


def test_encoders(benchmark: Any, images: tuple[Path, Path]) -> None:
    """Seconds and bytes of 512 patches: ours beside OpenCV and Pillow."""
    import io

    import cv2

    patches = np.stack(
        [
            read_rgb(f.path)[y : y + SIZE, x : x + SIZE]
            for f in find_images(images[0])[:64]
            for y in (0, 224)
            for x in (0, 96, 192, 288)
        ]
    )

    def pillow(patch: np.ndarray, level: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(patch).save(file, "PNG", compress_level=level)
        return file.getvalue()

    def opencv(patch: np.ndarray, level: int) -> bytes:
        return cv2.imencode(".png", patch[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()

    def each(encode: Callable[[np.ndarray, int], bytes], level: int) -> list[bytes]:
        return [encode(patch, level) for patch in patches]

    encoders: dict[str, Callable[[], list[bytes]]] = {
        "subject": lambda: encode_png(patches),
        **{f"opencv_{level}": partial(each, opencv, level) for level in (1, 3)},
        **{f"pillow_{level}": partial(each, pillow, level) for level in (1, 6)},
        "webp": lambda: encode_webp(patches),
    }
    sizes = {name: sum(map(len, run())) for name, run in encoders.items()}
    record(benchmark, side_by_side(encoders, rounds=3))
    benchmark.extra_info.update({f"bytes_of_{n}": sizes["subject"] / s for n, s in sizes.items() if n != "subject"})
    benchmark.pedantic(encoders["subject"], rounds=1, iterations=1)
