"""The configurations written beside an export: they parse, name what is there, and load."""

import json
from typing import Any

import pytest

import srfast

yaml = pytest.importorskip("yaml", reason="PyYAML is missing")


def commentless(text: str) -> dict[str, Any]:
    """As KAIR reads its JSON: a line ends at //."""
    return json.loads("".join(line.split("//")[0] + "\n" for line in text.splitlines()))


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_they_name_what_is_there(coreset, tmp_path, to):
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


def test_hr_only_and_webp(coreset, tmp_path):
    done = srfast.export(coreset, tmp_path / "hr", to="folder", scale=2, lr=False)
    assert done.snippets.keys() == {"redux.yml", "kair.json"}
    assert commentless(done.snippets["kair.json"])["datasets"]["train"]["dataroot_L"] is None
    train = yaml.safe_load(done.snippets["redux.yml"])["datasets"]["train"]
    assert train["type"] == "SingleGtDataset"
    assert "dataroot_lq" not in train
    done = srfast.export(coreset, tmp_path / "webp", to="folder", scale=2, format="webp")
    assert "kair.json" not in done.snippets


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_basicsr_takes_its_first_crop(coreset, tmp_path, to, basicsr):
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
    names: dict[str, Any] = {}
    exec(compile(done.snippets["load.py"], "load.py", "exec"), names)
    if to == "hf":
        assert len(names["dataset"]) == done.patches
        assert names["dataset"][0]["lr"].size == (24, 24)
    else:
        assert names["hr"].shape == (3, 48, 48)
        assert names["lr"].shape == (3, 24, 24)
        assert names["about"]["size"] == 48
