"""The HTML report, as text and in a real browser (headless Chromium)."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from srfast.coreset.selection import CoreSet, select
from srfast.data.files import atomic_path
from srfast.errors import InputError, RunError
from srfast.ops import reference
from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, agreement, read_scores
from srfast.report.writing import write_report
from srfast.scoring.table import SCHEMA, ScoreTable

HOSTILE = "<img src=x onerror=alert(1)>.png"
"""A file name that is HTML."""
SCRIPT = '"><script>document.title=1<!--.png'
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium (chromium, chromium-browser, google-chrome)")


def make_table(rows: dict[str, list], images: dict, root: Path, **meta) -> ScoreTable:
    known = {"version": 1, "root": str(root), "scale": 2, "patch": 96, "stride": 96, "mode": "patch"}
    known |= {"scorer": {"name": "bicubic", "sha256": None}, "boundary": "symmetric", "images": images}
    known |= {"skipped": [], "small": []}
    return ScoreTable(pa.table(rows, schema=SCHEMA), known | meta)


def photographs(root: Path) -> ScoreTable:
    """Every 96 x 96 patch of six photographs under hostile and ordinary names, scored by bicubic."""
    data = pytest.importorskip("skimage.data", reason="scikit-image, which ships the photographs, is missing")
    sources = {
        HOSTILE: data.astronaut(),
        SCRIPT: data.coffee(),
        "cats/chelsea 1.png": data.chelsea(),
        "fusée & co.png": data.rocket(),
        "cats/café.png": data.coffee()[::-1],
        "astronaut.png": data.astronaut()[:, ::-1],
    }
    rows: dict[str, list] = {name: [] for name in SCHEMA.names}
    images = {}
    for name, image in sorted(sources.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(image)).save(path)
        images[name] = {"size": path.stat().st_size, "mtime_ns": path.stat().st_mtime_ns}
        height, width = (side - side % 2 for side in image.shape[:2])
        at = [(x, y) for y in range(0, height - 95, 96) for x in range(0, width - 95, 96)]
        patches = torch.from_numpy(np.stack([image[y : y + 96, x : x + 96] for x, y in at]).copy())
        loss = reference.score_patches(patches, None).tolist()
        rows["image"] += [name] * len(at)
        rows["x"] += [x for x, _ in at]
        rows["y"] += [y for _, y in at]
        rows["size"] += [96] * len(at)
        rows["loss"] += loss
        rows["bicubic"] += loss
        rows["sobel"] += reference.sobel(patches).tolist()
    skipped = [{"image": f"broken {HOSTILE}", "reason": "truncated <b>"}]
    return make_table(rows, images, root, skipped=skipped, small=[{"image": "icon.png", "width": 3, "height": 3}])


@pytest.fixture(scope="module")
def scored(tmp_path_factory) -> ScoreTable:
    return photographs(tmp_path_factory.mktemp("photographs"))


@pytest.fixture
def refined(scored) -> CoreSet:
    return select(scored, keep=0.5, drop_hardest=0.05)


def synthetic(loss: np.ndarray, images: int = 1, root: Path = Path("/nowhere")) -> ScoreTable:
    """A table without image files: ``loss`` [N] spread over images on one row of a grid each."""
    n = len(loss)
    name = [f"{i * images // n:04d}.png" for i in range(n)]
    rows = {"image": name, "x": np.arange(n, dtype=np.int32) * 96, "y": np.zeros(n, np.int32)}
    rows |= {"size": np.full(n, 96, np.int32), "loss": loss.astype(np.float32)}
    rows |= {"bicubic": (1.5 * loss).astype(np.float32), "sobel": np.sqrt(loss).astype(np.float32)}
    return make_table(rows, {}, root)


class Tags(HTMLParser):
    """Collects (tag, attributes) and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def of(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(*args, path: Path, **kwargs) -> str:
    write_report(*args, path, **kwargs)
    return path.read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    return re.search(rf'<section[^>]* id="{name}".*?</section>', text, re.DOTALL)[0]


def test_same_inputs_same_bytes(scored, refined, tmp_path):
    first, second = (write_report(scored, refined, tmp_path / f"{i}.html").read_bytes() for i in "ab")
    assert first == second


def test_nothing_is_loaded_from_elsewhere(scored, refined, tmp_path):
    tags = Tags(page(scored, refined, path=tmp_path / "report.html"))
    for _, attributes in tags.tags:
        for name in ("src", "srcset", "data", "action", "poster"):
            assert attributes.get(name, "data:").startswith("data:")
        assert attributes.get("href", "#").startswith(("#", "data:"))
    assert "default-src 'none'" in tags.of("meta")[1]["content"]


def test_file_names_that_are_html_stay_text(scored, refined, tmp_path):
    text = page(scored, refined, path=tmp_path / "report.html")
    tags = Tags(text)
    assert HOSTILE not in text
    assert SCRIPT not in text
    assert all("onerror" not in attributes for _, attributes in tags.tags)
    assert len(tags.of("script")) == 2
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1]
    assert not set("<>&") & set(data)
    assert {HOSTILE, SCRIPT} <= set(json.loads(data)["images"])
    assert any(HOSTILE in image["alt"] for image in tags.of("img"))


