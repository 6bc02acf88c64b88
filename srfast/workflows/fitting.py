"""A degradation whose LR images have the noise, blur and JPEG quality of given ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from srfast.data.encoding import encoding_of
from srfast.data.files import check_output, output_file
from srfast.data.grid import Grid, cropped
from srfast.data.hashing import of_pixels
from srfast.data.images import ImageFile, find_images, read_rgb
from srfast.data.workers import ordered_map
from srfast.degradation.operations import NESTED
from srfast.degradation.plan import Degradation, Draws, written
from srfast.degradation.rows import KIND
from srfast.degradation.settings import FitArguments
from srfast.errors import InputError
from srfast.ops.defects import COLUMNS, SMALLEST, defects, jpeg_trace
from srfast.report.degradation_page import Page, picture
from srfast.runtime.progress import shown
from srfast.runtime.threads import default_threads

MEASURES = {
    "noise": "noise, grey levels", "detail": "detail, 0.375 soft to 0.5 sharp", "blur": "blur, LR pixels",
    "jpeg": "JPEG quality",
}  # fmt: skip
"""The measures that are compared. Blur is that of `score --defects`, which noise hides; detail is not hidden by it."""
SIGMAS = (0.05, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0)
"""Standard deviations of blurs in HR pixels, of which the detail is measured to know what a detail stands for."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WINDOW = 64
MOST = 64
"""Largest number of LR images that are measured, and of HR images that are degraded, spread over the given ones."""
ROUNDS = 8
LEAST_MADE = 48
"""Smallest number of LR images that are made in a round."""
_LUMA = 0.67
"""Standard deviation of the luma of independent noise of 1 in R, G and B; of the same noise in all three it is 1."""
_LEAST = 0.05
NOT_SEEN = (
    "Properties that these measures do not capture are left as they are: motion, the direction and shape of blur, "
    "chroma subsampling, "
    "sharpening, colour noise and correlated noise, noise that compression took away, and compression before the last "
    "resize."
)


@dataclass
class Fitted:
    """The result of ``fit_degradation``."""

    path: Path
    degradation: Degradation
    given: dict[str, np.ndarray]
    """Quantiles of the given LR images at ``QUANTILES``, by measure; NaN if none has a value."""
    before: dict[str, np.ndarray]
    """The same of LR images by MATLAB's bicubic."""
    after: dict[str, np.ndarray]
    """The same of LR images by the degradation, of draws that it was not fitted on."""
    jpeg: tuple[float, float] = (0.0, 0.0)
    """Share of images with a trace of JPEG: of the given LR images, and afterwards."""
    lines: list[str] = field(default_factory=list)


