"""Defects of windows of an image: noise, blur, enlargement, text, banding, clipping, margins, halos, JPEG.

The image is cut into tiles of 8 x 8 pixels from its top left corner. ``FEATURES`` are measured in each tile, on the
luma of JPEG (JFIF: 0.299 R + 0.587 G + 0.114 B, rounded). A window gets a result from the tiles inside it, so that its
cost does not depend on how much it overlaps others. ``tests/ops/defects_reference.py`` is the definition, in float64.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from srfast.ops import native
from srfast.ops.checks import check_image, check_windows

SMALLEST = 32
"""Side of the smallest window; wherever it lies, it contains 3 x 3 tiles."""
COLUMNS = ("noise", "blur", "upscaled", "overlay", "banding", "clipped", "border", "halo")
"""The columns of ``defects``, in this order."""
FEATURES = (
    "h1", "h2", "h3", "h4", "v1", "v2", "v3", "v4", "hh", "h3v1", "h1v3", "h1v1", "variance", "range", "chroma",
    "equal", "phase2", "phase3", "curve2", "curve3", "near", "step", "sharp", "clipped",
)  # fmt: skip
"""The features of a tile that the network gets; ``features`` of the definition has each."""
LAYERS = ((32, 24), (32, 32), (32, 32), (7, 32))
"""[outputs, inputs] of the network's layers: two for each tile, two for the mean over a window's tiles."""
NEIGHBOURS = (3, 5)
"""Rows and columns of tiles around a tile, itself among them, by which it is judged whether it has ink."""
MARKS = ((32, 24), (16, 32), (16, 15), (16, 16), (1, 16), (1, 1))
"""[outputs, inputs] of the layers that find text; the third sees each value of ``NEIGHBOURS`` by itself, and the last
is the slope and the constant of the log-odds that a window has some."""
LEAST_MARKED = 1e-6
"""Added to the sum of a window's marks, so that its logarithm is finite."""
CHROMA = FEATURES.index("chroma")
WEIGHTS = Path(__file__).parents[1] / "weights" / "defects.safetensors"


@lru_cache(maxsize=2)
def weights(colour: bool = True) -> np.ndarray:
    """Weights, float32: for each of ``LAYERS`` and ``MARKS`` its matrix [outputs, inputs] and bias, one after another.
    Those for images without colour are made of them by ``without_colour``."""
    from safetensors.numpy import load

    held = load(WEIGHTS.read_bytes())
    if not colour:
        for first in ("0", "overlay.0"):
            held[f"{first}.weight"], held[f"{first}.bias"] = without_colour(
                held[f"{first}.weight"], held[f"{first}.bias"], held["gray.weight"], held["gray.bias"]
            )
    names = [*map(str, range(len(LAYERS))), *(f"overlay.{n}" for n in range(len(MARKS)))]
    return np.concatenate([held[f"{name}.{kind}"].ravel() for name in names for kind in ("weight", "bias")])


