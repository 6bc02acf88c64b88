"""Pages in headless Chromium, driven by Playwright."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import srfast
from srfast.scoring.table import SCHEMA, ScoreTable

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def chromium():
    """One headless Chromium for all tests of a process."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if BROWSER is None:
        pytest.skip("no Chromium (chromium, chromium-browser, google-chrome)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """visit(address or path, **context options) -> a page that has drawn itself; at the end nothing may have been said
    on the console, and nothing requested from elsewhere."""
    contexts, said = [], []

    def go(address, **options):
        start = address.as_uri() if isinstance(address, Path) else address
        allowed = (start.partition("?")[0].partition("#")[0], "data:", "blob:")  # of a server: what lies under it
        context = chromium.new_context(**{"viewport": {"width": 1400, "height": 900}, **options})
        context.set_default_timeout(600_000)  # ends a test that would hang; on a busy machine a page takes its time
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: request.url.startswith(allowed) or said.append(f"requested {request.url}"))
        page.goto(start)
        page.wait_for_selector("html[data-ready=yes]")
        return page

    yield go
    for context in contexts:
        context.close()
    assert said == []


HOSTILE = "<img src=x onerror=alert(1)>.png"
"""A file name that is HTML."""
SCRIPT = '"><script>document.title=1<!--.png'


def make_table(rows, images, root, **meta):
    known = {"version": 1, "root": str(root), "scale": 2, "patch": 96, "stride": 96, "mode": "patch"}
    known |= {"scorer": {"name": "bicubic", "sha256": None}, "boundary": "symmetric", "images": images}
    known |= {"skipped": [], "small": []}
    return ScoreTable(pa.table(rows, schema=SCHEMA), known | meta)


@pytest.fixture(scope="session")
def synthetic():
    """synthetic(loss [N], images) -> a table without image files, spread over images on one row of a grid each."""

    def make(loss, images=1, root=Path("/nowhere")):
        n = len(loss)
        name = [f"{i * images // n:04d}.png" for i in range(n)]
        rows = {"image": name, "x": np.arange(n, dtype=np.int32) * 96, "y": np.zeros(n, np.int32)}
        rows |= {"size": np.full(n, 96, np.int32), "loss": loss.astype(np.float32)}
        rows |= {"bicubic": (1.5 * loss).astype(np.float32), "sobel": np.sqrt(loss).astype(np.float32)}
        return make_table(rows, {}, root)

    return make


@pytest.fixture(scope="session")
def painted(tmp_path_factory):
    """The scores of the 100 patches of 48 x 48 of five images under hostile and ordinary names, with a column that has
    missing values, one of yes and no, and one of words."""
    root = tmp_path_factory.mktemp("painted")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:192, :240]
    for i, name in enumerate((HOSTILE, SCRIPT, "cats/a 1.png", "cats/café & co.png", "plain.png")):
        waves = 128 + 90 * np.sin(x / (3 + 4 * i) + 0.2 * i) * np.cos(y / (5 + 3 * i))
        pixels = waves[..., None] + rng.normal(0, 1 + 5 * i, (192, 240, 3)) * (x > 120)[..., None]
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / name)
    table = srfast.score(root, patch=48, stride=48, mode="dense", backend="native")
    n = len(table)
    noise = pa.array(rng.random(n).astype(np.float32), mask=np.arange(n) % 7 == 0)
    more = table.table.append_column("noise", noise).append_column("duplicate", pa.array(np.arange(n) % 5 == 0))
    more = more.append_column("light", pa.array([["day", "night"][i % 2] for i in range(n)]))
    small = [{"image": "icon.png", "width": 3, "height": 3}]
    skipped = [{"image": f"broken {HOSTILE}", "reason": "truncated <b>"}]
    return ScoreTable(more, {**table.meta, "small": small, "skipped": skipped})
