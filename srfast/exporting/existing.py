"""A core-set as a subset of existing files, by hard links and filtered lists instead of copies."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path, PurePosixPath
from typing import Any

from srfast.data.images import file_format, image_size
from srfast.data.shrink import factors
from srfast.errors import InputError, RunError
from srfast.exporting.arrangement import Arrangement
from srfast.exporting.folder import is_one_line, link, write_lines, write_meta_info
from srfast.exporting.formats import Format
from srfast.scoring.table import read_parquet

INDEX = "patches.parquet"
"""File beside folders and databases with the core-set's rows and metadata, and the name of each patch."""
WRITTEN = ("PNG", "WEBP")
"""File formats that an export writes."""
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_SHAPE = re.compile(r"\((\d+),(\d+)")


def _keys(plan: Arrangement, existing: Path, lr: bool) -> list[str]:
    """The name of each row in an export of srfast, or the path of its image.

    HR patches must be of the images that were scored; LR patches may be of any degradation.
    """
    p = plan.patches
    rows = list(zip(p.image, p.x.tolist(), p.y.tolist(), p.size.tolist(), p.factor.tolist(), strict=True))
    if not _is_ours(existing):
        for image, x, y, _, factor in rows:
            if x or y or factor != 1:
                raise InputError(
                    f"{existing}: expected images that are one patch each, or an export of srfast with its {INDEX} "
                    f"beside it; {image} has a patch at x = {x}, y = {y}, or at a smaller size"
                )
        return p.image
    known, meta = _index(existing.parent / INDEX)
    if missing := [row for row in rows if row not in known]:
        image, x, y, *_ = missing[0]
        raise InputError(
            f"{existing}: {len(missing)} of {len(plan)} patches are not in it, such as {image} at x = {x}, y = {y}"
        )
    if not lr:
        _check_images(plan, existing, meta)
    return [known[row] for row in rows]


def _check_images(plan: Arrangement, existing: Path, meta: dict[str, Any]) -> None:
    """Compares the files that were scored by their hashes. Where these are not known, it compares sizes and times, and
    at another root sizes alone, as copies have times of their own."""
    now = plan.patches.meta
    times = ("size", "mtime_ns") if meta.get("root") == now.get("root") else ("size",)
    for image in dict.fromkeys(plan.patches.image):
        old, new = ((m.get("images") or {}).get(image, {}) for m in (meta, now))
        noted = ("sha256",) if "sha256" in old and "sha256" in new else times
        if any(k in old and k in new and old[k] != new[k] for k in noted):
            raise InputError(
                f"{existing}: expected patches of {image} as it was scored, got those of another file of that name, "
                "or of an older state of it"
            )


def _is_ours(existing: Path) -> bool:
    return (existing.parent / INDEX).is_file()


def _index(path: Path) -> tuple[dict[tuple[str, int, int, int, float], str], dict[str, Any]]:
    """Positions of the patches of an export -> their names, and the metadata of the export."""
    table, meta = read_parquet(path)
    if "name" not in table.column_names:
        raise InputError(f"{path}: expected a column 'name', got none")
    names = table["name"].to_pylist()
    odd = [name for name in names if not (isinstance(name, str) and _NAME.fullmatch(name))]
    if odd or len(set(names)) < len(names):
        raise InputError(f"{path}: expected the names of an export, each once, got {odd[0] if odd else 'one twice'!r}")
    columns = [table[c].to_pylist() for c in ("image", "x", "y", "size")]
    return dict(zip(zip(*columns, factors(table, meta, path).tolist(), strict=True), names, strict=True)), meta


