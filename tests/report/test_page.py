"""The report as a file: what its data say, and that they are those of the tables."""

import base64
import html
import io
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

import srfast
from srfast.coreset.selection import select
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.models.registry import WEIGHTS
from srfast.report.comparison_page import comparison
from srfast.report.pictures import Reconstruction
from srfast.report.scores import DROPPED, KEPT, LEFT_OUT, read_scores
from srfast.report.writing import write_report
from srfast.scoring.table import SCHEMA, ScoreTable

KINDS = {"u8": "u1", "u16": "<u2", "u32": "<u4", "i32": "<i4", "f32": "<f4"}


def read(path, name="data"):
    """The data or the pictures of a page."""
    text = path.read_text("utf-8")
    return json.loads(re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', text, re.DOTALL)[1])


def unpacked(values):
    return np.frombuffer(base64.b64decode(values["data"]), KINDS[values["kind"]])


@pytest.fixture(scope="module")
def report(painted, tmp_path_factory):
    coreset = select(painted, keep=0.5, drop_hardest=0.05)
    return write_report(painted, coreset, tmp_path_factory.mktemp("report") / "report.html")


def test_nothing_is_loaded_and_no_name_is_markup(report):
    text = report.read_text("utf-8")
    policy = html.unescape(text)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-" in policy
    assert text.count("<script") == 3
    assert "<img src=x" not in text
    assert "document.title=1" in text  # as escaped JSON
    assert not re.search(r'(src|href)="(?!#|data:)', text)
    for name in ("data", "pictures"):
        raw = re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1]
        assert not set("<>&") & set(raw)


def test_rows_and_curves_are_those_of_the_table(painted, report):
    explorer = read(report)["explorer"]
    assert explorer["patches"] == len(painted)
    assert explorer["whole"]
    rows = explorer["rows"]
    names = np.array(explorer["images"])
    assert (names[unpacked(rows["image"])] == painted["image"]).all()
    for name in ("loss", "bicubic", "sobel", "noise"):
        np.testing.assert_array_equal(unpacked(rows["values"][name]), painted[name].astype(np.float32))
    assert unpacked(rows["values"]["duplicate"]).tolist() == [float(v) for v in painted["duplicate"]]
    words = rows["words"]["light"]
    assert [words["words"][i] for i in unpacked(words["code"])] == painted["light"].tolist()
    # Missing values cannot be sorted by, so that noise is no method of this table.
    assert set(explorer["curves"]) == {"loss", "bicubic", "sobel", "reducible", "relative"}
    for name, curve in explorer["curves"].items():
        best = select(painted, keep=0.3, method=name)
        kept = unpacked(rows["ranks"][name]) < len(best)
        assert set(zip(painted["image"][kept], painted["x"][kept], painted["y"][kept], strict=True)) == set(
            zip(best["image"], best["x"], best["y"], strict=True)
        )
        at = unpacked(curve["at"])
        assert (at == np.arange(len(painted) + 1)).all()
        # float32 of a share.
        share = best["loss"].sum() / painted["loss"].sum()
        assert unpacked(curve["error"])[len(best)] == pytest.approx(share, rel=1e-6)
    held = explorer["given"]["held"]
    assert held["kept"]["patches"] == 50
    assert held["dropped"]["patches"] == 5
    assert (unpacked(rows["given"]) == KEPT).sum() == 50


