"""The report of a million patches: bytes, time to write, first paint and a slider's step in headless Chromium."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from bench.measure import machine
from srfast.coreset.selection import select
from srfast.report.writing import write_report
from srfast.scoring.table import SCHEMA, ScoreTable

N, IMAGES = 1_000_000, 1000
SIZE, PAINT, STEP = 15_000_000, 1.0, 0.050
"""What must be reached: bytes, seconds, seconds."""
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_STEPS = """async (many) => {
  const range = document.querySelector(".sliders input[type=range]");
  const frames = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const busy = [];
  for (let i = 0; i < many; i++) {
    range.value = String(200 + 37 * i % 600);
    let longest = 0;
    const began = performance.now();
    range.dispatchEvent(new Event("input"));
    await frames();
    longest = performance.now() - began;
    busy.push(longest);
  }
  return busy;
}"""


def a_million(root: Path) -> ScoreTable:
    """1,000 images of 1,000 patches of 96 x 96; the pictures are noise, which compresses worst."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (96 * 25, 96 * 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "noise.png", compress_level=1)
    names = [f"image {i:04d}.png" for i in range(IMAGES)]
    for name in names:
        (root / name).hardlink_to(root / "noise.png")
    place = np.arange(N) % 1000
    loss = np.exp(rng.normal(3, 2, N)).astype(np.float32)
    rows = {"image": np.repeat(names, N // IMAGES), "x": (place % 40 * 96).astype(np.int32)}
    rows |= {"y": (place // 40 * 96).astype(np.int32), "size": np.full(N, 96, np.int32), "loss": loss}
    rows |= {"bicubic": loss * rng.uniform(1, 2, N).astype(np.float32), "sobel": np.sqrt(loss)}
    from srfast.scoring.network import load_network

    scorer = {"name": "srcnn", "sha256": load_network("srcnn", 2).sha256}
    meta = {"version": 1, "root": str(root), "scale": 2, "patch": 96, "stride": 96, "mode": "patch", "scorer": scorer}
    table = pa.table(rows, schema=SCHEMA)
    table = table.append_column("noise", pa.array(rng.gamma(2, 3, N).astype(np.float32)))
    table = table.append_column("duplicate", pa.array(rng.random(N) < 0.02))
    return ScoreTable(table, meta | {"boundary": "symmetric", "images": {}, "skipped": [], "small": []})


def _busy(session: Any) -> float:
    """Seconds that the page's thread has worked, whatever else the cores do."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")


def test_a_million_patches(benchmark: Any, tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium")
    table = a_million(tmp_path)
    began = time.perf_counter()
    path = write_report(table, None, tmp_path / "report.html")
    written = time.perf_counter() - began
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready=yes]")
        paints = page.evaluate("() => performance.getEntriesByType('paint').map((one) => one.startTime)")
        kept = int(page.locator("#legend .kept b").get_attribute("data-count"))
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        before = _busy(session)
        steps = page.evaluate(_STEPS, 40)
        step = (_busy(session) - before) / len(steps)
        loss = page.evaluate("() => document.querySelector('#precision').textContent")
        browser.close()
    assert kept == len(select(table, keep=0.5))
    assert "exact" in loss
    size = path.stat().st_size
    figures = {"bytes": size, "write_seconds": written, "first_paint_seconds": min(paints) / 1000}
    figures |= {"step_seconds": step, "step_wall_seconds": float(np.median(steps)) / 1000}
    benchmark.extra_info.update(figures | {"patches": N, "machine": machine()})
    benchmark.pedantic(lambda: None, rounds=1, iterations=1)
    print(figures)
    assert size < SIZE
    assert figures["first_paint_seconds"] < PAINT
    assert figures["step_seconds"] < STEP
