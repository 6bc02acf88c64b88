"""Images whose names differ in case alone: no output has two such names, which some file systems take for one."""

import re
import tarfile

import lmdb
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.exporting.arrangement import image_names

NAMES = ["A.png", "a.png", "a.PNG", "Straße/x.png", "STRASSE/x.png", "sub/Ä.png", "sub/ä.png", "sub/A_0.png",
         "Sub/a_0.png"]  # fmt: skip


@pytest.fixture(scope="module")
def coreset(tmp_path_factory):
    root = tmp_path_factory.mktemp("case")
    for i, name in enumerate(NAMES):
        (root / name).parent.mkdir(exist_ok=True)
        Image.radial_gradient("L").rotate(7 * i).crop((0, 0, 97, 64)).convert("RGB").save(root / name)
    return srfast.select(srfast.score(root, patch=48, scorer="bicubic"), keep=1.0)


def named(folder):
    """Files and folders below ``folder``, and what the archives, databases and tables among them call their members."""
    names = [str(p.relative_to(folder)) for p in folder.rglob("*")]
    for path in folder.rglob("*.tar"):
        with tarfile.open(path) as tar:
            names += [f"{path.name}/{name}" for name in tar.getnames()]
    for path in folder.rglob("data.mdb"):
        with lmdb.open(str(path.parent), readonly=True, lock=False) as env, env.begin() as transaction:
            names += [
                f"{path.parent.name}/{bytes(key).decode()}" for key in transaction.cursor().iternext(values=False)
            ]
    for path in folder.rglob("train-*.parquet"):
        table = pq.read_table(path)
        names += [f"{path.name}/{side}/{row['path']}" for side in ("hr", "lr") for row in table[side].to_pylist()]
    return names


@pytest.mark.parametrize("layout", ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset", "list"])
def test_no_two_names_of_an_export(layout, coreset, tmp_path):
    to, embed = layout.removesuffix("-embedded"), layout.endswith("-embedded")
    done = srfast.export(coreset, tmp_path / "out", to=to, embed=embed, check=layout != "list")
    names = named(tmp_path / "out")
    assert len({name.casefold() for name in names}) == len(names)
    assert done.patches == len(coreset)
    if layout != "list":
        assert sum(name.split(".")[-1] in ("png", "json") or "mdb/" in name for name in names) >= 2 * len(coreset)


def test_names_are_plain_and_unique():
    images = [
        "a b.png", "a_b.jpg", "A_B.png", "a_b-2.png", "café.png", "cafe\u0301.png", "日本.png", "中国.png", "...png",
        "sub/a.png", "sub_a.png", "x.tar.png", "-.png", "Ünï cödé (1).png", "n" * 240 + "1.png", "n" * 240 + "2.png",
    ]  # fmt: skip
    names = image_names(images)
    assert len({n.casefold() for n in names}) == len(images)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,130}", n) for n in names), names
    assert names[:4] == ["a_b", "a_b-2", "A_B-3", "a_b-2-2"]
    assert names[13] == "Uni_code_1"
    assert image_names(["0001.png", "0002_s003.png", "img-7.webp"]) == ["0001", "0002_s003", "img-7"]
    assert image_names([]) == []