def test_pictures_are_the_pixels_and_the_error_is_the_loss(painted, report):
    data, pictures = read(report), read(report, "pictures")
    network = Reconstruction.of(painted.meta)
    losses = dict(zip(zip(painted["image"], painted["x"], painted["y"], strict=True), painted["loss"], strict=True))
    assert len(data["shots"]) == len(pictures["shots"]) == len(painted)
    for shot, files in list(zip(data["shots"], pictures["shots"], strict=True))[::9]:
        image = read_rgb(Path(painted.meta["root"]) / shot["image"])
        x, y, size = shot["x"], shot["y"], shot["size"]
        decoded = {k: np.asarray(Image.open(_bytes(v))) for k, v in files.items()}
        np.testing.assert_array_equal(decoded["hr"], image[y : y + size, x : x + size])
        panels = network.panels(image, x, y, size)
        np.testing.assert_array_equal(decoded["sr"], panels.sr)
        assert decoded["lr"].shape == (size // 2, size // 2, 3)
        whole = srfast.imresize(image, 1 / 2)
        # The LR image is cropped, not made from the crop.
        np.testing.assert_array_equal(decoded["lr"], whole[y // 2 : (y + size) // 2, x // 2 : (x + size) // 2])
        # Engine and NumPy sum in another order: as far apart as backends may be.
        error = (panels.difference.astype(np.float64) ** 2).mean()
        assert error == pytest.approx(losses[shot["image"], x, y], rel=1e-4, abs=1e-3)


def _bytes(uri):
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_reconstruction_is_that_of_the_score(scale, mode, tmp_path):
    pixels = np.random.default_rng(scale).integers(0, 256, (75, 89, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    table = srfast.score(tmp_path, scale=scale, patch=24, stride=24, mode=mode, backend="native")
    network = Reconstruction.of(table.meta)
    for x, y, loss in zip(table["x"], table["y"], table["loss"], strict=True):
        difference = network.panels(pixels, int(x), int(y), 24).difference.astype(np.float64)
        assert (difference**2).mean() == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("model", ["srcnn", "fsrcnn", "edsr"])
@pytest.mark.parametrize("mode", ["patch", "dense"])
def test_a_network_from_a_file_is_shown_where_it_is_given(model, mode, tmp_path):
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    from srfast.models.registry import create

    options = {"edsr": {"blocks": 2, "features": 8}}.get(model, {})
    (tmp_path / "hr").mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (75, 89, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "hr" / "a.png")
    weights = tmp_path / "mine.safetensors"
    about = {"model": model, "scale": "2", "options": json.dumps(options)}
    save_file(create(model, 2, **options).state_dict(), weights, about)
    table = srfast.score(tmp_path / "hr", patch=24, stride=24, mode=mode, scorer=weights)
    assert Reconstruction.of(table.meta) is None
    network = Reconstruction.of(table.meta, weights)
    for x, y, loss in zip(table["x"], table["y"], table["loss"], strict=True):
        panels = network.panels(pixels, int(x), int(y), 24)
        assert panels.sr.shape == (24, 24, 3)
        # The same arithmetic in other sizes: convolutions of torch sum in another order.
        assert (panels.difference.astype(np.float64) ** 2).mean() == pytest.approx(loss, rel=1e-4)
    with pytest.raises(InputError, match=r"scorer: expected mine.safetensors, the network of the score table"):
        write_report(table, None, tmp_path / "r.html", scorer=WEIGHTS / "srcnn_x2.safetensors")
    shots = read(write_report(table, None, tmp_path / "r.html", scorer=weights), "pictures")["shots"]
    assert all({"hr", "lr", "sr", "error"} <= set(files) for files in shots)


def test_what_cannot_be_repeated_is_not_shown(painted):
    others = ({"name": "mine.onnx"}, {"name": "srcnn", "sha256": "0"})
    for change in (*({"scorer": scorer} for scorer in others), {"lr": "/lr"}, {"scale": 5}):
        assert Reconstruction.of({**painted.meta, **change}) is None


def test_status_of_each_patch(synthetic):
    loss = np.array([5.0, 1, 9, 3, 7, 2, 8, 4, 6, 0])
    table = synthetic(loss, images=5)
    scores = read_scores(table, select(table, keep=0.4, drop_hardest=0.1))
    expected = np.where(loss == 9, DROPPED, np.where(loss > 4, KEPT, LEFT_OUT))
    np.testing.assert_array_equal(scores.status, expected)
    assert scores.cut_by_loss
    assert scores.per_image["kept"].tolist() == [1, 0, 1, 1, 1]
    assert scores.per_image["mean"].tolist() == [3.0, 6.0, 4.5, 6.0, 3.0]


@pytest.mark.parametrize(
    "loss",
    [np.array([3.0]), np.full(7, 3.0), np.zeros(9), np.array([0.0, 1e-6, 5e4]), np.linspace(0, 9, 1000)],
    ids=["one", "equal", "zero", "wide", "thousand"],
)
def test_unusual_losses(loss, synthetic, tmp_path):
    table = synthetic(loss)
    for i, core in enumerate((None, select(table, keep=0.5), select(table, keep=1.0))):
        path = write_report(table, core, tmp_path / f"{i}.html")
        for curve in read(path)["explorer"]["curves"].values():
            assert np.isfinite(unpacked(curve["value"])).all()
            assert unpacked(curve["error"])[-1] == pytest.approx(1)


def test_missing_and_changed_images_are_said(painted, tmp_path):
    root = tmp_path / "moved"
    shutil.copytree(painted.meta["root"], root)
    (root / "plain.png").unlink()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(root / "cats/a 1.png")
    os.utime(root / "cats/café & co.png", ns=(1, 1))
    data = read(write_report(painted, None, tmp_path / "r.html", root=root))
    notes = {(shot["image"], shot.get("note")) for shot in data["shots"]}
    assert ("plain.png", "the image is no longer there") in notes
    assert ("cats/a 1.png", "the image has changed since scoring") in notes
    assert ("cats/café & co.png", None) in notes


def _named(table, name):
    return ScoreTable(table.table.set_column(0, SCHEMA.field("image"), pa.array([name] * len(table))), table.meta)


@pytest.mark.parametrize(
    ("table", "core", "message"),
    [
        (lambda t: t, 40, "20 of its 20 patches are not in the score table"),
        (lambda t: t.table, None, "without its metadata"),
        (lambda t: ScoreTable(t.table.slice(0, 0), t.meta), None, "at least one patch"),
        (lambda t: _named(t, "../secret.png"), None, "inside the root"),
        (lambda t: _named(t, "/etc/secret.png"), None, "inside the root"),
        (lambda t: _named(t, "a/../../secret.png"), None, "inside the root"),
        (None, None, "finite loss"),
    ],
)
def test_tables_that_make_no_page_are_refused(table, core, message, synthetic, tmp_path):
    given = table(synthetic(np.arange(10.0))) if table else synthetic(np.array([1.0, np.nan]))
    with pytest.raises(InputError, match=message):
        write_report(given, core and select(synthetic(np.arange(float(core))), keep=0.5), tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_large_tables_are_sampled(synthetic, tmp_path):
    n = 200_000
    loss = np.exp(np.random.default_rng(0).normal(3, 2, n))
    table = synthetic(loss, images=500)
    path = write_report(table, select(table, drop_hardest=0.05), tmp_path / "r.html")
    assert path.stat().st_size < 8_000_000
    explorer = read(path)["explorer"]
    assert not explorer["whole"]
    ranks = np.sort(unpacked(explorer["rows"]["ranks"]["loss"]))
    # One of each of as many stretches of the order: no two neighbours are further apart than two stretches.
    assert np.diff(ranks).max() <= 2 * n / len(ranks) + 1
    curve = explorer["curves"]["loss"]
    at = unpacked(curve["at"]).tolist()
    best = np.sort(table["loss"].astype(np.float64))[::-1]
    for keep in (0.001, 0.1, 0.333, 0.5, 1.0):
        count = int(keep * n + 0.5)
        assert unpacked(curve["error"])[at.index(count)] == pytest.approx(best[:count].sum() / best.sum(), rel=1e-6)
    # A map has all patches of its image.
    mapped = unpacked(explorer["mapped"]["image"])
    assert set(np.bincount(mapped)[np.unique(mapped)]) == {400}


def test_command(painted, report, tmp_path, run, refused):
    painted.write(tmp_path / "scores.parquet")
    select(painted, keep=0.5, drop_hardest=0.05).write(tmp_path / "coreset.parquet")
    arguments = [str(tmp_path / "scores.parquet"), "--coreset", str(tmp_path / "coreset.parquet")]
    assert run("report", *arguments, "-o", tmp_path / "a.html")[:2] == (0, f"{tmp_path / 'a.html'}\n")
    assert read(tmp_path / "a.html")["explorer"]["source"] == [str(tmp_path / "scores.parquet")]
    assert read(tmp_path / "a.html")["checksum"] == read(report)["checksum"]
    before = report.read_bytes()
    write_report(painted, select(painted, keep=0.5, drop_hardest=0.05), report)
    assert report.read_bytes() == before
    scores = (tmp_path / "scores.parquet").read_bytes()
    refused(r"scores\.parquet: ", write_report, painted, None, tmp_path / "scores.parquet")
    assert (tmp_path / "scores.parquet").read_bytes() == scores


def test_what_only_one_selection_keeps(painted, visit, tmp_path, run):
    cores = {"hard": select(painted, keep=0.3), "easy": select(painted, keep=0.4, method="sobel", order="asc")}
    for name, core in cores.items():
        core.write(tmp_path / f"{name}.parquet")
    assert run("report", *(tmp_path / f"{name}.parquet" for name in cores), "-o", tmp_path / "c.html")[0] == 0
    a, b = ({(r["image"], r["x"], r["y"]) for r in core.table.to_pylist()} for core in cores.values())
    page = visit(tmp_path / "c.html")
    parts = {"only-a": ("Only hard", a - b), "only-b": ("Only easy", b - a), "both": ("Both", a & b)}
    for id, (title, expected) in parts.items():
        part = page.locator(f"#{id}")
        assert part.locator("h3").inner_text().startswith(f"{title}: {len(expected)} ")
        names = part.locator(".name").all_inner_texts()
        places = part.locator("figcaption > span:last-child").all_inner_texts()
        shown = {(n, *(int(v.split()[1]) for v in p.split(", "))) for n, p in zip(names, places, strict=True)}
        assert shown <= expected
        assert len(shown) == min(32, len(expected))
    assert f"{len(a & b) / len(a | b):.3f}" in page.locator(".facts").inner_text()


def test_two_scorers_and_strangers(painted, refused):
    other = painted.table.set_column(4, painted.table.schema.field("loss"), painted.table["sobel"])
    scored = ScoreTable(other, {**painted.meta, "scorer": {"name": "other", "sha256": "0"}})
    content = comparison(painted, scored, ["a", "b"])
    assert [fact.value for fact in content.facts[:2]] == ["50", "50"]
    assert set(content.shots[0].values) == {"a", "b"}
    for wrong, message in (
        (select(painted), "two core-sets or two score tables, got one of each"),
        (ScoreTable(painted.table.slice(0, 50), painted.meta), "expected the 100 patches of a, got other patches"),
        (ScoreTable(painted.table, {**painted.meta, "scale": 3}), "scale differs"),
    ):
        refused(message, comparison, painted, wrong, ["a", "b"])


def test_a_file_that_cannot_be_read_is_not_taken_for_another_kind(make_table, tmp_path, monkeypatch, refused):
    from srfast.cli.report import _two_of_one
    from srfast.data import parquet

    table = make_table([3.0, 2.0, 1.0])
    paths = tuple(tmp_path / f"{name}.parquet" for name in "ab")
    for path, keep in zip(paths, (0.4, 0.7), strict=True):
        select(table, keep=keep).write(path)
    assert _two_of_one(paths)

    def fails(*_, **__):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(parquet.pq, "ParquetFile", fails)
    refused(r"a\.parquet: not a readable parquet file", _two_of_one, paths)
