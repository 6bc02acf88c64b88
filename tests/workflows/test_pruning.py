"""The decision on a pool, and ``srfast prune``, which follows it."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

import srfast
from srfast.coreset.rejects import marked
from srfast.errors import InputError
from srfast.report.report import KNOWN, kind
from srfast.scoring.table import ScoreTable
from srfast.workflows.recommendation import FEW, KEEP_LOSS, Statistics, decide, statistics
from srfast.workflows.verdicts import judge, write_lists

OPTIONS = {"patch": 48, "scorer": "bicubic"}


def ratio(loss):
    advised = decide(Statistics(1, True, loss=np.asarray(loss, np.float32)), {})
    return advised.ratio.sentence, advised.selection


def test_the_ratio_is_where_the_hardest_hold_the_share_of_the_error():
    loss = np.random.default_rng(0).lognormal(0, 2, 5000).astype(np.float32)
    sentence, selection = ratio(loss)
    ordered = sorted(loss.tolist(), reverse=True)
    total, kept = math.fsum(ordered), 0
    while math.fsum(ordered[:kept]) < KEEP_LOSS * total:
        kept += 1
    assert selection == {"keep_loss": KEEP_LOSS}
    assert f"{kept:,} of 5,000 are kept" in sentence


@pytest.mark.parametrize(
    ("loss", "said", "selection"),
    [
        ([1.0] * FEW, "too few to choose from: all are kept", {"keep": 1.0}),
        ([0.0] * 100, "makes no error on any: all are kept", {"keep": 1.0}),
        ([1e6] + [1e-3] * 999, f"The hardest 1 patch hold {100 * KEEP_LOSS:g} % of the error; {FEW} of 1,000", None),
    ],
)
def test_pools_with_nothing_to_choose(loss, said, selection):
    sentence, setting = ratio(loss)
    assert said in sentence
    assert setting == (selection or {"keep": FEW / len(loss)})


def test_every_image_counts_for_one_reason(make_table, refused):
    table = make_table(list(range(12)), ["a"] * 4 + ["b"] * 4 + ["c"] * 4)
    noise, jpeg = np.zeros(12, bool), np.zeros(12, bool)
    noise[:4], jpeg[2:4], jpeg[5] = True, True, True
    pool = statistics(table, {"noise": noise, "jpeg": jpeg}, True)
    assert (pool.images, pool.out, pool.patches_out, pool.taken) == (3, {"noise": 1}, 1, {"1": 2})
    assert sorted(pool.loss.tolist()) == [4, 6, 7, 8, 9, 10, 11]
    # Limits that leave nothing are not followed; copies and test images stay out.
    every = statistics(table, {"noise": np.ones(12, bool), "leak": noise}, True)
    assert every.overruled == {"noise": 3}
    assert (every.out, len(every.loss)) == ({"leak": 1}, 8)
    refused(r"nothing is left of 3 \(3 of the test sets\)", statistics, table, {"leak": np.ones(12, bool)}, True)


@pytest.fixture(scope="module")
def pool(photographs, tmp_path_factory):
    """Sharp photographs, one enlarged, one noisy, and a mirrored copy."""
    folder = tmp_path_factory.mktemp("pool") / "photos"
    folder.mkdir()
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(photographs[name]).reduce(2).save(folder / f"{name}.png")
    coffee = Image.open(folder / "coffee.png")
    coffee.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "a-copy.jpg", quality=90)
    small = Image.open(folder / "astronaut.png")
    small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC).save(folder / "astronaut.png")
    noisy = np.asarray(Image.open(folder / "chelsea.png"), np.float64)
    noisy += np.random.default_rng(0).normal(0, 60, noisy.shape)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / "chelsea.png")
    return folder


def test_prune_decides_and_follows(pool, tmp_path):
    done = srfast.prune(pool, tmp_path / "out", **OPTIONS)
    assert done.decision.left_out.figures["reasons"] == {"noise": 1, "duplicate": 1}
    assert done.decision.sizes.figures["taken_smaller"] == 1
    kept = set(done.coreset["image"])
    assert kept == {"astronaut.png", "coffee.png", "rocket.png"}
    assert done.coreset.meta["selection"]["shares"]["loss"] >= KEEP_LOSS
    assert done.coreset.meta["selection"]["kept"] == done.decision.ratio.figures["kept"]
    table = ScoreTable.read(tmp_path / "out" / "scores.parquet")
    assert set(table["image"]) == {p.name for p in pool.iterdir()}, "what is left out is scored"
    assert float(table.column("shrink")[table.column("image") == "astronaut.png"].max()) < 1
    again = srfast.select(table, **{**done.decision.selection, "reject": done.rejects})
    assert again.table.equals(done.coreset.table)
    # Without the copy, which takes a look at the files, the table says the same.
    advised = srfast.recommend(table)
    assert advised.left_out.figures["reasons"] == {"noise": 1}
    assert srfast.select(table, **advised.selection).meta["selection"]["shares"]["loss"] >= KEEP_LOSS


def test_a_patch_is_listed_at_its_size_alone(pool, tmp_path):
    table = srfast.score(pool, mode="dense", defects=True, shrink="auto", **OPTIONS)
    rows = table.table.to_pylist()
    place = {(r["image"], r["x"], r["y"]): i for i, r in enumerate(rows) if r["shrink"] == 0.5}
    row = next(i for i, r in enumerate(rows) if r["shrink"] == 0.75 and (r["image"], r["x"], r["y"]) in place)
    verdicts = judge(table)
    verdict = verdicts[rows[row]["image"]]
    for one in verdicts.values():
        one.verdict, one.out, one.patches, one.size = "keep", {}, {}, "1"
    verdict.patches = {"overlay": [row]}
    listed = write_lists(tmp_path, verdicts, table)
    assert np.flatnonzero(marked(table, False, listed)["overlay"]).tolist() == [row]


def test_what_is_given_overrides_its_part(pool, tmp_path, refused):
    out = tmp_path / "out"
    half = srfast.prune(pool, out, keep=0.5, **OPTIONS)
    table = ScoreTable.read(out / "scores.parquet")
    assert len(half.coreset) == int(0.5 * half.coreset.meta["selection"]["passing"] + 0.5)
    everything = srfast.prune(pool, out, clean=False, keep=1.0, **OPTIONS)
    assert len(everything.coreset) == len(table)
    whole = srfast.prune(pool, tmp_path / "whole", shrink="1", mode="patch", stride=48, **OPTIONS)
    assert ScoreTable.read(tmp_path / "whole" / "scores.parquet").meta["mode"] == "patch"
    assert "astronaut.png" not in set(whole.coreset["image"]), "an enlarged image at full size is left out"
    drawn = srfast.prune(pool, out, method="stratified", **OPTIONS)
    assert abs(len(drawn.coreset) - drawn.decision.ratio.figures["kept"]) <= 1
    refused("quick: ranks by bicubic error, got scorer", srfast.prune, pool, out, quick=True, **OPTIONS)


def test_a_person_asks_back_what_was_left_out(pool, tmp_path):
    out = tmp_path / "out"
    first = srfast.prune(pool, out, **OPTIONS)
    listed = out / "rejects.csv"
    lines = listed.read_text().splitlines()
    assert any(line.startswith("chelsea.png,,,,noise") for line in lines)
    listed.write_text("\n".join(line for line in lines if not line.startswith("chelsea.png,,,,")) + "\n")
    scores = (out / "scores.parquet").stat()
    again = srfast.prune(pool, out, **OPTIONS)
    assert again.rejects == listed
    assert "chelsea.png" in set(again.coreset["image"])
    assert "a-copy.jpg" not in set(again.coreset["image"])
    assert any("left out, 1 are now" in line for line in again.changed)
    assert first.changed == []
    assert (out / "rejects.new.csv").exists()
    assert (out / "scores.parquet").stat().st_size == scores.st_size


def test_added_photographs_reuse_scores(pool, photographs, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for path in pool.iterdir():
        (photos / path.name).symlink_to(path)
    srfast.prune(photos, out, **OPTIONS)
    before = ScoreTable.read(out / "scores.parquet")
    Image.fromarray(photographs["coffee"][:200, :200]).save(photos / "z.png")
    seen = []
    done = srfast.prune(photos, out, progress=lambda images, of, patches: seen.append(patches), **OPTIONS)
    table = ScoreTable.read(out / "scores.parquet")
    added = int((table["image"] == "z.png").sum())
    assert max(seen) == added
    assert table.table.slice(0, len(before)).equals(before.table)
    assert done.changed[0] == "1 images are new and 0 are gone; other scores were used again."


def test_pools_of_few_soft_or_rejected_images(pool, tmp_path):
    tiny, soft = tmp_path / "tiny.png", tmp_path / "soft.png"
    Image.open(pool / "coffee.png").crop((0, 0, 80, 80)).save(tiny)
    one = srfast.prune(tiny, tmp_path / "one", **OPTIONS)
    assert "too few to choose from" in one.decision.ratio.sentence
    assert len(one.coreset) == one.summary.patches
    two = srfast.prune([pool / "rocket.png", pool / "coffee.png"], tmp_path / "two", **OPTIONS)
    assert 0 < len(two.coreset) < two.summary.patches
    # Images that are larger than their detail are scored at smaller sizes alone.
    image = Image.open(pool / "coffee.png").resize((900, 600), Image.Resampling.BICUBIC)
    image.filter(ImageFilter.GaussianBlur(1)).save(soft)
    done = srfast.prune(soft, tmp_path / "out", **OPTIONS)
    assert done.summary.patches < len(srfast.score(soft, mode="dense", stride=24, **OPTIONS))
    rejected = srfast.prune(pool / "chelsea.png", tmp_path / "rejected", **OPTIONS)
    assert "would leave out every image (1 noisy)" in rejected.decision.left_out.sentence
    assert len(rejected.coreset)
    with pytest.raises(InputError, match=r"nothing is left of 1 \(1 of the test sets\)"):
        srfast.prune(pool / "coffee.png", tmp_path / "leak", against=[pool / "a-copy.jpg"], **OPTIONS)


@pytest.mark.parametrize("trainer", ["redux", "neosr"])
def test_a_whole_configuration_for_a_trainer(trainer, pool, tmp_path):
    done = srfast.prune(pool, tmp_path / "out é", trainer=trainer, **OPTIONS)
    reader, name = {"redux": ("yaml", "safe_load"), "neosr": ("tomllib", "loads")}[trainer]
    read = getattr(pytest.importorskip(reader, reason=f"{reader} is missing"), name)
    pairs, on_the_fly = (read(path.read_text(encoding="utf-8")) for path in done.configurations)
    train = pairs["datasets"]["train"]
    assert (pairs["scale"], train.get("lq_size", train.get("patch_size"))) == (2, 24)
    folders = [Path(train[key]) for key in ("dataroot_gt", "dataroot_lq")]
    assert [len(list(folder.iterdir())) for folder in folders] == [len(done.coreset)] * 2
    assert "dataroot_lq" not in on_the_fly["datasets"]["train"]
    assert {"network_g", "path", "train", "logger"} <= pairs.keys() & on_the_fly.keys()
    assert "<" not in done.configurations[1].read_text(encoding="utf-8")
    # The same again changes nothing.
    assert srfast.prune(pool, tmp_path / "out é", trainer=trainer, **OPTIONS).export == done.export


def test_the_decision_heads_the_page(photographs, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    noisy = photographs["coffee"][:200, :300] + np.random.default_rng(0).normal(0, 70, (200, 300, 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / "noisy.png")
    Image.fromarray(photographs["astronaut"][:300, :300]).save(folder / "a<b>.png")
    done = srfast.prune(folder, tmp_path / "out", patch=48, scorer="bicubic")
    text = done.report.read_text()
    section = text[text.index('<section id="decision">') : text.index('<section id="curve">')]
    for sentence in done.decision.sentences:
        assert sentence in section
    assert "noisy.png: noisy" in section
    assert "a<b>" not in section
    assert section.count('<img src="data:image/') >= 5
    listed = json.dumps(str(tmp_path / "out" / "rejects.csv"))
    assert f'"--reject",{listed}' in text
    # What a core-set's metadata hold may be anything.
    table = srfast.ScoreTable.read(tmp_path / "out" / "scores.parquet")
    for decision in ("x", {"left_out": 1}, {n: {"sentence": "s", "figures": {"examples": [[3], ["x", 1]]}} for n in
                     ("left_out", "sizes", "ratio")}):  # fmt: skip
        done.coreset.meta["decision"] = decision
        page = srfast.write_report(table, done.coreset, tmp_path / "page.html")
        assert ('<section id="decision">' in page.read_text()) == (not isinstance(decision, str) and len(decision) == 3)


def test_what_is_said_of_pools_like_this_one_is_in_the_results():
    docs = Path(__file__).resolve().parents[2] / "docs"
    if not docs.is_dir():
        pytest.skip("the documentation is not in this tree")
    pages = [docs.parent / "README.md", *docs.glob("*.md"), *docs.glob("results/*.md")]
    results = "".join(p.read_text(encoding="utf-8") for p in pages)
    numbers = set(re.findall(r"[-+]?\d+\.\d+", results))
    for sentence in KNOWN.values():
        low, high = re.findall(r"\[(-?[\d.]+), ([\d.]+)\]", sentence)[0]
        supported = [n for n in numbers if f"{float(n):.2f}" in (low, high)]
        assert {f"{float(n):.2f}" for n in supported} >= {low, high}, sentence


@pytest.mark.parametrize(
    ("pool", "images", "left_out", "smaller", "patches", "expected"),
    [  # what `srfast stats` says of the studied pools
        ("wild", 132, 9, 55, 142_686, "large"),
        ("dirty-wild-60", 400, 20, 209, 9_656, "degraded"),
        ("found", 505, 65, 113, 35_506, "collected"),
        ("pictures", 348, 76, 91, 37_092, "collected"),
        ("manuals", 420, 83, 70, 25_370, "collected"),
        ("BSDS400", 400, 0, 2, 16_688, "sharp"),
        ("of large, sharp images", 800, 3, 10, 1_600_000, ""),
    ],
)
def test_a_studied_pool_is_of_its_own_kind(pool, images, left_out, smaller, patches, expected):
    assert kind({"images": images, "left_out": left_out}, {"taken_smaller": smaller}, {"patches": patches}) == expected
