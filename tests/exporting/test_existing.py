"""Subsets of databases and folders that exist: nothing is copied, everything reads."""

import json
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError


@pytest.fixture
def sub_images(photographs, tmp_path):
    """(HR_sub, LR_sub): sub-images and databases beside them, as BasicSR's scripts leave them."""
    folders = tmp_path / "HR_sub", tmp_path / "LR_sub"
    for folder, scale in zip(folders, (1, 2), strict=True):
        folder.mkdir()
        database = tmp_path / f"{folder.name}.lmdb"
        with lmdb.open(str(database), map_size=1 << 24) as env, env.begin(write=True) as transaction:
            lines = []
            for i in range(12):
                patch = np.ascontiguousarray(photographs["coffee"][40 + 8 * i :, 50:][:48, :48])
                patch = patch if scale == 1 else srfast.imresize(patch, 0.5)
                cv2.imwrite(str(folder / f"0001_s{i + 1:03d}.png"), patch[..., ::-1])
                transaction.put(f"0001_s{i + 1:03d}".encode(), (folder / f"0001_s{i + 1:03d}.png").read_bytes())
                lines.append(f"0001_s{i + 1:03d}.png ({48 // scale},{48 // scale},3) 1\n")
        (database / "meta_info.txt").write_text("".join(lines))
    return folders


def table_of(root, names, size=48):
    zeros = pa.array([0] * len(names), pa.int32())
    columns = {"image": names, "x": zeros, "y": zeros, "size": pa.array([size] * len(names), pa.int32())}
    about = {"version": 1, "root": str(root), "scale": 2, "selection": {}}
    return pa.table(columns).replace_schema_metadata({b"srfast": json.dumps(about).encode()})


NAMES = ["0001_s007.png", "0001_s002.png", "0001_s011.png"]


def test_subset_of_basicsrs_databases(sub_images, tmp_path, pairs_of):
    hr, lr = (tmp_path / f"{f.name}.lmdb" for f in sub_images)
    table = table_of(sub_images[0], NAMES)
    done = srfast.export(table, tmp_path / "out", to="lmdb", existing=hr, existing_lr=lr, check=True)
    assert done.compared == 3
    assert pairs_of(tmp_path / "out") == {
        Path(n).stem: tuple(cv2.imread(str(folder / n))[..., ::-1].tobytes() for folder in sub_images[::-1])
        for n in NAMES
    }
    for name, source in (("HR", hr), ("LRx2", lr)):
        database = tmp_path / "out" / f"{name}.lmdb"
        assert (database / "data.mdb").samefile(source / "data.mdb")
        lines = (database / "meta_info.txt").read_text().splitlines()
        assert set(lines) < set((source / "meta_info.txt").read_text().splitlines())


@pytest.mark.parametrize("to", ["folder", "basicsr"])
def test_subset_of_folders(sub_images, tmp_path, to):
    hr, lr = sub_images
    done = srfast.export(table_of(hr, NAMES), tmp_path / "out", to=to, existing=hr, existing_lr=lr, check=True)
    assert done.linked == 3
    for name in NAMES:
        assert (tmp_path / "out" / "HR" / name).samefile(hr / name)
        assert (tmp_path / "out" / "LRx2" / name).samefile(lr / name)
    if to == "basicsr":
        assert (tmp_path / "out" / "meta_info.txt").read_text() == "".join(f"{n} (48,48,3)\n" for n in sorted(NAMES))


def test_a_filtered_list(sub_images, tmp_path):
    hr, lr = sub_images
    done = srfast.export(table_of(hr, NAMES), tmp_path / "out", to="list", existing=hr, existing_lr=lr)
    assert (tmp_path / "out" / "meta_info.txt").read_text() == "".join(f"{n} (48,48,3)\n" for n in sorted(NAMES))
    text = done.snippets["basicsr.yml"]
    for line in (f'dataroot_gt: "{hr}"', f'dataroot_lq: "{lr}"', f'meta_info_file: "{tmp_path}/out/meta_info.txt"'):
        assert line in text


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_subset_of_an_export(coreset, tmp_path, to, expected, pairs_of):
    srfast.export(coreset, tmp_path / "all", to=to, scale=2)
    table, end = pq.read_table(coreset), ".lmdb" if to == "lmdb" else ""
    for whole, part, rows in (("all", "half", table.slice(0, 9)), ("half", "few", table.slice(2, 3))):
        hr, lr = tmp_path / whole / f"HR{end}", tmp_path / whole / f"LRx2{end}"
        done = srfast.export(rows, tmp_path / part, to=to, scale=2, existing=hr, existing_lr=lr, check=True)
        pairs = pairs_of(tmp_path / part)
        assert done.compared == done.patches == len(pairs) == len(rows)
        assert set(pairs.values()) <= set(expected(2))
    if to == "lmdb":
        assert (tmp_path / "half" / "HR.lmdb" / "data.mdb").samefile(tmp_path / "all" / "HR.lmdb" / "data.mdb")


@pytest.fixture
def alike(tmp_path, photographs):
    """alike(folder, inverted) -> the core-set of images of one patch there, two of whose names are alike in exports."""

    def make(folder, inverted=False):
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for i, name in enumerate(("a b.png", "a_b.png", "c.png")):
            patch = photographs["coffee"][100:148, 60 * i : 60 * i + 48]
            Image.fromarray(255 - patch if inverted else patch).save(root / name)
        return srfast.select(srfast.score(root, scale=2, patch=48, scorer="bicubic"), keep=1.0)

    return make


