"""The configurations written beside an export: they parse, name what is there, and load."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

import srfast

yaml = pytest.importorskip("yaml", reason="PyYAML is missing")


def commentless(text: str) -> dict[str, Any]:
    """As KAIR reads its JSON: a line ends at //."""
    return json.loads("".join(line.split("//")[0] + "\n" for line in text.splitlines()))


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_they_name_what_is_there(coreset: Path, tmp_path: Path, to: str) -> None:
    out = tmp_path / "core set é"
    done = srfast.export(coreset, out, to=to, scale=2)
    for name, text in done.snippets.items():
        assert (out / name).read_text(encoding="utf-8") == text
        assert "<" not in text
    suffix = ".lmdb" if to == "lmdb" else ""
    hr, lr = str(out / f"HR{suffix}"), str(out / f"LRx2{suffix}")
    basicsr = yaml.safe_load(done.snippets["basicsr.yml"])
    train = basicsr["datasets"]["train"]
    assert (basicsr["scale"], train["dataroot_gt"], train["dataroot_lq"], train["gt_size"]) == (2, hr, lr, 48)
    assert train["io_backend"] == {"type": "lmdb" if to == "lmdb" else "disk"}
    assert train.get("meta_info_file") == (str(out / "meta_info.txt") if to == "basicsr" else None)
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no tomllib")
    neosr = tomllib.loads(done.snippets["neosr.toml"])
    train = neosr["datasets"]["train"]
    assert (neosr["scale"], train["dataroot_gt"], train["dataroot_lq"], train["patch_size"]) == (2, hr, lr, 24)
    if to == "lmdb":
        assert done.snippets.keys() == {"basicsr.yml", "neosr.toml"}
        return
    redux = yaml.safe_load(done.snippets["redux.yml"])
    train = redux["datasets"]["train"]
    assert (redux["scale"], train["dataroot_gt"], train["dataroot_lq"], train["lq_size"]) == (2, hr, lr, 24)
    kair = commentless(done.snippets["kair.json"])
    train = kair["datasets"]["train"]
    assert (kair["scale"], train["dataroot_H"], train["dataroot_L"], train["H_size"]) == (2, hr, lr, 48)


def test_hr_only_and_webp(coreset: Path, tmp_path: Path) -> None:
    done = srfast.export(coreset, tmp_path / "hr", to="folder", scale=2, lr=False)
    assert done.snippets.keys() == {"redux.yml", "kair.json"}
    assert commentless(done.snippets["kair.json"])["datasets"]["train"]["dataroot_L"] is None
    train = yaml.safe_load(done.snippets["redux.yml"])["datasets"]["train"]
    assert train["type"] == "SingleGtDataset"
    assert "dataroot_lq" not in train
    done = srfast.export(coreset, tmp_path / "webp", to="folder", scale=2, format="webp")
    assert "kair.json" not in done.snippets


@pytest.mark.parametrize("to", ["folder", "basicsr", "lmdb"])
def test_basicsr_takes_its_first_crop(coreset: Path, tmp_path: Path, to: str) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from basicsr.data.paired_image_dataset import PairedImageDataset
    except ImportError as error:
        pytest.skip(f"BasicSR's loader is not at hand ({error}): pip install --no-deps basicsr-fixed (not on 3.13)")
    done = srfast.export(coreset, tmp_path / "out", to=to, scale=2)
    options = yaml.safe_load(done.snippets["basicsr.yml"])
    item = PairedImageDataset({**options["datasets"]["train"], "scale": options["scale"], "phase": "train"})[0]
    assert item["gt"].shape == (3, 48, 48)
    assert item["lq"].shape == (3, 24, 24)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("to", "embed"), [("hf", False), ("hf", True), ("webdataset", False)])
def test_scripts_run(
    coreset: Path, tmp_path: Path, to: str, embed: bool, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
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