def measures(image: np.ndarray, path: Path | None = None) -> dict[str, float]:
    """Noise, detail, blur and JPEG quality of an LR image uint8 [H, W, 3], and whether it is gray (1 or 0); NaN: cannot
    be known, or no trace.

    Noise is the median over windows of 64 pixels, and blur that of the sharper half of them: what is out of focus says
    nothing about the LR images.
    """
    side = min(WINDOW, *image.shape[:2])
    if side < SMALLEST:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise InputError(f"{path or 'image'}: expected at least {SMALLEST} x {SMALLEST} pixels, got {size}")
    grid = Grid.over(image.shape[0], image.shape[1], 1, side, side)
    columns = dict(zip(COLUMNS, defects(image, grid.xs, grid.ys, side).T.astype(float), strict=True))
    blur = np.sort(columns["blur"][~np.isnan(columns["blur"])])
    noise = columns["noise"][~np.isnan(columns["noise"])]
    qualities = [encoding_of(path).quality if path else None, jpeg_trace(image)]
    known = [q for q in qualities if q is not None]
    return {
        "noise": float(np.median(noise)) if len(noise) else np.nan,
        "blur": float(np.median(blur[: -(-len(blur) // 2)])) if len(blur) else np.nan,
        "jpeg": float(min(known)) if known else np.nan,
        "detail": detail(image),
        "gray": float((image == image[..., :1]).all()),
    }


def detail(image: np.ndarray) -> float:
    """(D2 - D1) / (D3 - D1), where Dk is the mean squared difference of the luma at distance k, in both directions.

    White noise adds the same to each Dk. Where the image is smooth over 3 pixels, Dk grows with k^2: 3/8; of edges and
    fractals of the roughness of photographs with k: 1/2.
    """
    y = image @ np.array([0.299, 0.587, 0.114])
    d = [float(np.mean((y[k:] - y[:-k]) ** 2) + np.mean((y[:, k:] - y[:, :-k]) ** 2)) for k in (1, 2, 3)]
    return (d[1] - d[0]) / (d[2] - d[0]) if d[2] > d[0] else np.nan


def fit_degradation(
    images: str | Path | Iterable[str | Path], output: str | os.PathLike[str], **options: Any
) -> Fitted:
    """Writes a degradation, TOML, by which HR images get LR images like given ones.

    Noise, detail and JPEG quality of the given LR images are measured. Blur, a resize, noise and JPEG then get ranges,
    which are changed until LR images made of the HR images, sharp and clean and of such things as the LR images show,
    have the same quantiles of these measures. The options are those of ``srfast.degradation.settings.FitArguments``.
    Raises InputError if an argument is wrong, or an image cannot be read or is smaller than 32 pixels.
    """
    s = FitArguments.of(options)
    if s.like is None:
        raise InputError("like: expected LR images or a folder of them, got none")
    low, high = _spread(find_images(s.like)), _spread(find_images(images))
    inputs = [f.path for f in (*low, *high)]
    check_output(output, KIND, inputs)
    page = None if s.show is None else Page(Path(s.show), "A degradation like your LR images", [], inputs)
    threads = s.threads or default_threads()
    with shown(s.progress, "fitting", "images", "rounds") as progress:
        each = _each(lambda f: measures(read_rgb(f.path), f.path), low, threads)
        given = _quantiles([values for _, values in each])
        if np.isnan(given["detail"]).all():
            raise InputError("like: expected LR images that show something, got flat ones only")
        before = _quantiles(_degraded(Draws(Degradation.read("bicubic"), s.seed), high, s.scale, threads, 0))
        blur_of = _calibration(high, s.scale, threads)
        luma = _LUMA + (1 - _LUMA) * float(given["gray"][0])
        sigma, noise = blur_of(given["detail"])[::-1], np.maximum(_LEAST, np.nan_to_num(given["noise"]) / luma)
        best: tuple[float, dict[str, Any]] | None = None
        for round in range(ROUNDS):
            content = _content(sigma, noise, given, low)
            made = _quantiles(_degraded(Draws(Degradation.of("fit", content), s.seed), high, s.scale, threads, round))
            off = _off(given, made)
            if best is None or off < best[0]:
                best = off, content
            # Variances add: of the blur in HR pixels, more of which is less detail, and of the noise in R, G and B.
            sigma = _moved(sigma, (blur_of(given["detail"]) ** 2 - blur_of(made["detail"]) ** 2)[::-1])
            noise = _moved(noise, (given["noise"] ** 2 - made["noise"] ** 2) / luma**2)
            progress(round + 1, ROUNDS, 0)
    assert best is not None
    degradation = Degradation.of(os.fspath(output), best[1])
    after = _quantiles(_degraded(Draws(degradation, s.seed + 1), high, s.scale, threads, ROUNDS))
    done = Fitted(Path(output), degradation, given, before, after, (float(given["share"][0]), float(after["share"][0])))
    done.lines = _lines(done)
    with output_file(output, KIND, inputs) as temporary:
        temporary.write_text(written(best[1]), encoding="utf-8")
    if page is not None:
        _show(page, done, low, high, s.scale, s.seed)
    return done


def _spread(files: Sequence[ImageFile]) -> list[ImageFile]:
    return [files[i * len(files) // min(MOST, len(files))] for i in range(min(MOST, len(files)))]


def _each(measure: Any, files: Sequence[ImageFile], threads: int) -> list[tuple[ImageFile, Any]]:
    with closing(ordered_map(measure, files, threads)) as results:
        return list(results)


def _degraded(draws: Draws, files: Sequence[ImageFile], scale: int, threads: int, round: int) -> list[dict[str, float]]:
    """The measures of LR images of each image, of fresh draws in each round: of several, where images are few."""
    many = -(-LEAST_MADE // len(files))

    def measure(file: ImageFile) -> list[dict[str, float]]:
        rgb = read_rgb(file.path)
        h, w = (n // scale * scale for n in rgb.shape[:2])
        if min(h, w) < SMALLEST * scale:
            least = SMALLEST * scale
            raise InputError(f"{file.path}: expected at least {least} x {least} pixels, got {w} x {h}")
        pixels, first = of_pixels(rgb), round * many
        made = (draws.lr(rgb[:h, :w], scale, draw=first + k, pixels=pixels)[0] for k in range(many))
        return [measures(lr) for lr in made]

    return [values for _, several in _each(measure, files, threads) for values in several]


def _quantiles(measured: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    out = {}
    for name in MEASURES:
        values = np.array([f[name] for f in measured])
        known = values[~np.isnan(values)]
        out[name] = np.quantile(known, QUANTILES) if len(known) else np.full(len(QUANTILES), np.nan)
    out["share"] = np.array([np.mean([not np.isnan(f["jpeg"]) for f in measured])])
    out["gray"] = np.array([np.mean([f["gray"] for f in measured])])
    return out


def _off(given: Mapping[str, np.ndarray], made: Mapping[str, np.ndarray]) -> float:
    """How far the quantiles of noise and detail are off, each in units that matter alike."""
    parts = [np.nanmean(np.abs(given[name] - made[name])) / unit for name, unit in (("noise", 2.0), ("detail", 0.02))]
    return float(np.nansum(parts))


def _calibration(files: Sequence[ImageFile], scale: int, threads: int) -> Callable[[np.ndarray], np.ndarray]:
    """A function from detail to the standard deviation of the blur, in HR pixels, that gives it to these images."""

    def details(file: ImageFile) -> list[float]:
        hr = cropped(read_rgb(file.path), scale)
        return [
            detail(Draws(Degradation.of("blur", _content([v], [0.0], None, files))).lr(hr, scale)[0]) for v in SIGMAS
        ]

    typical = np.nanmedian([values for _, values in _each(details, files, threads)], axis=0)
    falling = np.minimum.accumulate(typical)
    return lambda wanted: np.interp(-np.nan_to_num(wanted, nan=typical[0]), -falling, SIGMAS)


def _moved(values: np.ndarray, variances: np.ndarray) -> np.ndarray:
    """Standard deviations whose variances grow by as much; ascending, as quantiles are."""
    moved = np.sqrt(np.maximum(_LEAST**2, values**2 + np.nan_to_num(variances)))
    return np.maximum.accumulate(np.clip(moved, _LEAST, 30))


def _content(
    sigma: Sequence[float] | np.ndarray, noise: Sequence[float] | np.ndarray, given: Mapping[str, np.ndarray] | None,
    low: Sequence[ImageFile],
) -> dict[str, Any]:  # fmt: skip
    operations: list[dict[str, Any]] = [{"do": "resize", "to": "lr", "filters": "bicubic", "antialias": True}]
    if max(sigma) > _LEAST:
        operations.insert(0, {"do": "blur", "size": 27, "sigma": _listed(sigma)})
    if max(noise) > _LEAST:
        gray = 0.0 if given is None else round(float(given["gray"][0]), 3)
        operations.append({"do": "gaussian-noise", "sigma": _listed(noise), **({"gray": gray} if gray else {})})
    share = 0.0 if given is None else float(given["share"][0])
    if share > 0:
        assert given is not None
        quality = np.clip(np.rint(given["jpeg"]), 1, 100).astype(int).tolist()
        chance = {} if share == 1 else {"chance": round(share, 3)}
        operations.append({"do": "jpeg", **chance, "quality": quality if len(set(quality)) > 1 else quality[0]})
    source = f"{low[0].root.name}, {len(low)} image{'s' if len(low) > 1 else ''}"
    return {"title": "fitted to LR images", "source": source, NESTED: operations}


def _listed(values: Sequence[float] | np.ndarray) -> Any:
    rounded = [round(float(v), 3) for v in values]
    return rounded if len(set(rounded)) > 1 else rounded[0]


def _lines(f: Fitted) -> list[str]:
    head = ", ".join(f"{q:.0%}" for q in QUANTILES)
    lines = [f"quantiles at {head}: your LR images | MATLAB's bicubic | fitted"]
    for name, title in MEASURES.items():
        cells = [", ".join(_shown(name, of)) for of in (f.given, f.before, f.after)]
        lines.append(f"{title}: " + " | ".join(cells))
    lines.append(f"with a trace of JPEG: {f.jpeg[0]:.0%} of your LR images, {f.jpeg[1]:.0%} of the fitted")
    if gray := float(f.given["gray"][0]):
        lines.append(f"gray: {gray:.0%} of your LR images, and as often the noise is the same in R, G and B")
    return [*lines, NOT_SEEN]


def _shown(name: str, quantiles: Mapping[str, np.ndarray]) -> list[str]:
    digits = {"detail": 3, "jpeg": 0}.get(name, 1)
    return ["-" if np.isnan(v) else f"{v:.{digits}f}" for v in quantiles[name]]


def _show(page: Page, f: Fitted, low: Sequence[ImageFile], high: Sequence[ImageFile], scale: int, seed: int) -> None:
    page.lede = [
        f"Measured on {len(low)} LR images and on LR images that were made of {len(high)} HR images at x{scale}. The "
        "draws behind the last rows of each table are not those on which the ranges were fitted.",
        NOT_SEEN,
    ]
    head = ["LR images", *(f"{q:.0%}" for q in QUANTILES)]
    for name, title in MEASURES.items():
        of = {"yours": f.given, "MATLAB's bicubic": f.before, "fitted": f.after}
        cells = [[k, *_shown(name, values)] for k, values in of.items()]
        page.tables.append((title, head, cells))
    yours = [(file.name, read_rgb(file.path)) for file in low[:: -(-len(low) // 6)]]
    page.rows.append(("your LR images", [(name, picture(image, 192), []) for name, image in yours]))
    for file in high[:: -(-len(high) // 4)]:
        rgb = read_rgb(file.path)
        hr, draws, pixels = cropped(rgb, scale), Draws(f.degradation, seed + 1), of_pixels(rgb)
        page.add(file.name, hr, [draws.lr(hr, scale, draw=k, pixels=pixels) for k in range(4)])
    page.write()
