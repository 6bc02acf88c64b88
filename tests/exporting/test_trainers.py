"""Every export read by the trainer's own loader, or by its documented convention, pair by pair, pixel by pixel."""

import json
import os
import re
from collections import Counter
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pyarrow.parquet as pq
import pytest

import srfast


def pixels(patch):
    """uint8 RGB of a [3, H, W] float tensor in [0, 1], of an array or of a Pillow image, as bytes."""
    if hasattr(patch, "movedim"):
        patch = (patch * 255).round().movedim(0, -1).numpy()
    return np.ascontiguousarray(np.asarray(patch).astype(np.uint8)).tobytes()


def read_bgr(file):
    return cv2.imread(str(file))[..., ::-1].tobytes()


def basicsr_pairs(dataset):
    for i in range(len(dataset)):
        item = dataset[i]
        yield pixels(item["lq"]), pixels(item["gt"])


@pytest.fixture(params=[2, 3, 4])
def scale(request):
    return int(request.param)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_folders_as_kair_redux_and_neosr_pair_them(coreset, tmp_path, expected, scale, suffix):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="folder", scale=scale, format=suffix, check=True)
    hr, lr = out / "HR", out / f"LRx{scale}"

    def walk(folder):
        return [Path(parent, n) for parent, _, names in os.walk(folder) for n in names]

    # KAIR: both sides sorted, paired by position.
    by_position = list(zip(sorted(walk(lr)), sorted(walk(hr)), strict=True))
    # traiNNer-redux: by stem, whatever the order of the folder.
    stems = {p.stem: p for p in walk(lr)}
    by_stem = [(stems[p.stem], p) for p in walk(hr)]
    # neosr: the path of the LR file is that of the HR file with the folder replaced.
    replaced = [(Path(str(p).replace(str(hr), str(lr))), p) for p in walk(hr)]
    for pairs in (by_position, by_stem, replaced):
        assert Counter((read_bgr(low), read_bgr(high)) for low, high in pairs) == expected(scale)


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_basicsr_reads_its_pairs(coreset, tmp_path, expected, scale, to, basicsr):
    out, end = tmp_path / "out", ".lmdb" if to == "lmdb" else ""
    srfast.export(coreset, out, to=to, scale=scale, check=True)
    options = {"dataroot_gt": str(out / f"HR{end}"), "dataroot_lq": str(out / f"LRx{scale}{end}"), "scale": scale}
    options |= {"meta_info_file": str(out / "meta_info.txt")} if to == "basicsr" else {}
    dataset = basicsr(io_backend={"type": "lmdb" if end else "disk"}, **options)
    assert Counter(basicsr_pairs(dataset)) == expected(scale)


