"""The pictures of docs/: what pages and commands look like now, of photographs that scikit-image ships (public domain).

``python -m experiments.shots`` (``make shots``) runs the commands in a temporary folder. Pages are photographed in
headless Chromium by playwright, and terminals are drawn by rich; docs/what-it-does.png, the picture of README, is
drawn by matplotlib: hard and easy patches of a photograph, the curve, and what is left out.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

import srfast
from experiments.study_rows import ROOT
from srfast.study.figures import STYLE

DOCS = ROOT / "docs"
TERMINALS = {
    "installing": ["srfast doctor"],
    "recipes": ["srfast prune photos/ -o out/"],
    "trainers": ["srfast export out/coreset.parquet -o pairs --to folder --scale 2 --check"],
    "training": [
        "srfast eval srcnn --data sharp/ --scale 2 --json srcnn.json",
        "srfast eval bicubic --data sharp/ --scale 2 --json bicubic.json",
        "srfast compare srcnn.json bicubic.json",
    ],
    "onnx": ["srfast onnx -o scorer.onnx --scale 2", "srfast score photos/ -o onnx.parquet --backend onnx --patch 48"],
    "extending": ["srfast select scores.parquet -o mine.parquet --method mine.py:bright --keep 0.25"],
}
"""Page -> the commands whose output it shows."""
MINE = """def bright(scores):
    return scores["clipped"]
"""
HARD, EASY = "#c8452c", "#3b76a8"
PATCH, KEEP_LOSS = 48, 0.88
_FONT = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def photographs(folder: Path) -> None:
    """Six photographs, of which three are degraded and three stand in ``sharp`` too, and in ``sky`` a target."""
    from skimage import data

    for part in ("photos", "sharp", "sky"):
        (folder / part).mkdir()
    for name in ("astronaut", "chelsea", "coffee"):
        Image.fromarray(getattr(data, name)()).save(folder / "photos" / f"{name}.png")
        shutil.copy(folder / "photos" / f"{name}.png", folder / "sharp")
    rocket = Image.fromarray(data.rocket())
    rocket.crop((0, 0, 320, 256)).save(folder / "sky" / "rocket.png")
    rocket.filter(ImageFilter.GaussianBlur(3)).save(folder / "photos" / "blurred.png")
    noisy(data.coffee()[:256, :384]).save(folder / "photos" / "noisy.png")
    Image.fromarray(data.astronaut()[:300, :400]).save(folder / "photos" / "compressed.jpg", quality=15)


def noisy(image: np.ndarray) -> Image.Image:
    made = image + np.random.default_rng(0).normal(0, 25, image.shape)
    return Image.fromarray(np.clip(made, 0, 255).astype(np.uint8))


def run(folder: Path, line: str) -> str:
    """What a command writes to both streams."""
    words = shlex.split(line)
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "COLUMNS": "100"},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{line}: {done.stdout}")
    return done.stdout.replace(str(folder), "/data")


def terminal(page: str, lines: list[str], folder: Path) -> None:
    """The commands and what they print, as an SVG file without fonts from elsewhere."""
    from rich.console import Console
    from rich.terminal_theme import DEFAULT_TERMINAL_THEME
    from rich.text import Text

    console = Console(record=True, width=100, file=io.StringIO(), highlight=False)
    for line in lines:
        console.print(Text(f"$ {line}", style="bold"))
        console.print(Text(run(folder, line).rstrip()))
    svg = console.export_svg(title="srfast", theme=DEFAULT_TERMINAL_THEME, unique_id=page)
    (DOCS / "shots" / f"{page}.svg").write_text(_FONT.sub("", svg), encoding="utf-8")


def keep(shot: bytes, name: str) -> None:
    Image.open(io.BytesIO(shot)).convert("RGB").save(DOCS / "shots" / f"{name}.webp", quality=80, method=6)


def pages(folder: Path, visit: Callable[..., Any]) -> None:
    """The report with a patch and a map opened, the audit, a sheet of degradations, and what a target ranks first."""
    page = visit(folder / "out" / "report.html")
    keep(page.screenshot(full_page=True, clip=_around(page, "#decision", "#plot")), "report")
    page.locator("#cards .card:has-text('astronaut') button").first.click()
    keep(page.locator("#patch").screenshot(), "report-patch")
    page.keyboard.press("Escape")
    page = visit(folder / "out" / "report.html")
    page.locator("#image-table tbody button:has-text('astronaut')").first.click()
    keep(page.locator("#map").screenshot(), "report-map")
    page = visit(folder / "out" / "audit.html")
    keep(page.locator("#verdicts").screenshot(), "audit")
    run(folder, "srfast degrade photos/ --degradation realesrgan --scale 4 --show sheet.html")
    keep(visit(folder / "sheet.html", ready=False).screenshot(), "degradations")
    run(folder, "srfast influence scores.parquet --target sky -o for-sky.parquet")
    run(folder, "srfast report for-sky.parquet -o for-sky.html")
    page = visit(folder / "for-sky.html", link="#sort=influence&down=1")
    keep(page.locator("#patches").screenshot(), "influence")
    run(folder, "srfast score photos/ -o bicubic.parquet --scorer bicubic --patch 48 --defects")
    run(folder, "srfast report scores.parquet bicubic.parquet -o differences.html")
    keep(visit(folder / "differences.html").screenshot(), "differences")


def _around(page: Any, first: str, last: str) -> dict[str, float]:
    top, end = (page.locator(name).bounding_box() for name in (first, last))
    return {"x": 0, "y": top["y"] - 16, "width": 1100, "height": end["y"] + end["height"] - top["y"] + 32}


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


def readme_picture(folder: Path) -> None:
    """docs/what-it-does.png: a photograph, and three degraded copies of a part of another."""
    from skimage import data

    photo = data.astronaut()[:384, :504]
    Image.fromarray(photo).save(folder / "photo.png")
    part = Image.fromarray(data.coffee()[:192, :252])
    small = part.resize((126, 96), Image.Resampling.BICUBIC)
    degraded = {
        "noisy": noisy(np.asarray(part)),
        "blurred": part.filter(ImageFilter.GaussianBlur(3)),
        "enlarged": small.resize((252, 192), Image.Resampling.BICUBIC),
    }
    table = srfast.score(folder / "photo.png", patch=PATCH, stride=PATCH, mode="dense")
    figure = draw(photo, {name: np.asarray(image) for name, image in degraded.items()}, table)
    figure.savefig(DOCS / "what-it-does.png", dpi=110, metadata={"Software": None})


def main() -> None:
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    (DOCS / "shots").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        folder = Path(name)
        readme_picture(folder)
        photographs(folder)
        (folder / "mine.py").write_text(MINE)
        run(folder, "srfast score photos/ -o scores.parquet --patch 48 --defects")
        for page, lines in TERMINALS.items():
            terminal(page, lines, folder)
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        context = chromium.new_context(viewport={"width": 1100, "height": 900}, color_scheme="light")

        def visit(path: Path, link: str = "", ready: bool = True) -> Any:
            page = context.new_page()
            page.goto(path.as_uri() + link)
            if ready:
                page.wait_for_selector("html[data-ready=yes]")
            return page

        pages(folder, visit)
        chromium.close()


if __name__ == "__main__":
    main()
