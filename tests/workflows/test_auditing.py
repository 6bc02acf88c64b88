"""``srfast audit``: a verdict on every image of a mixed folder, its lists and its page."""

import csv
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
import skimage.data
from PIL import Image, ImageFilter

import srfast
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable
from srfast.workflows import auditing, verdicts
from srfast.workflows.auditing import audit


def photo(name):
    """Reduced, so that no trace of an earlier compression stands on the grid."""
    return Image.fromarray(getattr(skimage.data, name)()[..., :3]).reduce(2).crop((0, 0, 200, 150))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Clean photographs, spoilt ones, a mirrored copy, a file that is no image, and a small one."""
    folder = tmp_path_factory.mktemp("mixed") / "pool"
    (folder / "sub").mkdir(parents=True)
    for name in ("coffee", "chelsea", "astronaut"):
        photo(name).save(folder / f"{name}.png")
    photo("coffee").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "a-copy.jpg", quality=90)
    rng = np.random.default_rng(0)
    noisy = np.asarray(photo("rocket"), np.float64) + rng.normal(0, 20, (150, 200, 3))
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / "noisy.png")
    photo("cat").filter(ImageFilter.GaussianBlur(3)).save(folder / "sub" / "blurred.png")
    small = photo("immunohistochemistry").reduce(3)
    small.resize((200, 150), Image.Resampling.BICUBIC).save(folder / "enlarged.png")
    photo("retina").save(folder / "squeezed.jpg", quality=20)
    (folder / "broken.png").write_bytes(b"no image")
    photo("coffee").crop((0, 0, 60, 60)).save(folder / "tiny.png")
    return folder


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_verdicts(mixed, tmp_path):
    before = {p: p.read_bytes() for p in mixed.rglob("*") if p.is_file()}
    done = audit(mixed, tmp_path / "out")
    assert {p: p.read_bytes() for p in mixed.rglob("*") if p.is_file()} == before
    rows = {r["image"]: r for r in rows_of(tmp_path / "out" / "images.csv")}
    assert list(rows) == sorted(p.relative_to(mixed).as_posix() for p in before)
    reasons = {name: set(filter(None, row["reasons"].split(";"))) for name, row in rows.items()}
    assert reasons["coffee.png"] == reasons["chelsea.png"] == reasons["astronaut.png"] == set()
    assert "duplicate" in reasons["a-copy.jpg"]
    assert rows["a-copy.jpg"]["keep_instead"] == "coffee.png"
    assert "noise" in reasons["noisy.png"]
    assert {"blur", "upscaled"} & reasons["sub/blurred.png"]
    assert "upscaled" in reasons["enlarged.png"]
    assert "jpeg" in reasons["squeezed.jpg"]
    assert abs(float(rows["squeezed.jpg"]["jpeg"]) - 20) <= 1
    assert reasons["tiny.png"] == {"small"}
    assert rows["broken.png"]["verdict"] == "unreadable"
    assert {rows[n]["verdict"] for n in ("coffee.png", "chelsea.png")} == {"keep"}
    listed = {r["image"] for r in rows_of(done.rejects) if not r["x"]}
    assert listed == {name for name, row in rows.items() if row["verdict"] != "keep"}
    page = (tmp_path / "out" / "audit.html").read_text()
    assert '<meta name="generator" content="srfast audit ' in page
    assert "squeezed.jpg" in page

    table = srfast.score(mixed, skip_bad=True, scorer="bicubic", mode="dense")
    kept = srfast.select(table, keep=1.0, reject=done.rejects)
    assert set(kept["image"]) == {name for name, row in rows.items() if row["verdict"] == "keep"}


def test_a_list_that_was_edited_stays(mixed, tmp_path):
    first = audit(mixed / "coffee.png", tmp_path / "out")
    assert audit(mixed / "coffee.png", tmp_path / "out").rejects == first.rejects
    first.rejects.write_text("image,x,y,size,reason\ncoffee.png,,,,mine\n")
    again = audit(mixed / "coffee.png", tmp_path / "out")
    assert again.rejects.name == "rejects.new.csv"
    assert "mine" in first.rejects.read_text()
    assert audit(mixed / "coffee.png", tmp_path / "out").rejects == again.rejects
    again.rejects.write_text("image,x,y,size,reason\ncoffee.png,,,,mine too\n")
    assert audit(mixed / "coffee.png", tmp_path / "out").rejects.name == "rejects.new-2.csv"
    assert "mine too" in again.rejects.read_text()


@pytest.mark.parametrize("name", ["images.csv", "rejects.csv"])
def test_a_list_that_comes_meanwhile_stays(name, mixed, tmp_path, monkeypatch, refused):
    out, door = tmp_path / "out", verdicts.atomic_path

    def judge(table, real=auditing.judge):
        (out / name).write_text("mine")
        return real(table)

    def late(path, *args, **options):
        if path.name == name:
            path.write_text("mine")
        return door(path, *args, **options)

    if name == "images.csv":
        monkeypatch.setattr(auditing, "judge", judge)
    else:
        monkeypatch.setattr(verdicts, "atomic_path", late)
    refused(f"{name}: (exists and was not written by srfast|has come)", audit, mixed / "coffee.png", out)
    assert (out / name).read_text() == "mine"


def test_a_table_without_columns_is_looked_at_again(mixed, tmp_path):
    srfast.score(mixed / "sub", output=tmp_path / "s.parquet", scorer="bicubic")
    done = audit(tmp_path / "s.parquet", tmp_path / "out")
    assert [v.image for v in done.verdicts] == ["blurred.png"]
    assert done.verdicts[0].verdict == "reject"
    srfast.score(mixed, output=tmp_path / "d.parquet", scorer="bicubic", defects=True, skip_bad=True)
    with_columns = audit(tmp_path / "d.parquet", tmp_path / "more")
    assert {v.image: v.verdict for v in with_columns.verdicts}["noisy.png"] == "reject"


@pytest.fixture
def scored(mixed, tmp_path):
    """A table of two images of a folder beside it, with the columns of defects."""
    (tmp_path / "pool").mkdir()
    for name in ("coffee.png", "noisy.png"):
        shutil.copy(mixed / name, tmp_path / "pool")
    srfast.score(tmp_path / "pool", output=tmp_path / "s.parquet", scorer="bicubic", defects=True)
    return tmp_path / "s.parquet"


def test_images_that_have_changed_since_are_not_judged(scored, tmp_path, refused):
    image = tmp_path / "pool" / "noisy.png"
    photo("chelsea").save(image)
    refused(r"noisy\.png: has changed since it was scored; score it again$", audit, scored, tmp_path / "out")
    image.unlink()
    refused(r"noisy\.png: is missing since it was scored; score the images again$", audit, scored, tmp_path / "out")


def test_joined_columns_are_shown(mixed, tmp_path):
    """Of a rejected image its patches' mean; an infinite value, which JSON lacks, as none."""
    scores = srfast.score(mixed, scorer="bicubic", defects=True, skip_bad=True)
    influence = np.linspace(-1e-5, 1e-5, len(scores)).astype(np.float32)
    joined = scores.table.append_column("influence", pa.array(influence))
    joined = joined.append_column("mine", pa.array(np.full(len(scores), -np.inf)))
    ScoreTable(joined, scores.meta).write(tmp_path / "s.parquet")
    audit(tmp_path / "s.parquet", tmp_path / "out")
    text = (tmp_path / "out" / "audit.html").read_text(encoding="utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert data["columns"]["influence"]["label"] == "influence"
    shot = next(s for s in data["shots"] if s["image"] == "noisy.png" and "x" not in s)
    mean = influence[scores["image"] == "noisy.png"].mean()
    assert shot["values"]["influence"] == pytest.approx(float(mean), rel=1e-3)
    assert {s["values"].get("mine") for s in data["shots"]} == {None}


def test_tables_that_are_none_or_have_their_own_settings(scored, mixed, tmp_path, refused):
    for name, value in {"patch": 48, "stride": 48, "scale": 3, "scorer": "srcnn", "lr_images": tmp_path}.items():
        with pytest.raises(InputError, match=f"^{name}: a score table has its own; leave it out, or name the images"):
            audit(scored, tmp_path / "out", **{name: value})
    srfast.score(mixed / "sub", output=tmp_path / "bare.parquet", scorer="bicubic")
    refused(r"^patch: a score table has its own", audit, tmp_path / "bare.parquet", tmp_path / "out", patch=48)
    srfast.select(scored).write(tmp_path / "c.parquet")
    refused(r"c\.parquet: expected a score table, got a core-set", audit, tmp_path / "c.parquet", tmp_path / "out")
    with pytest.raises(InputError, match=r"coffee\.png: expected no images beside a score table \(.*s\.parquet\)"):
        audit([scored, mixed / "coffee.png"], tmp_path / "out")
    # Shards are one table.
    shards = [tmp_path / f"{i}.parquet" for i in range(2)]
    for i, path in enumerate(shards):
        srfast.score([mixed / "sub", mixed / "noisy.png"], output=path, scorer="bicubic", defects=True, shard=(i, 2))
    done = audit(shards, tmp_path / "out")
    assert {v.image for v in done.verdicts} == {"noisy.png", "sub/blurred.png"}


def test_against_test_images(mixed, tmp_path):
    (tmp_path / "test").mkdir()
    photo("chelsea").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "test" / "t.png")
    done = audit([mixed / "chelsea.png", mixed / "coffee.png"], tmp_path / "out", against=[tmp_path / "test"])
    assert [(v.image, v.reasons) for v in done.verdicts] == [("chelsea.png", ["leak"]), ("coffee.png", [])]