def test_meta_info_as_it_is_documented(coreset, tmp_path, expected, pairs_of):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="basicsr", scale=3)
    lines, pairs = (out / "meta_info.txt").read_text().splitlines(), pairs_of(out, 3)
    assert {line.partition(".png (48,48,3)")[0] for line in lines} == set(pairs)
    assert Counter(pairs.values()) == expected(3)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_lmdb_as_it_is_documented(coreset, tmp_path, expected, scale, suffix, pairs_of):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="lmdb", scale=scale, format=suffix)
    for name, side in (("HR", 48), (f"LRx{scale}", 48 // scale)):
        folder = out / f"{name}.lmdb"
        assert {p.name for p in folder.iterdir()} == {"data.mdb", "lock.mdb", "meta_info.txt"}
        lines = (folder / "meta_info.txt").read_text().splitlines()
        pattern = rf"[A-Za-z0-9_-]+\.{suffix} \({side},{side},3\) 1"
        assert all(re.fullmatch(pattern, line) for line in lines)
        with lmdb.open(str(folder), readonly=True, lock=False) as env:
            assert env.stat()["entries"] == len(lines)
    assert Counter(pairs_of(out, scale).values()) == expected(scale)


def hugging_face(kind, **options):
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is missing")
    datasets.disable_progress_bars()
    return datasets.load_dataset(kind, split="train", **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("embed", [False, True])
def test_hugging_face(coreset, tmp_path, expected, embed, monkeypatch):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="hf", scale=2, embed=embed, check=True)
    if embed:
        dataset = hugging_face("parquet", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    else:
        dataset = hugging_face("imagefolder", data_dir=str(out), drop_labels=True, cache_dir=str(tmp_path / "cache"))
        assert pq.read_schema(out / "metadata.parquet").names[:2] == ["hr_file_name", "lr_file_name"]
    assert dataset.column_names == ["hr", "lr", "image", "x", "y", "size", "loss", "bicubic", "sobel", "rank"]
    assert Counter((pixels(row["lr"]), pixels(row["hr"])) for row in dataset) == expected(2)
    patches = srfast.CorePatches(coreset, 2)
    for row in dataset:
        assert pixels(row["hr"]) == patches[row["rank"]][1].movedim(0, -1).numpy().tobytes()


@pytest.mark.filterwarnings("ignore")
def test_webdataset(coreset, tmp_path, expected, scale):
    webdataset = pytest.importorskip("webdataset", reason="WebDataset is missing")
    out = tmp_path / "out"
    srfast.export(coreset, out, to="webdataset", scale=scale, check=True)
    assert [p.name for p in sorted(out.glob("*.tar"))] == ["000000.tar"]
    samples = list(webdataset.WebDataset(str(out / "000000.tar"), shardshuffle=False).decode("rgb8"))
    assert Counter((pixels(s["lr.png"]), pixels(s["hr.png"])) for s in samples) == expected(scale)
    patches = srfast.CorePatches(coreset, scale)
    for sample in samples:
        about = sample["json"]
        assert pixels(sample["hr.png"]) == patches[about["rank"]][1].movedim(0, -1).numpy().tobytes()


def test_list(coreset, dataset, tmp_path, expected):
    out = tmp_path / "out"
    srfast.export(coreset, out, to="list", scale=2)
    pairs = []
    for line in (out / "coreset.txt").read_text(encoding="utf-8").splitlines():
        image, *numbers = line.split("\t")
        x, y, size = map(int, numbers)
        whole = cv2.imdecode(np.fromfile(dataset / image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        whole = np.ascontiguousarray(whole[: len(whole) // 2 * 2, : whole.shape[1] // 2 * 2])
        low = srfast.imresize(whole, 0.5)[y // 2 : (y + size) // 2, x // 2 : (x + size) // 2]
        pairs.append((pixels(low), pixels(whole[y : y + size, x : x + size])))
    assert Counter(pairs) == expected(2)


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb", "hf", "webdataset"])
def test_hr_only(coreset, tmp_path, to):
    out = tmp_path / "out"
    done = srfast.export(coreset, out, to=to, scale=2, lr=False, check=True)
    assert done.compared == done.patches
    assert not any("LR" in p.name for p in out.iterdir())


@pytest.fixture
def yaml():
    return pytest.importorskip("yaml", reason="PyYAML is missing")


def commentless(text):
    """As KAIR reads its JSON: a line ends at //."""
    return json.loads("".join(line.split("//")[0] + "\n" for line in text.splitlines()))


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_they_name_what_is_there(coreset, tmp_path, to, yaml):
    out = tmp_path / "core set é"
    done = srfast.export(coreset, out, to=to, scale=2)
    for name, text in done.snippets.items():
        assert (out / name).read_text(encoding="utf-8") == text
        assert "<" not in text
    suffix = ".lmdb" if to == "lmdb" else ""
    hr, lr = str(out / f"HR{suffix}"), str(out / f"LRx2{suffix}")
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    expected = {
        "basicsr.yml": (yaml.safe_load, "dataroot_gt", "dataroot_lq", "gt_size", 48),
        "neosr.toml": (tomllib.loads, "dataroot_gt", "dataroot_lq", "patch_size", 24),
        "redux.yml": (yaml.safe_load, "dataroot_gt", "dataroot_lq", "lq_size", 24),
        "kair.json": (commentless, "dataroot_H", "dataroot_L", "H_size", 48),
    }
    assert done.snippets.keys() == (expected.keys() if to != "lmdb" else {"basicsr.yml", "neosr.toml"})
    for name, text in done.snippets.items():
        read, *keys, size = expected[name]
        content = read(text)
        assert (content["scale"], *(content["datasets"]["train"][key] for key in keys)) == (2, hr, lr, size), name
    train = yaml.safe_load(done.snippets["basicsr.yml"])["datasets"]["train"]
    assert train["io_backend"] == {"type": "lmdb" if to == "lmdb" else "disk"}
    assert train.get("meta_info_file") == (str(out / "meta_info.txt") if to == "basicsr" else None)


def test_hr_only_and_webp(coreset, tmp_path, yaml):
    done = srfast.export(coreset, tmp_path / "hr", to="folder", scale=2, lr=False)
    assert done.snippets.keys() == {"redux.yml", "kair.json"}
    assert commentless(done.snippets["kair.json"])["datasets"]["train"]["dataroot_L"] is None
    train = yaml.safe_load(done.snippets["redux.yml"])["datasets"]["train"]
    assert train["type"] == "SingleGtDataset"
    assert "dataroot_lq" not in train
    done = srfast.export(coreset, tmp_path / "webp", to="folder", scale=2, format="webp")
    assert "kair.json" not in done.snippets


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_basicsr_takes_its_first_crop(coreset, tmp_path, to, basicsr, yaml):
    done = srfast.export(coreset, tmp_path / "out", to=to, scale=2)
    options = yaml.safe_load(done.snippets["basicsr.yml"])
    item = basicsr(**{**options["datasets"]["train"], "scale": options["scale"], "phase": "train"})[0]
    assert item["gt"].shape == (3, 48, 48)
    assert item["lq"].shape == (3, 24, 24)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("to", "embed"), [("hf", False), ("hf", True), ("webdataset", False)])
def test_scripts_run(coreset, tmp_path, to, embed, monkeypatch, capsys):
    module = pytest.importorskip("datasets" if to == "hf" else "webdataset", reason="the package is missing")
    if to == "hf":
        module.disable_progress_bars()
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    done = srfast.export(coreset, tmp_path / "core set", to=to, scale=2, embed=embed)
    names = {}
    exec(compile(done.snippets["load.py"], "load.py", "exec"), names)
    if to == "hf":
        assert len(names["dataset"]) == done.patches
        assert names["dataset"][0]["lr"].size == (24, 24)
    else:
        assert names["hr"].shape == (3, 48, 48)
        assert names["lr"].shape == (3, 24, 24)
        assert names["about"]["size"] == 48