def databases(
    how: Format, folder: Path, plan: Arrangement, existing: list[Path], finished: bool
) -> tuple[Arrangement, int]:
    """``folders`` of LMDBs, written by BasicSR's scripts or by srfast; an image is found there by its path without the
    suffix, and the number of links is that of the databases. Raises InputError too if HR and LR name a patch
    differently."""
    keys = _database_keys(plan, existing[0], lr=False)
    for source, (name, lr) in zip(existing, plan.sides, strict=True):
        # A key may belong to another patch in another export.
        own = _database_keys(plan, source, lr=True) if lr and _is_ours(source) else keys
        if differs := next((pair for pair in zip(keys, own, strict=True) if pair[0] != pair[1]), None):
            wanted = f"the key {differs[0]} of {existing[0]} for its patch, got {differs[1]}"
            raise InputError(f"{source}: expected {wanted}", hint="take both databases from one export")
        try:
            with open(_inside(source, "meta_info.txt"), encoding="utf-8") as file:
                lines = {line.split(".")[0]: line.rstrip("\n") for line in file}
        except (InputError, OSError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: expected an LMDB with its meta_info.txt ({error})") from None
        for row, key in enumerate(keys):
            if key not in lines:
                raise InputError(f"{source}: expected the key {key}, which meta_info.txt does not have")
            side, shape = plan.side(row, lr), _SHAPE.search(lines[key])
            if shape is None or (int(shape[1]), int(shape[2])) != (side, side):
                raise InputError(f"{source}: expected {key} of {side} x {side}, got {lines[key]!r}")
        if not finished:
            target = folder / f"{name}.lmdb"
            target.mkdir(exist_ok=True)
            _link(_inside(source, "data.mdb"), target / "data.mdb")
            write_lines(target / "meta_info.txt", (lines[key] for key in keys))
    return dataclasses.replace(plan, given_names=keys), len(existing)


def _database_keys(plan: Arrangement, source: Path, *, lr: bool) -> list[str]:
    return [PurePosixPath(key).with_suffix("").as_posix() for key in _keys(plan, source, lr)]


def folders(
    how: Format, folder: Path, plan: Arrangement, existing: list[Path], finished: bool
) -> tuple[Arrangement, int]:
    """Writes a core-set, unless it is ``finished``, as a subset of ``existing`` HR and LR folders that hold each of its
    patches as a file; returns the plan with their names and suffix, and the number of links.

    The patches of an export of srfast are found by their positions; otherwise every image of the core-set must be one
    patch, and is found by its path. Raises InputError if a patch is missing, has another size or is of an image that
    has changed since; the message names it.
    """
    files = [_files(plan, source, lr) for source, (_, lr) in zip(existing, plan.sides, strict=True)]
    suffixes = {file.suffix for side in files for file in side}
    if len(suffixes) > 1:
        raise InputError(f"{existing[0]}: expected one suffix for all patches, got {', '.join(sorted(suffixes))}")
    plan = dataclasses.replace(plan, suffix=suffixes.pop().lstrip("."))
    if not finished:
        writer = how.part("writer")(folder, plan, 0)
        if not how.pixels:
            paths = [file.relative_to(existing[0]).as_posix() for file in files[0]]
            odd = next((path for path in paths if " " in path or not is_one_line(path)), None)
            if odd is not None:
                raise InputError(
                    f"{existing[0] / odd}: meta_info.txt cannot hold a name with a space or a line break",
                    hint="use `to` basicsr",
                )
            write_meta_info(folder, plan, paths)
        else:
            for side, (name, _) in zip(files, plan.sides, strict=True):
                for row, file in enumerate(side):
                    _link(file, folder / name / f"{plan.names[row]}.{plan.suffix}")
        writer.finish()
    return plan, len(plan) if how.pixels else 0


def _files(plan: Arrangement, source: Path, lr: bool) -> list[Path]:
    """The file of each row, after a check of its size in its header."""
    if not source.is_dir():
        raise InputError(f"{source}: expected a folder of patches")
    ours = _is_ours(source)
    files = []
    for row, key in enumerate(_keys(plan, source, lr)):
        path = _inside(source, _named(source, key) if ours else key)
        if ours and file_format(path) not in WRITTEN:
            raise InputError(f"{path}: expected a patch of an export, {' or '.join(WRITTEN)}")
        side, size = plan.side(row, lr), image_size(path)
        if size != (side, side):
            raise InputError(f"{path}: expected a patch of {side} x {side}, got {size[0]} x {size[1]}")
        files.append(path)
    return files


def _named(source: Path, name: str) -> str:
    """The file of a patch of an export, whose index has names without suffix."""
    names = [f"{name}.{kind.lower()}" for kind in WRITTEN]
    return next((n for n in names if (source / n).is_file()), names[0])


def _inside(source: Path, name: str) -> Path:
    """A regular file of a folder that the user named; links that lead elsewhere are refused."""
    path, real = source / name, Path(os.path.realpath(source / name))
    if not real.is_file():
        raise InputError(f"{path}: expected a patch, got no file")
    if not real.is_relative_to(os.path.realpath(source)):
        raise InputError(f"{path}: expected a file of this folder, got a link to {real}")
    return path


def _link(file: Path, target: Path) -> None:
    if error := link(file, target):
        reason = f"{target}: no hard link to {file} can be made ({error.strerror})"
        raise RunError(reason, hint="choose an output on its file system")
