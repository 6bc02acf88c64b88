"""A core-set made again from copies of its images: what is found, and what each wrong image is called."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

import srfast
from srfast.coreset import source_search
from srfast.coreset.rebuilding import ImagesMismatch
from srfast.data.images import read_rgb

SHARED = Path(__file__).resolve().parents[3]
MANIFESTS = Path(__file__).resolve().parents[2] / "studies" / "manifests"


@pytest.fixture
def coreset(photo_folder):
    scores = srfast.score(photo_folder, patch=48, stride=24, mode="dense", scorer="bicubic", shrink="1,1/2")
    return srfast.select(scores, keep=0.8)


@pytest.fixture
def published(coreset, tmp_path):
    srfast.manifest(coreset, tmp_path / "m")
    return tmp_path / "m"


def packed(path, to, **options):
    to.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(read_rgb(path)).save(to, **options)


def test_renamed_repacked_and_scattered_images_give_the_same_core_set(coreset, published, photo_folder, tmp_path):
    shutil.copy(photo_folder / "sub/rocket.png", (tmp_path / "one").mkdir() or tmp_path / "one/zzz.dat.png")
    packed(photo_folder / "chelsea.jpg", tmp_path / "one/deep/astronaut.png")  # the name of another image
    packed(photo_folder / "astronaut.png", tmp_path / "two/1.bmp")
    shutil.move(photo_folder / "sub/café au lait.png", tmp_path / "elsewhere.png")
    (tmp_path / "two/behind a link.png").symlink_to(tmp_path / "elsewhere.png")
    Image.fromarray(np.zeros((96, 96, 3), np.uint8)).save(tmp_path / "two/black.png")
    (tmp_path / "two/broken.jpg").write_bytes(b"no image")
    made = srfast.rebuild(published, [tmp_path / "one", tmp_path / "two"], output=tmp_path / "r.parquet")
    assert (made.images, made.patches, made.problems) == (4, len(coreset), ())
    again = srfast.CoreSet.read(tmp_path / "r.parquet")
    renamed = {
        "sub/rocket.png": "one/zzz.dat.png",
        "chelsea.jpg": "one/deep/astronaut.png",
        "astronaut.png": "two/1.bmp",
        "sub/café au lait.png": "two/behind a link.png",
    }
    assert again["image"].tolist() == [renamed[name] for name in coreset["image"]]
    for column in ("x", "y", "size", "shrink", "rank", "loss", "bicubic", "sobel"):
        np.testing.assert_array_equal(again[column], coreset[column], err_msg=column)
    assert again.meta["root"] == str(tmp_path)
    assert again.meta["selection"] == coreset.meta["selection"]
    assert again.meta["rebuilt"] == {"manifest": made.root, "partial": False, "problems": []}
    shutil.copy(tmp_path / "elsewhere.png", photo_folder / "sub/café au lait.png")
    for one, two in zip(srfast.CorePatches(again, 2), srfast.CorePatches(coreset, 2), strict=True):
        for mine, theirs in zip(one, two, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    srfast.export(tmp_path / "r.parquet", tmp_path / "pairs", check=True)


def saved(change, **options):
    return lambda path: change(Image.fromarray(read_rgb(path))).save(path, **options)


def recompressed(path):
    packed(path, path.with_suffix(".jpg"), quality=80)
    path.unlink()


WRONG = {
    "missing": (Path.unlink, "missing", r"is missing: no file has its pixels \(195 x 130\) or its name"),
    "turned": (
        saved(lambda i: i.transpose(Image.Transpose.ROTATE_270)),
        "orientation",
        "is the image turned by 90 deg",
    ),
    "mirrored": (saved(ImageOps.mirror), "orientation", "astronaut.png is the image mirrored"),
    "recompressed": (recompressed, "pixels", r"astronaut.jpg has other pixels \(recompressed or edited\)"),
    "resized": (saved(lambda i: i.resize((97, 65))), "size", r"is 97 x 65, expected 195 x 130 \(resized\)"),
    "cropped": (
        saved(lambda i: i.crop((0, 0, 195, 110))),
        "size",
        r"is 195 x 110, expected 195 x 130 \(cropped, padded",
    ),
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-900]), "unreadable", r"astronaut.png cannot be read \("),
    "no image": (lambda p: p.write_text("<html>404</html>"), "unreadable", "cannot be read .not an image in a known"),
    "edited": (saved(ImageOps.invert, compress_level=0), "pixels", "other pixels .edited at the same size in bytes"),
    "grey": (saved(lambda i: i.convert("L")), "pixels", r"astronaut.png has other pixels \(recompressed or edited\)"),
    "twice": (
        lambda p: shutil.copy(p, p.with_name("copy.png")),
        "twice",
        "twice: astronaut.png and copy.png; leave one",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_each_wrong_image_has_its_line(what, photo_folder, tmp_path):
    path = photo_folder / "astronaut.png"
    packed(path, path, compress_level=0)
    coreset = srfast.select(srfast.score(photo_folder, patch=48, stride=24, scorer="bicubic"), keep=0.3)
    srfast.manifest(coreset, tmp_path / "m")
    change, kind, words = WRONG[what]
    change(path)
    output = tmp_path / "r.parquet"
    with pytest.raises(ImagesMismatch, match=rf"^1 of \d images are not as the manifest has them .*{words}") as caught:
        srfast.rebuild(tmp_path / "m", photo_folder, output=output)
    problem = caught.value.rebuilt.problems[0]
    assert (problem.name, problem.kind) == ("astronaut.png", kind)
    assert not list(tmp_path.glob("r.parquet*"))
    with pytest.raises(ImagesMismatch, match=words):
        srfast.rebuild(tmp_path / "m", photo_folder, verify=True)
    made = srfast.rebuild(tmp_path / "m", photo_folder, output=output, partial=True)
    assert made.coreset.meta["rebuilt"]["partial"] is True
    assert made.coreset.meta["rebuilt"]["problems"] == [vars(problem)]
    rest = coreset[coreset["image"] != "astronaut.png"] if kind != "twice" else coreset
    for column in ("x", "y", "rank", "loss"):
        np.testing.assert_array_equal(made.coreset[column], rest[column])
    assert len(srfast.CorePatches(output, 2)) == len(rest)


def test_decoders_that_read_other_pixels_are_named(published, photo_folder, tmp_path, monkeypatch):
    real = source_search.read_hashed

    def other(path):
        pixels, digest = real(path)
        return (pixels ^ 1 if path.suffix == ".jpg" else pixels), digest

    monkeypatch.setattr(source_search, "read_hashed", other)
    with pytest.raises(ImagesMismatch, match=r"chelsea.jpg is the same file, but this machine's decoders read other"):
        srfast.rebuild(published, photo_folder, verify=True)


def test_two_equal_images_need_two_files(photo_folder, tmp_path):
    shutil.copy(photo_folder / "astronaut.png", photo_folder / "sub/again.png")
    coreset = srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic"), keep=1.0)
    srfast.manifest(coreset, tmp_path / "m")
    made = srfast.rebuild(tmp_path / "m", photo_folder, output=tmp_path / "r.parquet")
    assert made.coreset["image"].tolist() == coreset["image"].tolist()
    (photo_folder / "sub/again.png").unlink()
    with pytest.raises(ImagesMismatch, match=r"sub/again.png: is missing: the manifest has its pixels 2 times"):
        srfast.rebuild(tmp_path / "m", photo_folder, verify=True)


def test_only_what_must_be_is_decoded(published, photo_folder, tmp_path, monkeypatch):
    decoded = []
    real = source_search.read_rgb
    monkeypatch.setattr(source_search, "read_rgb", lambda path: (decoded.append(path.name), real(path))[1])
    Image.fromarray(np.zeros((130, 195, 3), np.uint8)).save(photo_folder / "black.png")
    assert srfast.rebuild(published, photo_folder, verify=True).images == 4
    assert decoded == []
    packed(photo_folder / "astronaut.png", photo_folder / "astronaut.bmp")
    (photo_folder / "astronaut.png").unlink()
    assert srfast.rebuild(published, photo_folder, verify=True).images == 4
    assert sorted(decoded) == ["astronaut.bmp", "black.png"]


def test_an_interrupted_run_goes_on(published, photo_folder, tmp_path, monkeypatch):
    calls = []

    def stop(*now):
        calls.append((now[0], now[1], now[2]))
        if len(calls) == 6:  # four files were hashed, and two images verified
            raise KeyboardInterrupt

    output = tmp_path / "r.parquet"
    with pytest.raises(KeyboardInterrupt):
        srfast.rebuild(published, photo_folder, output=output, progress=stop)
    assert not output.exists()
    decoded = []
    real = source_search.read_hashed
    monkeypatch.setattr(source_search, "read_hashed", lambda path: (decoded.append(path), real(path))[1])
    assert srfast.rebuild(published, photo_folder, output=output).images == 4
    assert len(decoded) == 2
    assert not list(tmp_path.glob("*.parts"))


def test_the_commands(coreset, photo_folder, tmp_path, run):
    coreset.write(tmp_path / "c.parquet")
    code, out, err = run("manifest", tmp_path / "c.parquet", "-o", tmp_path / "m", "--json")
    assert (code, err) == (0, "")
    made = json.loads(out)
    assert (made["images"], made["patches"]) == (4, len(coreset))
    code, out, err = run("rebuild", tmp_path / "m", "--images", photo_folder, "--verify")
    assert (code, out) == (0, f"{len(coreset)} patches of 4 images are as the manifest has them\n")
    (photo_folder / "chelsea.jpg").unlink()
    os.rename(photo_folder / "astronaut.png", photo_folder / "a\nb.png")
    code, out, err = run("rebuild", tmp_path / "m", "--images", photo_folder, "-o", tmp_path / "r.parquet")
    assert (code, out) == (2, "")
    assert "chelsea.jpg: is missing" in err.splitlines()[0]
    assert "--partial continues without them" in err
    code, out, err = run("rebuild", tmp_path / "m", "--images", photo_folder, "-o", tmp_path / "r.parquet", "--partial")
    assert code == 0
    assert (tmp_path / "r.parquet").is_file()
    code, out, err = run("rebuild", tmp_path / "m", "--images", photo_folder, "-o", tmp_path / "r.parquet", "--verify")
    assert code == 2
    assert "--output" in err


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("bsds400-half", SHARED / "shared/data/BSDS400"),
        ("t91-half", SHARED / "shared/data/T91"),
        pytest.param("wild-half", SHARED / "pools/wild", marks=pytest.mark.slow),
    ],
)
def test_the_committed_manifests_are_rebuilt(name, folder, tmp_path):
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    made = srfast.rebuild(MANIFESTS / name, folder, output=tmp_path / "r.parquet")
    document = json.loads((MANIFESTS / name / "manifest.json").read_text())
    assert made.root == document["srfast"]["root_sha256"]
    assert made.patches == len(made.coreset) > 0


def test_images_that_are_not_there(published, tmp_path, refused):
    refused("nowhere: no such file or folder", srfast.rebuild, published, tmp_path / "nowhere", verify=True)
    refused("output: expected a core-set to write, or `verify`, and not both", srfast.rebuild, published, tmp_path)
