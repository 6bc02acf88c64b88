"""From the data that the user names to a store of training pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from srfast.coreset.pairs import Pairs, Patches, Source, name_of, read_patches, read_rows, scale_of
from srfast.data.files import table_files
from srfast.data.grid import starts
from srfast.data.images import find_images, image_size
from srfast.data.lowres import LowRes, check_apart, check_size
from srfast.data.shrink import side
from srfast.degradation.plan import Draws
from srfast.errors import InputError, refuse
from srfast.settings import PAIR_SCALE, check_same_size
from srfast.training.store import PairStore, Region, regions_of


def open_store(
    data: Sequence[Any],
    scale: int,
    *,
    color: str,
    patch: int,
    quantise: bool = True,
    factors: Sequence[float] = (1.0,),
    grow: int = 0,
    cache_bytes: int = 2 << 30,
    root: str | Path | None = None,
    lr: LowRes | None = None,
    draws: Draws | None = None,
    depth: int = 8,
) -> tuple[PairStore, int]:
    """A store over images (with crops from anywhere in them) or over one core-set (with crops from inside its patches),
    and the number of images left out because they are smaller than a crop.

    A crop as large as its patch has only one position; ``grow`` lets it move beyond the patch by so many HR pixels, a
    multiple of the scale, at each side, inside the image. ``factors`` are those of shrunk copies to train on too, for
    images only. None for the LR images ``lr`` takes those of a core-set, or makes them; ``draws`` is a degradation that
    makes them instead, and a pass has its number as draw. Raises InputError if there are no images, a core-set is mixed
    with images or with factors, patches are smaller than a crop, an LR image is missing, has another size or belongs to
    two HR images, an image has changed since scoring, or LR images would be made at scale 1 without a degradation.
    """
    PAIR_SCALE.check("scale", scale)
    tables = [d for d in data if not isinstance(d, (str, Path)) or table_files(d)]
    shrunk, several = tuple(factors) != (1.0,), f"{len(data)} paths with a table among them"
    refuse(
        (grow < 0 or grow % scale, f"grow: expected HR pixels, a multiple of the scale {scale}, got {grow}"),
        (grow and not tables, "grow: expected a core-set; crops of images lie anywhere in them"),
        (tables and len(data) > 1, f"data: expected images or one core-set, got {several}"),
        (tables and shrunk, "rescale: expected images; a core-set is trained on as it was selected"),
        (lr and shrunk, "rescale: expected LR images that are made; those that exist have one size"),
    )
    table, left_out = None, 0
    if tables:
        patches = read_patches(tables[0], root, lr)
        sources, regions = _coreset_regions(patches, scale, patch, grow)
        if not grow and draws is None:
            patches = dataclasses.replace(patches, depth=depth)
            table = Pairs(patches, scale, color=color, quantise=quantise, name=name_of(tables[0]))
    else:
        sources, regions, left_out = _image_regions(data, scale, patch, factors, lr)
    made: dict[str, Any] = {} if draws is None else {"lr": None, "draws": draws}
    sources = [dataclasses.replace(source, depth=depth, **made) for source in sources]
    check_same_size(scale, all(source.lr or source.draws for source in sources), "`lr_images` or `degradation`")
    given = [(source.path, source.lr) for source in sources if source.lr is not None]
    for hr, low in given:  # by their headers, before training
        (w, h), (width, height) = image_size(low), image_size(hr)
        check_size(low, (h, w), hr, (height, width), scale)
    check_apart(given)
    store = PairStore(
        sources, regions, scale=scale, color=color, quantise=quantise, cache_bytes=cache_bytes, table=table
    )
    if not tables:
        store.patches = sum(
            len(starts(r.width, scale, patch, patch)) * len(starts(r.height, scale, patch, patch)) for r in regions
        )
    return store, left_out


def whole_dataset(data: Sequence[Any]) -> int:
    """The number of patches from which a core-set was selected: one pass over the whole dataset, for matched steps."""
    if len(data) != 1 or (isinstance(data[0], (str, Path)) and not table_files(data[0])):
        raise InputError(
            "match_steps: expected `data` to be a core-set, which says how many patches it was selected from"
        )
    _, table, meta = read_rows(data[0])
    return int(meta.get("selection", {}).get("patches", table.num_rows))


def _coreset_regions(p: Patches, scale: int, patch: int, grow: int) -> tuple[list[Source], list[Region]]:
    p.check_grid(scale_of(scale, p.meta))
    places, number = p.places()
    p.images.check_all(p.image)
    sources = [p.source(image, factor) for image, factor in places]
    regions = regions_of(p, number)
    if grow:
        sizes = [tuple(side(n, s.factor) // scale * scale for n in image_size(s.path)) for s in sources]
        regions = [_grown(r, grow, *sizes[r.source]) for r in regions]
    smallest = min(min(r.width, r.height) for r in regions)
    if smallest < patch:
        about = f", grown by {grow}" if grow else ""
        raise InputError(
            f"lr_patch: expected at most {smallest // scale} (the core-set's patches are "
            f"{int(p.size.min())} px{about}), got {patch // scale}"
        )
    return sources, regions


def _grown(r: Region, grow: int, width: int, height: int) -> Region:
    """A region larger by ``grow`` at each side, within its image."""
    x, y = max(0, r.x - grow), max(0, r.y - grow)
    right, bottom = min(width, r.x + r.width + grow), min(height, r.y + r.height + grow)
    return Region(r.source, x, y, right - x, bottom - y)


def _image_regions(
    data: Sequence[str | Path], scale: int, patch: int, factors: Sequence[float], lr: LowRes | None
) -> tuple[list[Source], list[Region], int]:
    names = {file.path: file.name for file in find_images(data)}
    sources: list[Source] = []
    regions: list[Region] = []
    small = 0
    sizes = {path: image_size(path) for path in names}
    for source in (Source(path, factor) for path in names for factor in factors):
        w, h = (side(n, source.factor) // scale * scale for n in sizes[source.path])
        if min(w, h) < patch:
            small += source.factor == 1.0
            continue
        if lr is not None:
            source = dataclasses.replace(source, lr=lr.find(names[source.path]))
        regions.append(Region(len(sources), 0, 0, w, h))
        sources.append(source)
    if not sources:
        raise InputError(
            f"lr_patch: expected at most {max(min(s) for s in sizes.values()) // scale}, got {patch // scale}"
        )
    return sources, regions, small
