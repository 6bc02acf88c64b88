"""Draws as rows of a table, degradation.parquet: one for each operation that was drawn, in its order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from srfast.degradation.carrying_out import encoders
from srfast.degradation.operations import Step
from srfast.degradation.plan import Degradation, Draws
from srfast.degradation.settings import DegradeArguments
from srfast.errors import InputError

NAME = "degradation.parquet"
KIND = "degradation"
VERSION = 1
"""The version of the format of tables."""
MOST = 10_000_000
"""Number of draws in a published table."""
SCHEMA = pa.schema(
    [
        pa.field("image", pa.string()),  # path relative to the root, POSIX separators
        pa.field("pixels", pa.string()),  # hash of the decoded pixels
        pa.field("shrink", pa.string()),  # the fraction to which the image was reduced first
        pa.field("draw", pa.int64()),
        pa.field("step", pa.int32()),  # from 0 on
        pa.field("operation", pa.string()),
        pa.field("kind", pa.string()),  # of a blur kernel
        pa.field("size", pa.int32()),  # taps of a kernel
        pa.field("sigma_x", pa.float64()),
        pa.field("sigma_y", pa.float64()),
        pa.field("angle", pa.float64()),  # radians
        pa.field("shape", pa.float64()),  # exponent, cutoff in radians, or threshold of unsharp
        pa.field("height", pa.int32()),  # rows after the operation
        pa.field("width", pa.int32()),
        pa.field("filter", pa.string()),
        pa.field("antialias", pa.bool_()),
        pa.field("step_y", pa.float64()),  # distance of two rows of the result in rows of the image
        pa.field("step_x", pa.float64()),
        pa.field("strength", pa.float64()),  # of noise in grey levels, or the scale of Poisson's; amount of unsharp
        pa.field("gray", pa.bool_()),
        pa.field("slot", pa.int32()),  # of the operation among the random words
        pa.field("quality", pa.int32()),
        pa.field("subsampling", pa.string()),
    ]
)


def rows(image: str, pixels: str, shrink: str, draw: int, steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The rows of one draw of an image."""
    head = {"image": image, "pixels": pixels, "shrink": shrink, "draw": draw}
    return [{**head, "step": i, **step} for i, step in enumerate(steps)]


def table(drawn: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(drawn, schema=SCHEMA)


def redrawn(
    meta: Mapping[str, Any], name: str, images: Sequence[tuple[str, str, str, int, int]]
) -> tuple[pa.Table, dict[str, Any]]:
    """The rows that a degradation.parquet with these metadata, which may be anybody's, has of images, and the metadata.
    An image is its path, the hash of its pixels, the fraction to which it is reduced, and height and width after that.
    Raises InputError if the metadata are not those of a degradation."""
    numbers: dict[str, Any] = {k: meta.get(k) for k in ("scale", "seed", "draws")}
    content = meta.get("content")
    if not isinstance(content, dict) or any(type(n) is not int for n in numbers.values()):
        raise InputError(f"{name}: expected the content, scale, seed and draws of a degradation")
    given = DegradeArguments(**numbers)
    if given.draws * len(images) > MOST:
        raise InputError(f"{name}: refused, expected at most {MOST:,} draws of all images")
    draws, drawn = Draws(Degradation.of(name, content), given.seed), []
    for image, pixels, size, *shape in images:
        height, width = (n - n % given.scale for n in shape)
        for k in range(given.draws):
            _, steps = draws.steps(height, width, given.scale, draw=k, pixels=pixels, size=size)
            drawn += rows(image, pixels, size, k, steps)
    known = {k: meta[k] for k in ("degradation", "encoders") if k in meta}
    about = {"kind": KIND, "version": VERSION, "scale": given.scale, **draws.settings(), **known, "content": content}
    return table(drawn), {**about, "draws": given.draws}


def metadata(draws: Draws, scale: int) -> dict[str, Any]:
    """What made the rows: with it and the images, they and the LR images can be made again."""
    content = draws.degradation.content()
    return {"kind": KIND, "version": VERSION, "scale": scale, **draws.settings(), "content": content,
            "encoders": encoders()}  # fmt: skip


_WORDS = {
    "resize": "resized to {width} x {height} ({filter}{smooth})", "bicubic": "MATLAB's bicubic to {width} x {height}",
    "gaussian-noise": "{hue} Gaussian noise of sigma {strength:.1f}", "webp": "WebP {quality}",
    "poisson-noise": "{hue} Poisson noise of scale {strength:.2f}", "jpeg": "JPEG {quality} ({sampled})",
    "unsharp": "unsharp mask of {size} taps, amount {strength:.2f}", "thick-lines": "thick lines",
}  # fmt: skip


def in_words(step: Step) -> str:
    """A step as a person reads it."""
    if step["operation"] != "blur":
        smooth, hue = ", antialiased" if step.get("antialias") else "", "gray" if step.get("gray") else "colour"
        sampled = ":".join(step.get("subsampling", ""))
        return _WORDS[step["operation"]].format(**step, smooth=smooth, hue=hue, sampled=sampled)
    if step["kind"] == "sinc":
        return f"low-pass at {step['shape'] / math.pi:.2f} of the band, {step['size']} taps"
    wide = f"sigma {step['sigma_x']:.2f}"
    if step["sigma_x"] != step["sigma_y"]:
        wide += f" by {step['sigma_y']:.2f} at {math.degrees(step['angle']):.0f} degrees"
    shape = "" if step["kind"] == "gaussian" else f", exponent {step['shape']:.2f}"
    return f"{step['kind']} blur of {wide}{shape}, {step['size']} taps"