def test_selection_is_marked(scored, refined, tmp_path):
    text = page(scored, refined, path=tmp_path / "report.html")
    n = len(scored)
    dropped = int(0.05 * n + 0.5)
    assert f"{len(refined):,} of {n:,} patches kept" in text
    curve = section(text, "curve")
    for tone in ("dropped", "kept", "left"):
        assert f'class="line {tone}"' in curve
        assert f'class="fill {tone}"' in curve
    assert f"Ranks 1 to {dropped} are dropped" in curve
    assert f"Ranks {dropped + 1} to {dropped + len(refined)} are kept" in curve
    cards = {name: section(text, name).count("<button") for name in ("hardest", "easiest", "borderline", "dropped")}
    assert all(count >= 8 for count in cards.values()), cards
    # The hardest five percent were dropped, the easiest were left out, and the border has both sides.
    assert set(re.findall(r'card (\w+)"', section(text, "easiest"))) == {"left"}
    assert section(text, "hardest").startswith('<section class="gallery" id="hardest"')
    assert re.findall(r'card (\w+)"', section(text, "hardest"))[:dropped] == ["dropped"] * dropped
    assert re.findall(r'card (\w+)"', section(text, "borderline")) == ["kept"] * 8 + ["left"] * 8


def test_without_a_core_set(scored, tmp_path):
    text = page(scored, None, path=tmp_path / "report.html")
    assert f"{len(scored):,} patches scored" in text
    assert 'class="legend"' not in text
    assert 'id="borderline"' not in text
    assert section(text, "hardest").count("<button") == 16


@pytest.mark.parametrize("arguments", [{"method": "random"}, {"method": "sobel"}, {"max_per_image": 3}])
def test_selection_that_does_not_cut_by_loss(scored, arguments, tmp_path):
    text = page(scored, select(scored, keep=0.5, **arguments), path=tmp_path / "report.html")
    assert "does not cut by loss" in section(text, "curve")
    assert 'class="plot shares"' in section(text, "curve")


def test_lowest_first_selection_has_its_border_on_the_other_side(scored, tmp_path):
    core = select(scored, keep=0.3, order="asc")
    border = section(page(scored, core, path=tmp_path / "report.html"), "borderline")
    kept, left = core.column("loss"), np.sort(scored.column("loss"))[len(core) :]
    shown = [float(v.replace(",", "")) for v in re.findall(r"<b>([\d.,]+)</b>", border)]
    assert shown[0] == pytest.approx(kept.max(), rel=1e-2)  # printed with three digits
    assert shown[8] == pytest.approx(left.min(), rel=1e-2)


def test_status_of_each_patch():
    loss = np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6, 0])
    table = synthetic(loss, images=5)
    core = select(table, keep=0.4, drop_hardest=0.1)
    scores = read_scores(*(t.table.replace_schema_metadata({b"srfast": json.dumps(t.meta)}) for t in (table, core)))
    expected = np.where(loss == 9, DROPPED, np.where(loss > 4, KEPT, LEFT_OUT))
    np.testing.assert_array_equal(scores.status, expected)
    assert scores.runs == [(0, 1, DROPPED), (1, 5, KEPT), (5, 10, LEFT_OUT)]
    assert scores.per_image.kept.tolist() == [1, 0, 1, 1, 1]
    assert scores.per_image.mean.tolist() == [3.0, 6.0, 4.5, 6.0, 3.0]


def test_rank_correlation_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(0)
    loss, other = rng.integers(0, 50, 500).astype(float), rng.integers(0, 50, 500).astype(float)
    table = synthetic(loss).table.replace_schema_metadata({b"srfast": json.dumps(synthetic(loss).meta)})
    scores = read_scores(table, None)
    rho, shared = agreement(scores, loss + other)
    # Both are float64 sums of 500 ranks.
    assert rho == pytest.approx(stats.spearmanr(loss, loss + other).statistic, abs=1e-12)
    assert 0.5 < shared < 1
    assert agreement(scores, loss)[1] == 1