def without_colour(
    weight: np.ndarray, bias: np.ndarray, from_others: np.ndarray, constant: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weight and bias of the first layer for images without colour.

    They make of the features what the given ones make of them with ``from_others @ features + constant`` in the place
    of chroma; ``from_others`` [features] has 0 there.
    """
    changed = weight + np.outer(weight[:, CHROMA], from_others)
    changed[:, CHROMA] = 0
    return changed, bias + weight[:, CHROMA] * constant


def defects(image: np.ndarray, xs: np.ndarray, ys: np.ndarray, size: int, threads: int = 1) -> np.ndarray:
    """Measures the defects of windows of an image.

    These are the columns, in the order of ``COLUMNS``. A value is NaN where it cannot be known:

    * ``noise``: standard deviation of the white part of the luma in grey levels (independent noise of sigma in R, G and
      B is 0.67 sigma of it). The network estimates it from the energies of differences of first to fourth order, which
      white noise holds in fixed proportions (eq. 1 of Immerkaer, "Fast noise variance estimation", 1996, is one of
      them) and texture does not. NaN where nine tenths of the pixels are saturated.
    * ``blur``: standard deviation in pixels of the Gaussian that appears to have blurred the sharpest edges; 0 means
      none. It follows from ratios of the same energies (for an edge blurred by sigma the energy of the first difference
      is 2 sigma^2 that of the second: the width of Marziliano et al., 2002, without the edges). NaN in flat windows.
    * ``upscaled``: the factor by which the window was enlarged, the mean of 1 (native), 2, 3 and 4 by their
      probabilities. NaN in flat windows.
    * ``overlay``: probability in percent that the window contains text, a mark or a drawn line. Each tile is judged
      with its neighbours, 3 rows and 5 columns in all, as text is a row of tiles that are alike; they may lie outside
      the window. The log-odds are linear in the logarithm of the sum over the window's tiles: a few tiles are enough.
    * ``banding``: percent of tiles that are smooth ramps with lost levels: a range of 2 to 16, 70 % of the neighbours
      equal, and at most a quarter of the others a step of one level.
    * ``clipped``: percent of pixels where one channel is 255, or all are 0.
    * ``border``: percent of the pixels in the image's margins: rows, then columns, from the edge inwards, within 2 grey
      levels of the edge's corner.
    * ``halo``: probability in percent that edges were over-sharpened, as by an unsharp mask of 150 % and more. NaN in
      flat windows and from 75 % of saturated pixels (black on white cannot overshoot).

    Network: for each tile two layers of 32 with ReLU over ``FEATURES``; their mean over the tiles inside the window
    (``(size - 7) // 8`` squared, from the first that begins inside it); a layer of 32 with ReLU, and a linear one: log2
    (1 + noise), blur, logits of the factors 1, 2, 3 and 4 and of the halo. It was trained on synthetic defects of
    photographs with colour by ``experiments/defect_network.py``. ``overlay`` has layers of its own (32 and 16 for each
    tile, its neighbours, 16 and 1), which ``experiments/overlay_network.py`` trains. In an image whose pixels
    are all gray the feature ``chroma`` is replaced by what the others of the tile let expect in a photograph with
    colour (least squares).

    Args:
        image: uint8 [H, W, 3] RGB, or [H, W, 1]; contiguous or not.
        xs: [nx] left sides of the windows of a row, ascending; every window lies inside the image.
        ys: [ny] tops of the rows of windows, ascending.
        size: Side of the windows in pixels, at least 32.
        threads: Number of threads of the compiled kernel; the result does not depend on it.

    Returns:
        float32 [len(ys) * len(xs), 8], row by row. It agrees with the reference to 1e-3 of a value.

    Raises:
        TypeError: the image is not uint8.
        InputError: a shape, size or window does not fit.
    """
    xs, ys, size, threads = check_windows(image, xs, ys, size, threads, SMALLEST)
    of_network = weights(has_colour(image))
    image = native.contiguous_rows(image)
    out = np.empty((len(xs) * len(ys), 8), np.float32)
    threads = min(threads, max(1, len(ys)))
    grid = native.grid_at(xs, ys, size)
    native.compiled().defects(native.image_at(image), grid, of_network.ctypes.data, threads, out.ctypes.data)
    return out


def has_colour(image: np.ndarray) -> bool:
    """Whether a pixel of a uint8 image [H, W, 3] or [H, W, 1] has unequal channels; a few are looked at first."""
    return image.shape[2] == 3 and any(
        bool((part[..., 1:] != part[..., :1]).any()) for part in (image[:: len(image) // 8 + 1], image)
    )


def jpeg_trace(image: np.ndarray) -> int | None:
    """The lowest quality of a JPEG (libjpeg's scale, 1 to 100) of which the pixels bear a trace, or None.

    The quantised coefficients of a JPEG are multiples of the steps of its table (Fan, de Queiroz, "Identification of
    bitmap compression history", 2003, Section III). The grid is found first: at each of its 64 places the mean size of
    the coefficient of frequency (4, 4), clipped at 4 grey levels, is compared with the median of the 64 means, and,
    where the image lies on its own grid, that of frequency (3, 3), which a later saving leaves. At the places that
    stand out, the first 14 coefficients of up to about 1,024 blocks, spread over the image, show how well they are
    multiples of each quality's steps: the mean of cos(2 pi |c| / step) over those of 0.6 steps and more (of a quarter
    of a step and more where it is 12 or more), at least 0.3 and 6 standard deviations from 0. A block counts once
    however often it repeats, as the edges of drawings do. Blocks in which a channel is 0 or 255 are used only where
    the others are not enough: the values that were clipped are missing in their coefficients.

    Images that were resized after compression bear no trace, nor do most images of quality above 95. A table that is
    not libjpeg's gives the quality whose steps are nearest in proportion. The image has at least 23 pixels each way.

    Args:
        image: uint8 [H, W, 3] RGB, or [H, W, 1].
    """
    check_image(image)
    image = native.contiguous_rows(image)
    return int(native.compiled().jpeg_trace(native.image_at(image))) or None
