"""Every command and every format of an export, on three tiny images, and what of its output is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from forking import Launch
from harness import Case, digest, of_prune, of_study, of_training, of_tree
from PIL import Image
from skimage import data

import srfast.coreset.curvature
import srfast.coreset.influence
from srfast.cli.tools import PHOTOGRAPHS

STUDY = """
title = "A study of seconds"
data = {train = ["photos"], test = {tests = "tests/a.png"}}
scoring = {patch = 24, join = "other.csv", scorers = ["bicubic"]}
[training]
models = ["fsrcnn"]
options.fsrcnn = {features = 4, shrunk = 2, mappings = 1}
updates = 4
seeds = 1
batch = 2
lr_patch = 12
save_every = 2
[[arm]]
name = "des"
keep = 0.5
"""


def cases(inputs: Path) -> list[Case]:
    photos, low, tests, test = (str(inputs / n) for n in ("photos", "low", "tests", "tests/a.png"))
    every, few, core = (str(inputs / f"{n}.parquet") for n in ("all", "few", "core"))
    other, model = str(inputs / "other.csv"), str(inputs / "run/model.safetensors")
    grid = ["--patch", "24", "--stride", "12", "--scorer", "bicubic", "--threads", "1"]
    wide = ["--patch", "24", "--stride", "24", "--scorer", "bicubic", "--threads", "1"]
    resume = ["--resume"]
    scored = {"again": resume, "older": ["score", photos, *wide, "-o"]}
    blank = "pictures cannot be shown"
    judged = f"{blank}|unreadable: "
    pruned = {"again": resume, "older": ["prune", photos, *wide, "-o"], "grows": True, "says": blank}
    small = ["--batch", "2", "--lr-patch", "12", "--threads", "1", "--log-every", "1"]
    tiny = ["--option", "features=4", "--option", "shrunk=2", "--option", "mappings=1"]
    training = ["--steps", "4", "--save-every", "2", *tiny, *small]
    judging = ["audit", photos, "--patch", "32", "--threads", "1"]
    studying = ["study", f"{inputs}/study.toml"]
    exporting = ["export", core, "--scale", "2", "--threads", "1"]
    pairs, pages = f"{inputs}/pairs", f"{inputs}/pages"
    formats = {
        **{name: [name] for name in ("folder", "basicsr", "lmdb", "hf", "webdataset", "list")},
        "hf embedded": ["hf", "--embed"],
        "webp and check": ["basicsr", "--format", "webp", "--check"],
        "existing": ["folder", "--existing", f"{pairs}/HR", "--existing-lr", f"{pairs}/LRx2"],
        "existing lmdb": ["lmdb", "--existing", f"{pages}/HR.lmdb", "--existing-lr", f"{pages}/LRx2.lmdb"],
    }
    return [
        Case("score", ["score", photos, *grid, "-o"], "s.parquet", again=resume),
        Case("score over older", ["score", photos, *grid, "-o"], "s.parquet", **scored),
        Case("score of pairs", ["score", photos, *grid, "--lr-images", low, "-o"], "s.parquet", again=resume),
        Case("score/", ["score", photos, *grid, "-o"], "s/", of_table, again=resume),
        Case("score/ over older", ["score", photos, *grid, "-o"], "s/", of_table, **scored),
        Case("prune", ["prune", photos, *grid, "-o"], "pruned", of_prune, again=resume, grows=True, says=blank),
        Case("prune over older", ["prune", photos, *grid, "-o"], "pruned", of_prune, **pruned),
        Case("select", ["select", every, "--keep", "0.3", "-o"], "c.parquet"),
        Case("select over older", ["select", every, "--keep", "0.3", "-o"], "c.parquet",
             older=["select", every, "--keep", "0.6", "-o"]),
        Case("select by a list", ["select", few, "--reject", f"{inputs}/rejects.csv", "-o"], "c.parquet"),
        Case("select by likeness", ["select", few, "--method", "similar", "--target", tests, "-o"], "c.parquet"),
        Case("select on disk", ["select", every, "--keep", "0.3", "-o"], "c.parquet"),
        Case("dedup", ["dedup", few, "--against", tests, "-o"], "marked.parquet"),
        Case("join", ["join", few, other, "-o"], "joined.parquet"),
        Case("influence", ["influence", few, "--target", test, "-o"], "helped.parquet", torch=True),
        Case("select by influence", ["select", few, "--method", "influence", "--target", test, "-o"], "c.parquet",
             torch=True),
        Case("stats", ["stats", few, "--json"]),
        Case("report", ["report", few, "--coreset", core, "-o"], "page.html", says=blank),
        Case("report of two", ["report", core, f"{inputs}/half.parquet", "-o"], "page.html", says=blank),
        Case("audit", [*judging, "--against", tests, "--patches", "-o"], "judged", grows=True, content=of_tree,
             says=judged),
        Case("audit over older", [*judging, "--stride", "8", "-o"], "judged", of_tree, older=[*judging, "-o"],
             grows=True, says=judged),
        Case("compare", ["compare", f"{inputs}/one.csv", f"{inputs}/two.json", "--json"]),
        Case("demo", ["demo", "-o"], "demo", of_demo, grows=True, says=blank),
        Case("onnx", ["onnx", "-o"], "scorer.onnx", torch=True),
        *(
            Case(f"export {name}", [*exporting, "--to", *how, "-o"], "pairs",
                 of_databases if "lmdb" in name else of_tree, again=resume, torch=True)
            for name, how in formats.items()
        ),
        Case("eval", ["eval", model, "--data", tests, "--json"], "scores.json", of_evaluation, torch=True),
        Case("train", ["train", "fsrcnn", "--data", photos, "--eval-data", test, *training, "-o"], "run", of_training,
             again=resume, torch=True, grows=True),
        Case("train on a core-set", ["train", "fsrcnn", "--data", core, *training, "-o"], "run", of_training,
             again=resume, torch=True, grows=True),
        Case("study", [*studying, "--jobs", "1", "-o"], "study", of_study, torch=True, grows=True, waits=True),
        Case("study's tables", [*studying, "--tables", "-o"], "study", of_tables, older=[*studying, "-o"],
             torch=True, grows=True),
    ]  # fmt: skip


def prepare(inputs: Path, torch: bool) -> None:
    """Three tiny images, two to test on, and what the commands make of them; ``torch``: also with it."""
    rng = np.random.default_rng(0)
    for folder, names in (("photos", ("a.png", "b c.jpg", "d.webp")), ("tests", ("a.png", "b.png"))):
        (inputs / folder).mkdir(parents=True)
        for name in names:
            noise = Image.fromarray(rng.integers(0, 256, (6, 7, 3), np.uint8))
            noise.resize((56, 48), Image.Resampling.BICUBIC).save(inputs / folder / name)
    for name in PHOTOGRAPHS:
        pixels = rng.integers(0, 256, (48, 52, 3), np.uint8)
        setattr(data, name, lambda pixels=pixels: pixels)
    if torch:
        _draw_nothing()
        # The curvature is sketched from 10 crops instead of 4,096, the step is found on 2 instead of 128.
        srfast.coreset.influence.PROBES, srfast.coreset.curvature._SAMPLE = 10, 2
    (inputs / "low").mkdir()
    for photo in (inputs / "photos").iterdir():
        with Image.open(photo) as image:
            image.resize((28, 24), Image.Resampling.BICUBIC).save(inputs / "low" / f"{photo.stem}.png")
    (inputs / "study.toml").write_text(STUDY)
    (inputs / "other.csv").write_text("image,quality\na.png,1\nb c.jpg,2.5\nd.webp,3\n")
    (inputs / "rejects.csv").write_text("image,x,y,size,reason\na.png,,,,mine\nd.webp,0,12,24,mine\n")
    (inputs / "one.csv").write_text("image,psnr\na.png,20.5\nb.png,21\n")
    (inputs / "two.json").write_text(json.dumps({"images": [{"image": f"{n}.png", "psnr": 21.5} for n in "ab"]}))
    photos, core = str(inputs / "photos"), str(inputs / "core.parquet")
    grid = ["--patch", "24", "--scorer", "bicubic", "--threads", "1"]
    small = ["--steps", "1", "--batch", "2", "--lr-patch", "12", "--threads", "1"]
    lines = [
        ["score", photos, *grid, "--stride", "4", "-o", f"{inputs}/all.parquet"],
        ["score", photos, *grid, "--stride", "12", "-o", f"{inputs}/few.parquet"],
        ["select", f"{inputs}/few.parquet", "--keep", "0.2", "-o", core],
        ["select", f"{inputs}/few.parquet", "--keep", "0.3", "--order", "asc", "-o", f"{inputs}/half.parquet"],
    ]
    if torch:
        lines += [
            ["export", core, "--to", "folder", "--scale", "2", "-o", f"{inputs}/pairs"],
            ["export", core, "--to", "lmdb", "--scale", "2", "-o", f"{inputs}/pages"],
            ["train", "fsrcnn", "--data", photos, *small, "-o", f"{inputs}/run"],
        ]
    for line in lines:
        code, _, err = Launch(line).end()
        assert code == 0, err


def _draw_nothing() -> None:
    """Figures of a study are written without being drawn, which takes five times as long as all the rest of a run."""
    from matplotlib.figure import Figure

    def written(_figure: Figure, path: Path, **_options: Any) -> None:
        with open(path, "wb") as file:
            file.write(b"a figure\n" * 1000)

    cast(Any, Figure).savefig = written


def of_table(folder: Path) -> str:
    from srfast.scoring.table import ScoreTable

    table = ScoreTable.read(folder)
    return digest(json.dumps([table.table.to_pydict(), table.meta], sort_keys=True, default=str).encode())


def of_demo(folder: Path) -> str:
    """Rows, as the times of the photographs are in the metadata; and the photographs."""
    import pyarrow.parquet as pq

    assert (folder / "report.html").exists()
    tables = [pq.read_table(folder / n).to_pydict() for n in ("scores.parquet", "coreset.parquet")]
    return digest(repr(tables).encode(), of_tree(folder / "photos").encode())


def of_tables(folder: Path) -> str:
    return digest(*(of_tree(folder / n).encode() for n in ("tables", "figures")))


def of_evaluation(path: Path) -> str:
    content = json.loads(path.read_text())
    return digest(json.dumps({k: v for k, v in content.items() if "seconds" not in k}).encode())


def of_databases(folder: Path) -> str:
    """Names and files; the pages depend on the transactions."""
    import lmdb

    values = []
    for path in sorted(folder.glob("*.lmdb")):
        values.append((path / "meta_info.txt").read_bytes())
        with lmdb.open(str(path), readonly=True, lock=False) as opened, opened.begin() as read:
            values += [part for pair in read.cursor() for part in pair]
    assert values
    return digest(*values)
