"""Configurations by which trainers read an export; docs/trainers.md says where the keys come from."""

from __future__ import annotations

import json
from pathlib import Path

from srfast.exporting.arrangement import Arrangement
from srfast.exporting.formats import Format
from srfast.exporting.writer import sides

BATCH = 16
"""Batch size in the snippets: a start, not a recommendation."""


def snippets(
    how: Format, folder: Path, plan: Arrangement, existing: list[Path] | None = None, *, tars: Path
) -> dict[str, str]:
    """File name -> text, for every trainer that reads the format at ``folder``.

    ``existing`` names the folders of a list, and ``tars`` the folder of the shards.
    """
    size = int(plan.patches.size.min())
    shards = sorted(p.stem for p in tars.glob("*.tar"))
    spread = f"{shards[0]}..{shards[-1]}" if shards else ""
    roots = existing or [folder / name for name, _ in sides(plan)]
    values = {
        "about": f"srfast core-set, {len(plan)} patches, x{plan.scale}",
        "hr": quoted(roots[0]),
        "lr": quoted(roots[-1]),
        "meta": quoted(folder / "meta_info.txt"),
        "hr_lmdb": quoted(folder / "HR.lmdb"),
        "lr_lmdb": quoted(folder / f"{plan.lr_folder}.lmdb"),
        "folder": quoted(folder),
        "tars": quoted(f"{folder}/{{{spread}}}.tar"),
        "suffix": plan.suffix,
        "scale": str(plan.scale),
        "size": str(size),
        "low": str(size // plan.scale),
        "batch": str(BATCH),
    }
    texts = how.snippets if plan.lr else how.hr_snippets
    if existing:
        texts = {"basicsr.yml": "BASICSR_LIST"} if plan.lr else {}
    unread = "kair.json" if plan.suffix == "webp" else ""  # KAIR looks for jpg, png, ppm, bmp and tif
    return {name: filled(globals().get(text, text), values) for name, text in texts.items() if name != unread}


def filled(text: str, values: dict[str, str]) -> str:
    """A template with its values in place of their names."""
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    return text


def quoted(path: Path | str) -> str:
    """A string as JSON, YAML, TOML and Python alike write it."""
    return json.dumps(str(path), ensure_ascii=False)


BASICSR = """\
# <about>: BasicSR
scale: <scale>
datasets:
  train:
    name: coreset
    type: PairedImageDataset
    dataroot_gt: <hr>
    dataroot_lq: <lr>
    io_backend:
      type: disk
    gt_size: <size>
    use_hflip: true
    use_rot: true
    use_shuffle: true
    num_worker_per_gpu: 4
    batch_size_per_gpu: <batch>
    dataset_enlarge_ratio: 1
    prefetch_mode: ~
"""
BASICSR_LIST = BASICSR.replace("    io_backend", "    meta_info_file: <meta>\n    io_backend")
BASICSR_LMDB = BASICSR.replace("<hr>", "<hr_lmdb>").replace("<lr>", "<lr_lmdb>").replace("disk", "lmdb")

NEOSR = """\
# <about>: neosr
scale = <scale>

[datasets.train]
type = "paired"
dataroot_gt = <hr>
dataroot_lq = <lr>
patch_size = <low>
batch_size = <batch>
"""
NEOSR_LMDB = NEOSR.replace("<hr>", "<hr_lmdb>").replace("<lr>", "<lr_lmdb>")

REDUX = """\
# <about>: traiNNer-redux
scale: <scale>
datasets:
  train:
    name: coreset
    type: PairedImageDataset
    dataroot_gt: <hr>
    dataroot_lq: <lr>
    io_backend:
      type: disk
    lq_size: <low>
    use_hflip: true
    use_rot: true
    num_worker_per_gpu: 4
    batch_size_per_gpu: <batch>
    accum_iter: 1
    dataset_enlarge_ratio: auto
"""
REDUX_HR = (
    REDUX.replace("PairedImageDataset", "SingleGtDataset")
    .replace("    dataroot_lq: <lr>\n", "")
    .replace("    lq_size: <low>", "    lq_size: <low>\n    lq_resize_mode: bicubic")
)

KAIR = """\
{ // <about>: KAIR
  "scale": <scale>
  , "n_channels": 3
  , "datasets": {
    "train": {
      "name": "coreset"
      , "dataset_type": "sr"
      , "dataroot_H": <hr>
      , "dataroot_L": <lr>
      , "H_size": <size>
      , "dataloader_shuffle": true
      , "dataloader_num_workers": 4
      , "dataloader_batch_size": <batch>
    }
  }
}
"""
KAIR_HR = KAIR.replace("<lr>", "null // made while training")

HF = """\
# <about>: Hugging Face datasets
from datasets import load_dataset

dataset = load_dataset("imagefolder", data_dir=<folder>, drop_labels=True, split="train")
print(dataset[0])
"""
HF_EMBEDDED = """\
# <about>: Hugging Face datasets
from datasets import load_dataset

dataset = load_dataset("parquet", data_dir=<folder>, split="train")
print(dataset[0])
"""
WEBDATASET = """\
# <about>: WebDataset
import webdataset

dataset = (
    webdataset.WebDataset(<tars>, shardshuffle=100)
    .shuffle(5000)
    .decode("torchrgb")
    .to_tuple("hr.<suffix>", "lr.<suffix>", "json")
)
hr, lr, about = next(iter(dataset))
"""
WEBDATASET_HR = WEBDATASET.replace(', "lr.<suffix>"', "").replace("hr, lr, about", "hr, about")