@pytest.mark.parametrize(
    "loss",
    [np.array([3.0]), np.full(7, 3.0), np.zeros(9), np.array([0.0, 1e-6, 5e4]), np.linspace(0, 9, 1000)],
    ids=["one", "equal", "zero", "wide", "thousand"],
)
def test_unusual_losses(loss, tmp_path):
    table = synthetic(loss)
    for i, core in enumerate((None, select(table, keep=0.5), select(table, keep=1.0))):
        text = page(table, core, path=tmp_path / f"{i}.html")
        Tags(text)
        assert "nan" not in re.sub(r"base64,[^\"]*", "", text).lower()
        assert " inf" not in text


def test_missing_and_changed_images_are_said_on_the_card(tmp_path):
    table = photographs(tmp_path)
    names = ["astronaut.png", "cats/café.png", "cats/chelsea 1.png", SCRIPT]
    gone, resized, touched, broken = (tmp_path / name for name in names)
    gone.unlink()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(resized)
    os.utime(touched, ns=(1, 1))
    broken.write_bytes(b"x" * broken.stat().st_size)
    text = page(table, select(table, drop_hardest=0.05), path=tmp_path / "report.html")
    for reason in ("no longer there", "has changed since scoring", "cannot be read", "touched since scoring"):
        assert reason in text
    moved = page(table, None, path=tmp_path / "moved.html", root=tmp_path / "elsewhere")
    assert "<img" not in moved
    assert "no longer there" in moved


@pytest.mark.parametrize("name", ["../secret.png", "/etc/secret.png", "a/../../secret.png"])
def test_paths_that_leave_the_root_are_refused(name, tmp_path):
    table = synthetic(np.array([1.0]))
    table = ScoreTable(table.table.set_column(0, SCHEMA.field("image"), pa.array([name])), table.meta)
    with pytest.raises(InputError, match="inside the root"):
        write_report(table, None, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_tables_that_do_not_belong_together_are_refused(tmp_path):
    table = synthetic(np.arange(10.0))
    other = select(synthetic(np.arange(40.0)), keep=0.5)
    with pytest.raises(InputError, match="20 of its 20 patches are not in the score table"):
        write_report(table, other, tmp_path / "report.html")
    with pytest.raises(InputError, match="without its metadata"):
        write_report(table.table, None, tmp_path / "report.html")
    with pytest.raises(InputError, match="finite loss"):
        write_report(synthetic(np.array([1.0, np.nan])), None, tmp_path / "report.html")
    with pytest.raises(InputError, match="at least one patch"):
        write_report(ScoreTable(table.table.slice(0, 0), table.meta), None, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_only_a_report_is_replaced(tmp_path):
    table, path = synthetic(np.arange(10.0)), tmp_path / "scores.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not written by srfast"):
        write_report(table, None, path)
    assert path.read_bytes() == b"PAR1"
    report = write_report(table, None, tmp_path / "report.html")
    assert write_report(table, None, report) == report


def test_a_million_patches_fit_in_five_megabytes(scored, tmp_path):
    n, rng = 1_000_000, np.random.default_rng(0)
    name = np.repeat([f"image {i:05d}.png" for i in range(5000)], n // 5000)
    loss = np.exp(rng.normal(3, 2, n)).astype(np.float32)
    rows = {"image": name, "x": np.arange(n, dtype=np.int32) % 200 * 96, "y": np.zeros(n, np.int32)}
    rows |= {"size": np.full(n, 96, np.int32), "loss": loss, "bicubic": loss * 2, "sobel": np.sqrt(loss)}
    # Noise is the picture that compresses worst.
    noise = tmp_path / "noise.png"
    Image.fromarray(rng.integers(0, 256, (96, 200 * 96, 3), dtype=np.uint8)).save(noise)
    table = make_table(rows, {}, tmp_path)
    for row in set(np.argsort(loss)[-40:] // 200) | set(np.argsort(loss)[:40] // 200):
        (tmp_path / f"image {row:05d}.png").hardlink_to(noise)
    path = write_report(table, select(table, drop_hardest=0.05), tmp_path / "report.html")
    assert path.stat().st_size < 5_000_000
    text = path.read_text(encoding="utf-8")
    assert "<b>500,000</b>" in section(text, "curve")
    assert section(text, "images").count("<tr") == 402
    assert text.count("data:image/") >= 32
    assert len(re.search(r'class="line kept" d="([^"]*)"', text)[1].split("L")) < 600


def test_command(scored, refined, tmp_path):
    from srfast.cli.report import command

    scored.write(tmp_path / "scores.parquet")
    refined.write(tmp_path / "coreset.parquet")
    arguments = [str(tmp_path / "scores.parquet"), "--coreset", str(tmp_path / "coreset.parquet")]
    result = CliRunner().invoke(command, [*arguments, "-o", str(tmp_path / "a.html")], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.strip() == str(tmp_path / "a.html")
    direct = write_report(scored, refined, tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == direct.read_bytes()


def test_files_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError), atomic_path(path) as temporary:
        temporary.write_text("half \ud800")
    assert path.read_text() == "old"
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with atomic_path(link) as temporary:
        temporary.write_text("linked")
    assert link.is_symlink()
    assert path.read_text() == "linked"
    with pytest.raises(RunError, match="nothing was written"), atomic_path(path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.html", "out.html"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing/out.html", "existing directory"),
        ("file/out.html", "existing directory"),
        ("folder", "a directory is there"),
    ],
)
def test_places_that_cannot_hold_a_file(path, message, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=message), atomic_path(tmp_path / path) as temporary:
        temporary.write_text("")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_full_disk_and_devices(tmp_path):
    with pytest.raises(RunError, match="disk is full"), atomic_path(tmp_path / "out"):
        Path("/dev/full").write_text("x")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="a device is there"), atomic_path(Path("/dev/full")):
        pass


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_no_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="no permission"), atomic_path(tmp_path / "out"):
        pass
    tmp_path.chmod(0o700)


