"""A folder of LR images, made by a degradation."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from srfast.data.atomic import atomic_path
from srfast.data.grid import cropped
from srfast.data.hashing import of_pixels
from srfast.data.images import ImageFile, find_images, read_rgb
from srfast.data.run_folder import growing
from srfast.data.workers import ordered_map
from srfast.degradation import rows
from srfast.degradation.plan import Degradation, Draws
from srfast.degradation.settings import DegradeArguments
from srfast.errors import InputError
from srfast.exporting.encode import encode_png
from srfast.report.degradation_page import DRAWS, IMAGES, sheet
from srfast.runtime.progress import shown
from srfast.runtime.threads import default_threads
from srfast.scoring.table import write_parquet
from srfast.settings import documented

KIND = "degraded images"
Paths: TypeAlias = "str | Path | Iterable[str | Path]"


@dataclass(frozen=True)
class Degraded:
    """The result of ``srfast.degrade``."""

    path: Path | None
    images: int
    written: int
    """Number of LR images."""
    table: Path | None
    """degradation.parquet: what was drawn for each of them."""


@documented(DegradeArguments)
def degrade(images: Paths, output: str | os.PathLike[str] | None = None, **options: Any) -> Degraded:
    """Writes LR images of HR images, the same bytes for everyone who has the images, the degradation and the seed.

    Each LR image lies where its HR image lies below the folder of the images, as PNG; with several draws, -0, -1, ...
    follow the name. ``degradation.parquet`` beside them says what was drawn for each. The files lie in
    ``<output>.parts`` until all are written.

    Args:
        images: Files or folders of HR images.
        output: The folder to make; it must not exist, or must be empty. None writes the page ``show`` only.
        **options: settings

    Returns:
        The numbers of images, and the table of the draws.

    Raises:
        InputError: an argument is wrong, the degradation is not one, an image cannot be read, two images would have one
            name, or the output exists.
        RunError: the disk is full.
    """
    s = DegradeArguments.of(options)
    if output is None and s.show is None:
        raise InputError("output: expected a folder to write into, or `show` with a page, got neither")
    draws = Draws(Degradation.read(s.degradation or "bicubic"), s.seed)
    files = find_images(images)
    names = _names(files)
    own = [Path(s.degradation)] if s.degradation and os.path.isfile(s.degradation) else []
    inputs = [*(file.path for file in files), *own]
    page = None if s.show is None else sheet(s.show, draws, s.scale, inputs)
    if output is None:
        files = files[:IMAGES]
    threads = s.threads or default_threads()
    drawn: list[dict[str, Any]] = []
    folders = {parent.as_posix() for name in names for parent in Path(name).parents}

    def ours(name: str) -> bool:
        return name.endswith(".png") or name == rows.NAME or name in folders

    def make(item: tuple[int, ImageFile]) -> tuple[list[bytes], list[dict[str, Any]], np.ndarray, list[Any]]:
        i, file = item
        rgb = read_rgb(file.path)
        pixels, hr = of_pixels(rgb), cropped(rgb, s.scale, file.path)
        written, seen = s.draws if output is not None else 0, DRAWS if page is not None and i < IMAGES else 0
        each = max(1, threads // len(files))  # a few images get several threads each; the bytes are the same
        made = [draws.lr(hr, s.scale, draw=k, pixels=pixels, threads=each) for k in range(max(written, seen))]
        listed = [row for k in range(written) for row in rows.rows(file.name, pixels, "1", k, made[k][1])]
        return [encode_png(lr[None])[0] for lr, _ in made[:written]], listed, hr, made[:seen]

    with (
        nullcontext() if output is None else growing(output, KIND, ours) as run,
        shown(s.progress, "degrading", "images") as progress,
        closing(ordered_map(make, enumerate(files), threads)) as made,
    ):
        if run is not None:
            run.clear()
            run.mark({})
        for (i, file), (encoded, listed, hr, seen) in made:
            for k, data in enumerate(encoded):
                assert run is not None
                path = run.path / f"{names[i]}{f'-{k}' if s.draws > 1 else ''}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_path(path) as temporary:
                    temporary.write_bytes(data)
            drawn += listed
            if page is not None and seen:
                page.add(file.name, hr, seen)
            progress(i + 1, len(files), (i + 1) * s.draws)
        if run is not None:
            meta = {**rows.metadata(draws, s.scale), "draws": s.draws, "root": str(files[0].root)}
            write_parquet(run.path / rows.NAME, [rows.table(drawn)], rows.SCHEMA, meta)
    if page is not None:
        page.write()
    table = None if output is None else Path(output) / rows.NAME
    return Degraded(table and table.parent, len(files), 0 if output is None else len(files) * s.draws, table)


def _names(files: list[ImageFile]) -> list[str]:
    """Paths of the LR images without suffix."""
    names = [str(Path(file.name).with_suffix("")) for file in files]
    seen: dict[str, str] = {}
    for file, name in zip(files, names, strict=True):
        other = seen.setdefault(name.casefold(), file.name)
        if other != file.name:
            raise InputError(
                f"{file.root}: the LR images of {other} and {file.name} would have one name", hint="rename one"
            )
    return names
