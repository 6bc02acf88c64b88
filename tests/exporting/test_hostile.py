"""Names, links, formats and columns that an export gets from elsewhere."""

import json
import os
import subprocess
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.errors import InputError

PLACES = {"x": [0, 8], "y": [0, 8], "size": [24, 24]}


@pytest.fixture
def table_of(tmp_path, photographs):
    """table_of(name, **columns) -> a core-set of two patches of one image of that name."""
    root = tmp_path / "images"
    root.mkdir()

    def make(name="a.png", /, **columns):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photographs["coffee"][100:140, 100:140]).save(root / name, "PNG")
        about = {"version": 1, "root": str(root), "scale": 2, "images": {}, "selection": {}}
        known = {"image": pa.array([name] * 2), **{k: pa.array(v, pa.int32()) for k, v in PLACES.items()}}
        return pa.table({**known, **columns}).replace_schema_metadata({b"srfast": json.dumps(about).encode()})

    return make


@pytest.mark.parametrize("broken", ["\r", "\n", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\t"])
def test_a_list_holds_a_patch_on_each_line(broken, table_of, tmp_path):
    with pytest.raises(InputError, match="a list cannot hold a name with a tab or a line break"):
        srfast.export(table_of(f"a{broken}b.png"), tmp_path / "out", to="list")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "names", [["../../secret", 1], ["/etc/passwd", 1], [0, None], [1.5, 2.5], [0, 0], ["", 1]], ids=str
)
@pytest.mark.parametrize("to", ["folder", "lmdb"])
def test_names_of_an_index_are_those_an_export_gives(to, names, table_of, tmp_path):
    table = table_of()
    srfast.export(table, tmp_path / "all", to=to, lr=False)
    Image.new("RGB", (24, 24)).save(tmp_path.parent / "secret.png")
    index = pq.read_table(tmp_path / "all" / "patches.parquet")
    was = index["name"].to_pylist()
    given = pa.array([was[n] if isinstance(n, int) else n for n in names])
    index = index.set_column(index.schema.get_field_index("name"), "name", given)
    pq.write_table(index, tmp_path / "all" / "patches.parquet")
    side = tmp_path / "all" / ("HR" if to == "folder" else "HR.lmdb")
    with pytest.raises(InputError, match="expected the names of an export, each once"):
        srfast.export(table, tmp_path / "out", to=to, lr=False, existing=side)
    assert not (tmp_path / "out").exists()


def test_links_pipes_and_other_formats_are_refused(table_of, tmp_path):
    table = table_of()
    srfast.export(table, tmp_path / "all", to="basicsr", lr=False)
    first = sorted((tmp_path / "all" / "HR").iterdir())[0]
    secret = tmp_path / "secret.png"
    first.rename(secret)
    for make, message in (
        (lambda: first.symlink_to(secret), "expected a file of this folder, got a link to"),
        (lambda: first.symlink_to("nothing"), "expected a patch"),
        (lambda: os.mkfifo(first), "expected a patch"),
        (first.mkdir, "expected a patch"),
        (lambda: Image.open(secret).save(first, "BMP"), "expected a patch of an export, PNG or WEBP"),
        (lambda: Image.open(secret).save(first, "PPM"), "expected a patch of an export, PNG or WEBP"),
    ):
        make()
        with pytest.raises(InputError, match=message):
            srfast.export(table, tmp_path / "out", to="folder", lr=False, existing=tmp_path / "all" / "HR")
        assert not (tmp_path / "out").exists()
        first.rmdir() if first.is_dir() else first.unlink()


def test_a_database_that_is_a_link_is_refused(table_of, tmp_path, refused):
    table = table_of()
    srfast.export(table, tmp_path / "all", to="lmdb", lr=False)
    data = tmp_path / "all" / "HR.lmdb" / "data.mdb"
    data.rename(tmp_path / "elsewhere.mdb")
    data.symlink_to(tmp_path / "elsewhere.mdb")
    refused("got a link to", srfast.export, table, tmp_path / "out", to="lmdb", lr=False, existing=data.parent)


@pytest.mark.parametrize("letters", [1, 150])
def test_names_in_a_tar_file_as_long_as_they_are(letters, table_of, tmp_path):
    srfast.export(table_of("n" * letters + ".png"), tmp_path / "out", to="webdataset", check=True)
    with tarfile.open(tmp_path / "out" / "000000.tar") as tar:
        assert max(map(len, tar.getnames())) > min(letters, 120)
        assert any(member.pax_headers for member in tar) == (letters > 100)


def test_columns_that_json_does_not_have(table_of, tmp_path):
    columns = {
        "taste": pa.array([float("nan"), 1.5]),
        "raw": pa.array([b"\xff", None]),
        "when": pa.array([0, 1], pa.date32()),
    }
    srfast.export(table_of(**columns), tmp_path / "out", to="webdataset", check=True)
    with tarfile.open(tmp_path / "out" / "000000.tar") as tar:
        about = [json.load(tar.extractfile(m)) for m in tar if m.name.endswith("json")]
    assert [(a["taste"], a["when"]) for a in about] == [(None, "1970-01-01"), (1.5, "1970-01-02")]


@pytest.mark.parametrize(
    ("to", "column", "embed"),
    [("folder", "name", False), ("lmdb", "name", False), ("hf", "hr_file_name", False), ("hf", "hr", True)],
)
def test_columns_that_the_export_writes_itself(to, column, embed, table_of, tmp_path):
    table = table_of(**{column: pa.array(["a", "b"])})
    with pytest.raises(InputError, match=f"column '{column}': {to} writes one of that name"):
        srfast.export(table, tmp_path / "out", to=to, embed=embed)
    srfast.export(table, tmp_path / "tar", to="webdataset")


# Exports of several processes into one folder at once: one writes, the others say so, nothing is mixed.


@pytest.mark.parametrize("to", ["basicsr", "lmdb"])
def test_one_writes_and_the_others_say_so(to, coreset, tmp_path):
    line = [sys.executable, "-m", "srfast", "export", str(coreset), "-o", "out", "--to", to, "--scale", "2"]
    runs = [subprocess.Popen(line, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert sorted(run.returncode for run in runs)[0] == 0
    assert sum(run.returncode == 0 for run in runs) == 1
    for run, error in zip(runs, errors, strict=True):
        if run.returncode:
            assert len(error.splitlines()) == 1
            assert "is writing it" in error or "out: exists; choose another output" in error, error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]
    done = srfast.export(coreset, tmp_path / "out", to=to, scale=2, resume=True, check=True)
    assert done.compared == done.patches