def test_images_are_judged_at_their_own_size(mixed, tmp_path, refused):
    refused("shrink: audit judges images as they are", audit, mixed, tmp_path / "a", shrink="1,1/2")
    srfast.score(mixed, scorer="bicubic", patch=48, shrink="1,1/2", skip_bad=True, output=tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"s\.parquet: expected images at their own size, got scores of several"):
        audit(tmp_path / "s.parquet", tmp_path / "b")


def test_a_picture_that_cannot_be_read_again_is_said(mixed, tmp_path, monkeypatch, caplog):
    from srfast.report import verdict_page

    def fails(path):
        raise InputError(f"{path}: Input/output error")

    monkeypatch.setattr(verdict_page, "read_rgb", fails)
    audit(mixed / "noisy.png", tmp_path / "out")
    assert "pictures cannot be shown of 1 images: " in caplog.text


def test_a_soft_image_is_taken_smaller(tmp_path):
    """An enlarged image and a blurred one that hold patches at a size where they are not soft."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(skimage.data.astronaut()).reduce(2).save(folder / "sharp.png")
    small = Image.fromarray(skimage.data.coffee()).reduce(2)
    small.resize((2 * small.width, 2 * small.height), Image.Resampling.BICUBIC).save(folder / "enlarged.png")
    Image.fromarray(skimage.data.chelsea()).filter(ImageFilter.GaussianBlur(12)).save(folder / "blurred.png")
    done = audit(folder, tmp_path / "out", patch=64)
    of_image = {v.image: (v.verdict, v.size) for v in done.verdicts}
    size = of_image["enlarged.png"][1]
    assert size in ("3/4", "1/2")  # at 3/4 it is still enlarged, by less than the limit
    assert of_image == {"sharp.png": ("keep", "1"), "enlarged.png": ("shrink", size), "blurred.png": ("reject", "1")}
    listed = {r["image"]: r["reason"] for r in rows_of(done.rejects) if not r["x"]}
    assert listed["enlarged.png"] == f"shrink to {size}"
    rows = {r["image"]: r for r in rows_of(done.folder / "images.csv")}
    assert (rows["enlarged.png"]["verdict"], rows["enlarged.png"]["size"]) == ("shrink", size)
    # Scored at the sizes that the same rule chooses, and judged there, the images get the same verdicts.
    table = srfast.score(folder, patch=64, mode="dense", scorer="bicubic", defects=True, shrink="auto")
    judged = verdicts.judge(table)
    assert {name: v.verdict for name, v in judged.items()} == {name: v for name, (v, _) in of_image.items()}
    assert judged["enlarged.png"].size == size


def test_a_list_that_shrinks_leaves_out_larger_sizes_alone(photographs, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(photographs[name][:256, :256]).save(folder / f"{name}.png")
    listed = tmp_path / "rejects.csv"
    listed.write_text("image,x,y,size,reason\nastronaut.png,,,,shrink to 1/2\n")
    table = srfast.score(folder, patch=64, scorer="bicubic", shrink="1,3/4,1/2,1/3")
    kept = srfast.select(table, keep=1.0, sizes="all", reject=listed)
    sizes = {name: set(kept["shrink"][kept["image"] == name].tolist()) for name in ("astronaut.png", "coffee.png")}
    assert sizes["coffee.png"] == {1.0, 0.75, 0.5, float(np.float32(1 / 3))}
    assert sizes["astronaut.png"] == {0.5, float(np.float32(1 / 3))}
    whole = srfast.score(folder, patch=64, scorer="bicubic")
    assert set(srfast.select(whole, keep=1.0, reject=listed)["image"]) == {"coffee.png"}
