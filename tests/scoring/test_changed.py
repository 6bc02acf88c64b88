"""Scores are never older than their images: what a resumed run scores again, of HR and LR files and odd clocks."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import srfast
from srfast.data.lowres import LowRes
from srfast.errors import InputError
from srfast.training.sources import open_store

YEARS = 20 * 366 * 86_400 * 10**9


@pytest.fixture
def lr_folder(photo_folder: Path, tmp_path: Path) -> Path:
    """LR images of the photographs at x2, all PNG."""
    folder = tmp_path / "lr"
    for path in photo_folder.rglob("*.*"):
        small = (folder / path.relative_to(photo_folder)).with_suffix(".png")
        small.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.convert("RGB").resize((image.width // 2, image.height // 2), Image.Resampling.NEAREST).save(small)
    return folder


def other_pixels(path: Path, later: int | None = None, size: int = 0, **options: Any) -> None:
    """Turns an image by half a circle; its sides stay, and ``later`` is when it then seems to have been written."""
    state = path.stat()
    with Image.open(path) as image:
        turned = image.transpose(Image.Transpose.ROTATE_180)
    turned.save(path, **options)
    if size:
        path.write_bytes(path.read_bytes() + b"\0" * (state.st_size + size - path.stat().st_size))
    if later is not None:
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + later))


CHANGES: dict[str, dict[str, Any]] = {
    "later": {"later": 10**9},
    "another size, the same time": {"later": 0, "size": 100},
    "a clock that jumped back": {"later": -YEARS},
    "the same size, its time set back, as by tools for metadata": {"later": 0, "compress_level": 0},
}


def resumed(folder: Path, output: Path, **options: Any) -> tuple[srfast.ScoreTable, int]:
    """The table of a resumed run, and how many images it scored."""
    done: list[int] = []
    table = srfast.score(
        folder, patch=48, scorer="bicubic", output=output, resume=True, progress=lambda d, *_: done.append(d), **options
    )
    return table, done[-1] - done[0]


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "interrupted"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("side", ["hr", "lr"])
def test_what_changed_is_scored_again(side, change, finished, photo_folder, lr_folder, tmp_path, interrupted):
    output = tmp_path / "s.parquet"
    options: dict[str, Any] = {"lr_images": lr_folder} if side == "lr" else {}
    path = (lr_folder if side == "lr" else photo_folder) / "astronaut.png"
    with Image.open(path) as image:
        image.save(path, compress_level=0)
    first: dict[str, Any] = {"patch": 48, "scorer": "bicubic", "output": output, **options}
    if finished:
        srfast.score(photo_folder, **first)
        assert resumed(photo_folder, output, **options)[1] == 0
    else:
        interrupted(srfast.score, photo_folder, after=3, **first)
    size = path.stat().st_size
    other_pixels(path, **CHANGES[change])
    assert (path.stat().st_size == size) == change.startswith("the same size")
    table, scored = resumed(photo_folder, output, **options)
    assert scored == (1 if finished else 2)
    fresh = srfast.score(photo_folder, patch=48, scorer="bicubic", **options)
    assert table.table.equals(fresh.table)
    assert table.meta == fresh.meta


def test_an_export_of_lr_images_that_changed_is_refused(photo_folder, lr_folder, tmp_path):
    coreset = srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic", lr_images=lr_folder), keep=1.0)
    srfast.export(coreset, tmp_path / "one")
    other_pixels(lr_folder / "chelsea.png")
    with pytest.raises(InputError, match=r"lr/chelsea\.png: has changed since it was scored"):
        srfast.export(coreset, tmp_path / "two")
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("name", ["astronaut.jpg", "Astronaut.png"])
def test_one_lr_image_of_two_hr_images_is_refused(name, photo_folder, lr_folder, tmp_path):
    """By another suffix, or where LR lies on a file system that takes A.png for a.png, which a link stands for."""
    with Image.open(photo_folder / "astronaut.png") as image:
        image.convert("RGB").save(photo_folder / name)
    if name.endswith(".png"):
        os.link(lr_folder / "astronaut.png", lr_folder / name)
    with pytest.raises(InputError, match=rf"is the LR image of .*{name}.* and of "):
        srfast.score(photo_folder, patch=48, scorer="bicubic", output=tmp_path / "s.parquet", lr_images=lr_folder)
    with pytest.raises(InputError, match=rf"is the LR image of .*{name} and of "):
        open_store([photo_folder], 2, color="y", patch=48, lr=LowRes.open(lr_folder))
    assert not (tmp_path / "s.parquet").exists()
    assert not (tmp_path / "s.parquet.parts").exists()