@pytest.mark.parametrize("to", ["folder", "lmdb"])
def test_exports_that_name_a_patch_differently(to, alike, tmp_path):
    """The second export lacks "a b.png", so that its a_b is the other's a_b-2."""
    chosen = alike("images")
    few = srfast.CoreSet(chosen.table.filter(pc.field("image") != "a b.png"), chosen.meta)
    srfast.export(chosen, tmp_path / "all", to=to)
    srfast.export(few, tmp_path / "few", to=to)
    end = ".lmdb" if to == "lmdb" else ""
    for hr, lr in (("all", "few"), ("few", "all")):
        sides = {"existing": tmp_path / hr / f"HR{end}", "existing_lr": tmp_path / lr / f"LRx2{end}"}
        if to == "folder":
            srfast.export(few, tmp_path / hr / "out", to=to, **sides)
            for file in (tmp_path / hr / "out" / "HR").iterdir():
                small = cv2.imread(str(tmp_path / hr / "out" / "LRx2" / file.name))
                assert np.array_equal(srfast.imresize(cv2.imread(str(file)), 0.5), small)
        else:
            with pytest.raises(InputError, match=r"expected the key a_b.* take both databases from one export"):
                srfast.export(few, tmp_path / "out", to=to, **sides)
            assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb", "list"])
@pytest.mark.parametrize("folder", ["images", "others"])
def test_patches_of_other_images_of_the_same_names(to, folder, alike, tmp_path):
    kept = "lmdb" if to == "lmdb" else "folder"
    srfast.export(alike("images"), tmp_path / "all", to=kept, lr=False)
    hr = tmp_path / "all" / ("HR.lmdb" if to == "lmdb" else "HR")
    with pytest.raises(InputError, match=r"HR.*: expected patches of a b\.png as it was scored, got"):
        srfast.export(alike(folder, True), tmp_path / "out", to=to, lr=False, existing=hr)
    assert not (tmp_path / "out").exists()


def test_patches_of_images_that_were_copied_and_scored_again(alike, tmp_path):
    srfast.export(alike("images"), tmp_path / "all", to="folder", lr=False)
    copied = alike("copies")
    done = srfast.export(copied, tmp_path / "out", to="folder", lr=False, existing=tmp_path / "all" / "HR", check=True)
    assert done.compared == len(copied)


@pytest.mark.parametrize("to", ["folder", "lmdb"])
def test_a_subset_is_not_taken_for_an_export(to, alike, tmp_path):
    chosen = alike("images")
    srfast.export(chosen, tmp_path / "all", to=to, lr=False)
    hr = tmp_path / "all" / ("HR.lmdb" if to == "lmdb" else "HR")
    srfast.export(chosen, tmp_path / "out", to=to, lr=False, existing=hr)
    srfast.export(chosen, tmp_path / "out", to=to, lr=False, existing=hr, resume=True)
    for folder, options, message in (("out", {}, r"\[.*\], got None"), ("all", {"existing": hr}, r"None, got \[")):
        with pytest.raises(InputError, match=f"existing: .*{folder} was begun with {message}"):
            srfast.export(chosen, tmp_path / folder, to=to, lr=False, resume=True, **options)


@pytest.mark.parametrize("to", ["folder", "lmdb"])
def test_the_command_says_what_was_compared_and_linked(to, coreset, tmp_path, srfast_command):
    srfast.export(coreset, tmp_path / "all", to=to, scale=2)
    hr, lr = (tmp_path / "all" / (f"{n}.lmdb" if to == "lmdb" else n) for n in ("HR", "LRx2"))
    options = ["--to", to, "--scale", 2, "--existing", hr, "--existing-lr", lr, "--check"]
    done = srfast_command("export", coreset, "-o", "out", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    count = len(pq.read_table(coreset))
    assert f"{count} HR patches equal their source in every pixel; existing LR patches were not" in done.stdout
    linked = "The databases are hard links" if to == "lmdb" else f"{count} HR files are hard links to files of {hr}"
    assert linked in done.stdout


def test_what_is_missing_is_named(sub_images, coreset, tmp_path, refused):
    hr, lr = sub_images
    database, out = tmp_path / "HR_sub.lmdb", tmp_path / "out"
    (hr / "new.png").write_bytes((hr / NAMES[0]).read_bytes())
    for table, to, options, message in (
        (table_of(hr, ["new.png"]), "lmdb", {"existing": database}, "expected the key new"),
        (table_of(hr, NAMES, 24), "lmdb", {"existing": database}, r"of 24 x 24, got '0001_s002\.png \(48,48,3\) 1'"),
        (table_of(hr, NAMES), "lmdb", {"existing": hr}, "expected an LMDB with its meta_info.txt"),
        (table_of(hr, NAMES), "folder", {"existing": lr}, "expected a patch of 48 x 48, got 24 x 24"),
        (table_of(hr, ["new.png"]), "folder", {"existing": tmp_path / "LR_sub"}, "new.png: expected a patch"),
        (table_of(hr, NAMES), "folder", {"existing": tmp_path / "none"}, "expected a folder of patches"),
        (coreset, "folder", {"existing": hr}, "expected images that are one patch each"),
        (table_of(hr, NAMES), "hf", {"existing": hr}, "existing: needs `to` to be one of folder, basicsr, lmdb, list"),
    ):
        refused(message, srfast.export, table, out, to=to, lr=False, **options)
        assert not out.exists()
    for side in ({"existing": hr}, {"existing_lr": lr}):
        with pytest.raises(InputError, match=r"existing_lr: (expected the place of the LR patches|needs `existing`)"):
            srfast.export(table_of(hr, NAMES), out, to="folder", **side)
    srfast.export(coreset, tmp_path / "few", to="lmdb", scale=2)
    with pytest.raises(InputError, match=r"3 of 3 patches are not in it, such as 0001_s002\.png at x = 0, y = 0"):
        srfast.export(table_of(hr, NAMES), out, to="lmdb", lr=False, existing=tmp_path / "few" / "HR.lmdb")