def browse(path: Path, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs headless Chromium on a file without a network."""
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--hide-scrollbars",
    ]
    flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    flags += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={profile}", *options]
    return subprocess.run([BROWSER, *flags, path.as_uri()], capture_output=True, text=True, timeout=120, check=True)


@pytest.fixture(scope="module")
def opened(scored, tmp_path_factory) -> tuple[str, str]:
    """The document after its script has run, and what the browser logged."""
    if BROWSER is None:
        pytest.skip("no Chromium")
    folder = tmp_path_factory.mktemp("browser")
    path = write_report(scored, select(scored, drop_hardest=0.05), folder / "report.html")
    result = browse(path, folder / "profile", "--dump-dom")
    return result.stdout, result.stderr


@needs_browser
def test_browser_decodes_every_picture(opened):
    text, log = opened
    root = Tags(text).of("html")[0]
    assert root["data-ready"] == "yes"
    assert root["data-broken"] == "0"
    assert int(root["data-pictures"]) == text.count('src="data:image/')
    for name in ("hardest", "easiest", "borderline", "dropped"):
        assert section(text, name).count('src="data:image/') >= 8
    assert "CONSOLE" not in log


@needs_browser
def test_browser_shows_the_curve_and_the_counts(opened, scored):
    text, _ = opened
    assert len(re.findall(r'class="line (?:dropped|kept|left)"', section(text, "curve"))) == 3
    rows = re.findall(r'<th scope="row"[^>]*>(.*?)</th><td>(\d+)</td>', section(text, "images"))
    counts = {name: int(count) for name, count in rows}
    assert len(counts) == 7  # six images and the total
    assert counts["All 6"] == len(scored) == sum(counts.values()) - len(scored)


@needs_browser
def test_browser_does_not_run_file_names(opened):
    text, log = opened
    tags = Tags(text)
    assert "<title>srfast report" in text
    assert all("onerror" not in image for image in tags.of("img"))
    assert len(tags.of("script")) == 2
    assert "Content Security Policy" not in log


@needs_browser
@pytest.mark.parametrize("scheme", ["0", "1"], ids=["dark", "light"])
def test_browser_draws_it(scored, scheme, tmp_path):
    path = write_report(scored, select(scored, drop_hardest=0.05), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    options = (
        f"--screenshot={shot}",
        "--window-size=1280,1400",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    browse(path, tmp_path / "profile", *options)
    with Image.open(shot) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[:2] == (1400, 1280)
    background = int(pixels[5, 5].max())
    assert background < 60 if scheme == "0" else background > 240
    # The three ranges of the curve are there: orange, blue and gray tints differ in which channel leads.
    red, blue = pixels[..., 0].astype(int), pixels[..., 2].astype(int)
    assert np.count_nonzero(blue - red > 20) > 50_000
    assert np.count_nonzero(red - blue > 20) > 5_000
