"""docs/what-it-does.png, the picture of README: hard and easy patches of a photograph, the curve, what is left out.

``python -m experiments.readme_picture`` draws it from photographs that scikit-image ships (public domain).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

import srfast
from experiments.study_rows import ROOT
from srfast.study.figures import STYLE

HARD, EASY, LEFT_OUT = "#c8452c", "#3b76a8", "0.6"
PATCH, KEEP_LOSS = 48, 0.88


def pool(folder: Path) -> np.ndarray:
    """A photograph, and three degraded copies of parts of it, as files; returns the photograph."""
    from skimage import data

    photo = data.astronaut()[:384, :504]
    Image.fromarray(photo).save(folder / "photo.png")
    part = Image.fromarray(data.coffee()[:192, :252])
    noisy = np.asarray(part) + np.random.default_rng(0).normal(0, 25, (192, 252, 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / "noisy.png")
    part.filter(ImageFilter.GaussianBlur(3)).save(folder / "blurred.png")
    part.resize((126, 96), Image.Resampling.BICUBIC).resize((252, 192), Image.Resampling.BICUBIC).save(
        folder / "enlarged.png"
    )
    return np.asarray(photo)


def draw(photo: np.ndarray, degraded: dict[str, np.ndarray], table: Any) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Rectangle

    loss = table["loss"].astype(float)
    order = np.argsort(-loss, kind="stable")
    share = np.cumsum(loss[order]) / loss.sum()
    kept = int(np.searchsorted(share, KEEP_LOSS)) + 1
    with plt.rc_context({**STYLE, "figure.figsize": (9, 3)}):
        figure, (left, middle, right) = plt.subplots(1, 3, width_ratios=(1.5, 1.2, 0.9))
        left.imshow(photo)
        for rank, row in enumerate(order):
            color = HARD if rank < kept else EASY
            place = (float(table["x"][row]) + 2, float(table["y"][row]) + 2)
            left.add_patch(Rectangle(place, PATCH - 4, PATCH - 4, fill=False, ec=color, lw=1.4))
        left.set_title("hard patches (red) are kept", loc="left")
        left.axis("off")
        at = np.arange(1, len(loss) + 1) / len(loss)
        middle.fill_between(at[:kept], loss[order][:kept], color=HARD, lw=0)
        middle.fill_between(at[kept - 1 :], loss[order][kept - 1 :], color=EASY, lw=0)
        middle.set_xlabel("patches, the hardest first")
        middle.set_ylabel("error of a small network")
        middle.set_title(f"{100 * kept / len(loss):.0f} % hold {100 * KEEP_LOSS:.0f} % of the error", loc="left")
        right.set_title("left out", loc="left")
        right.axis("off")
        for i, (name, image) in enumerate(degraded.items()):
            inset = right.inset_axes((0, 0.66 - 0.35 * i, 1, 0.24))
            inset.imshow(image[:80])
            inset.set_title(name, fontsize="small", pad=2)
            inset.axis("off")
        figure.tight_layout()
    return figure


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        photo = pool(folder)
        table = srfast.score(folder / "photo.png", patch=PATCH, stride=PATCH, mode="dense")
        degraded = {n: np.asarray(Image.open(folder / f"{n}.png")) for n in ("noisy", "blurred", "enlarged")}
        figure = draw(photo, degraded, table)
        figure.savefig(ROOT / "docs" / "what-it-does.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
