"""Configurations by which trainers read an export; docs/trainers.md says where the keys come from.

Those of whole trainings have the keys of the trainers' own templates: traiNNer-redux 6862931
(options/_templates/train/Compact, checked against its schema, which refuses unknown keys) and neosr 31c7022
(options/train_span.toml, train_span_otf.toml).
"""

from __future__ import annotations

import json
from pathlib import Path

from srfast.exporting.arrangement import Arrangement
from srfast.exporting.formats import Format

BATCH = 16
"""Batch size in the snippets: a start, not a recommendation."""


def snippets(how: Format, folder: Path, plan: Arrangement, existing: list[Path], tars: Path) -> dict[str, str]:
    """File name -> text, for every trainer that reads the format at ``folder``; a list is read from the ``existing``
    folders that hold its patches. The shards lie in ``tars`` now."""
    shards = sorted(p.stem for p in tars.glob("*.tar"))
    spread = f"{shards[0]}..{shards[-1]}" if shards else ""
    roots = [folder / name for name, _ in plan.sides] if how.pixels else existing
    if not roots:
        return {}
    size = int(plan.patches.size.min())
    values = {
        "about": f"srfast core-set, {len(plan)} patches, x{plan.scale}",
        "hr": quoted(roots[0]), "lr": quoted(roots[-1]), "meta": quoted(folder / "meta_info.txt"),
        "hr_lmdb": quoted(folder / "HR.lmdb"), "lr_lmdb": quoted(folder / f"{plan.lr_folder}.lmdb"),
        "folder": quoted(folder), "tars": quoted(f"{folder}/{{{spread}}}.tar"), "suffix": plan.suffix,
        "scale": str(plan.scale), "size": str(size), "low": str(size // plan.scale), "batch": str(BATCH),
    }  # fmt: skip
    texts = how.snippets if plan.lr else how.hr_snippets
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


def configurations(trainer: str, pairs: Path, scale: int, patch: int, patches: int) -> dict[str, str]:
    """File name -> text: the configuration for pairs, an export to ``pairs``, then that for degradation on the fly."""
    values = {
        "about": f"srfast configuration: {patches} patches, x{scale}",
        "hr": quoted(pairs / "HR"), "lr": quoted(pairs / f"LRx{scale}"),
        "scale": str(scale), "low": str(patch // scale), "batch": str(BATCH),
    }  # fmt: skip
    return {name: filled(text, values) for name, text in CONFIGURATIONS[trainer].items()}


_REDUX_HEAD = """\
# <about>; traiNNer-redux: python train.py --auto_resume -opt THIS_FILE
name: srfast_coreset
scale: <scale>
use_amp: true
num_gpu: auto
"""
_REDUX_DEGRADATION = """\
# The degradations of the template, which are mild: change them to those that your images have.
high_order_degradation: true
resize_prob: [0.2, 0.7, 0.1]  # up, down, keep
resize_mode_list: [bilinear, bicubic, nearest-exact, lanczos]
resize_mode_prob: [0.25, 0.25, 0.25, 0.25]
resize_range: [0.4, 1.5]
jpeg_prob: 1.0
jpeg_range: [75, 95]
resize_prob2: [0.3, 0.4, 0.3]
resize_mode_list2: [bilinear, bicubic, nearest-exact, lanczos]
resize_mode_prob2: [0.25, 0.25, 0.25, 0.25]
resize_range2: [0.6, 1.2]
jpeg_prob2: 1.0
jpeg_range2: [75, 95]
resize_mode_list3: [bilinear, bicubic, nearest-exact, lanczos]
resize_mode_prob3: [0.25, 0.25, 0.25, 0.25]
queue_size: 120
"""
_REDUX_PAIRS = REDUX.partition("scale: <scale>\n")[2].replace("PairedImageDataset", "pairedimagedataset")
for _line in ("    io_backend:\n      type: disk\n", "    dataset_enlarge_ratio: auto\n"):
    _REDUX_PAIRS = _REDUX_PAIRS.replace(_line, "")
_REDUX_TAIL = """\
network_g:
  type: compact
path:
  strict_load_g: true
train:
  ema_decay: 0.999
  optim_g:
    type: AdamW
    lr: 0.0002
    weight_decay: 0
    betas: [0.9, 0.99]
  scheduler:
    type: MultiStepLR
    milestones: [100000, 200000, 300000, 400000, 425000]
    gamma: 0.5
  total_iter: 450000
  warmup_iter: -1
  losses:
    - type: charbonnierloss
      loss_weight: 1.0
val:
  val_enabled: false
  val_freq: 1000
  save_img: false
logger:
  print_freq: 100
  save_checkpoint_freq: 1000
  save_checkpoint_format: safetensors
  use_tb_logger: true
"""
_REDUX_HR = _REDUX_PAIRS.replace("    dataroot_lq: <lr>\n", "").replace("pairedimagedataset", "realesrgandataset")
_NEOSR_HEAD = """\
# <about>; neosr: python train.py -opt THIS_FILE
name = "srfast_coreset"
model_type = "image"
scale = <scale>
use_amp = true
bfloat16 = true
""" + NEOSR.partition("scale = <scale>\n")[2]
_NEOSR_DEGRADATION = """
# The degradations of the template: change them to those that your images have.
[degradations]
resize_prob = [0.3, 0.4, 0.3]
resize_range = [0.5, 1.5]
gaussian_noise_prob = 0.2
noise_range = [0, 2]
poisson_scale_range = [0.05, 0.25]
gray_noise_prob = 0.1
jpeg_range = [40, 95]
second_blur_prob = 0.4
resize_prob2 = [0.3, 0.4, 0.3]
resize_range2 = [0.3, 1.5]
gaussian_noise_prob2 = 0.2
noise_range2 = [0, 2]
poisson_scale_range2 = [0.05, 0.1]
gray_noise_prob2 = 0.1
jpeg_range2 = [35, 95]
blur_kernel_size = 7
kernel_list = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
kernel_prob = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
sinc_prob = 0.1
blur_sigma = [0.2, 3]
betag_range = [0.5, 4]
betap_range = [1, 2]
blur_kernel_size2 = 9
kernel_list2 = ["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]
kernel_prob2 = [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
sinc_prob2 = 0.1
blur_sigma2 = [0.2, 1.5]
betag_range2 = [0.5, 4]
betap_range2 = [1, 2]
final_sinc_prob = 0.8
"""
_NEOSR_TAIL = """
[path]

[network_g]
type = "span"

[train]
ema = 0.999

[train.optim_g]
type = "adan_sf"
lr = 1e-3
betas = [0.98, 0.92, 0.99]
weight_decay = 0.01
schedule_free = true
warmup_steps = 1600

[train.mssim_opt]
type = "mssim_loss"
loss_weight = 1.0

[train.consistency_opt]
type = "consistency_loss"
loss_weight = 1.0

[logger]
total_iter = 1000000
save_checkpoint_freq = 1000
use_tb_logger = true
"""
_NEOSR_HR = (
    _NEOSR_HEAD.replace("dataroot_lq = <lr>\n", "").replace('"paired"', '"otf"').replace('"image"', '"otf"')
).replace("_coreset", "_coreset_otf")

CONFIGURATIONS = {
    "redux": {
        "redux.yml": _REDUX_HEAD + _REDUX_PAIRS + _REDUX_TAIL,
        "redux-otf.yml": _REDUX_HEAD.replace("_coreset", "_coreset_otf") + _REDUX_DEGRADATION + _REDUX_HR + _REDUX_TAIL,
    },
    "neosr": {
        "neosr.toml": _NEOSR_HEAD + _NEOSR_TAIL,
        "neosr-otf.toml": _NEOSR_HR + _NEOSR_DEGRADATION + _NEOSR_TAIL,
    },
}
"""Trainer -> its files: for pairs, and for degradation on the fly."""
