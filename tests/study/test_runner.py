"""Running studies: results, resume, processes, shards, refusals."""

import json
import os
import shutil
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast
from srfast.data.atomic import checksum
from srfast.data.files import output_folder
from srfast.errors import InputError, RunError
from srfast.runtime.locks import Lock
from srfast.scoring.table import ScoreTable
from srfast.study import cell as cell_module
from srfast.study.description import cells, pick
from srfast.study.file import read_study
from srfast.study.folder import status
from srfast.study.pool import find_data, pool_of
from srfast.study.results import Results
from srfast.study.runner import run_study
from srfast.training import loop


def values(results):
    """The rows, but for what a clock says."""
    return [{k: v for k, v in row.items() if "seconds" not in k} for row in results.table.to_pylist()]


def test_one_row_a_cell_and_image(write_study, tmp_path):
    results = srfast.run_study(write_study(), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "results.parquet")
    assert table.column_names[:9] == "cell arm model scale keep updates seed dataset image".split()
    assert table.num_rows == results.table.num_rows == 4 * 2
    meta = json.loads(table.schema.metadata[b"srfast"])
    assert meta["study"]["title"] == "A study of seconds"
    assert meta["cells"]["fsrcnn-des-k50-u6-s0"]["settings"]["recipe"]["lr_patch"] == 12
    assert str(tmp_path) not in json.dumps(meta), "results say nothing of the machine"
    row = next(r for r in table.to_pylist() if r["cell"] == "fsrcnn-des-k50-u6-s0")
    weights = tmp_path / "out" / "cells" / row["cell"] / "model.safetensors"
    again = srfast.evaluate(weights, tmp_path / "photos" / "sub", 2).images
    assert {i.image: i.psnr for i in again}[row["image"]] == row["psnr"]
    assert Results.read(tmp_path / "out").table.equals(results.table)
    rows = [r for r in results.strata.to_pylist() if r["cell"] == "fsrcnn-des-k50-u6-s0" and r["stratum"] != "flat"]
    # 171 x 123 and 96 x 96 pixels, cropped to even sizes, less 2 at each side: 5 x 3 and 2 x 2 tiles of 32.
    assert sum(r["pixels"] for r in rows) == (15 + 4) * 32**2
    assert {r["cell"] for r in results.strata.to_pylist()} == set(results.meta["cells"])


def test_an_arm_has_a_recipe_of_its_own(write_study, tmp_path):
    recipes = {"plain": "", "large": 'batch = 4\nloss = "l1"\n', "same": "batch = 2\n"}
    arms = "".join(f'[[arm]]\nname = "{name}"\nkeep = 1.0\n{more}' for name, more in recipes.items())
    results = srfast.run_study(write_study(arms=arms), tmp_path / "out")
    psnr = {name: [r["psnr"] for r in results.table.to_pylist() if r["arm"] == name] for name in recipes}
    assert psnr["same"] == psnr["plain"] != psnr["large"]
    used = {name: results.meta["cells"][f"fsrcnn-{name}-k100-u12-s0"]["settings"]["recipe"] for name in recipes}
    assert (used["large"]["batch"], used["large"]["loss"]) == (4, "l1")
    assert used["same"] == used["plain"]


def test_killed_and_resumed_gives_the_same(write_study, tmp_path, monkeypatch):
    whole = run_study(write_study(seeds=2), tmp_path / "whole")
    update, calls = loop._Runner._update, [0]

    class Killed(BaseException):
        pass

    def killed(self, *args):
        calls[0] += 1
        if calls[0] == 18:  # in the second cell, one update after a checkpoint
            raise Killed
        return update(self, *args)

    monkeypatch.setattr(loop._Runner, "_update", killed)
    with pytest.raises(Killed):
        run_study(write_study(seeds=2), tmp_path / "out")
    known = status(read_study(write_study(seeds=2)), tmp_path / "out")
    assert (len(known.done), len(known.running), len(known.left)) == (1, 0, 7)
    assert known.seconds is not None
    assert Results.read(tmp_path / "out").table.num_rows == 2, "what had finished is gathered"
    resumed = run_study(write_study(seeds=2), tmp_path / "out")
    assert values(resumed) == values(whole)
    assert calls[0] == sum(c["updates"] for c in _cells(whole)) + 2, "one update lost, one interrupted"


def _cells(results):
    return [c["settings"] for c in results.meta["cells"].values()]


def test_processes_and_shards_give_the_same(write_study, tmp_path):
    pytest.importorskip("joblib")
    alone = run_study(write_study(), tmp_path / "alone")
    run_study(write_study(), tmp_path / "out", shard=(0, 2), jobs=1)
    assert len(status(read_study(write_study()), tmp_path / "out").done) == 2
    seen = []
    together = run_study(write_study(), tmp_path / "out", jobs=2, progress=lambda _, *count: seen.append(count))
    assert seen == [(3, 4), (4, 4)]
    assert values(together) == values(alone)


def test_a_cell_that_another_process_runs_is_left_to_it(write_study, tmp_path):
    folder = tmp_path / "out" / "cells" / "fsrcnn-rs2-k50-u6-s0"
    with output_folder(tmp_path / "out", "study", shared=True):
        folder.mkdir(parents=True)
    ends = []
    with Lock.take(folder / "lock", folder):
        run_study(write_study(), tmp_path / "out", progress=lambda outcome, *_: ends.append(outcome.state))
        assert status(read_study(write_study()), tmp_path / "out").running == [folder.name]
    assert ends == ["done", "done", "done", "elsewhere"]


def test_no_room_for_semaphores(write_study, tmp_path, monkeypatch):
    """A full /dev/shm: joblib would take threads, and fail with an assertion of its own."""

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("multiprocessing.synchronize.Semaphore.__init__", full)
    with pytest.raises(RunError, match=r"jobs: several processes need semaphores \(No space left on device: /dev/shm"):
        run_study(write_study(updates=2), tmp_path / "out", jobs=2)


def test_a_failed_cell_does_not_stop_the_others(write_study, tmp_path, monkeypatch):
    train = cell_module.train

    def failing(plan, *args, **options):
        if plan.steps == 6:
            raise RunError("the loss is nan")
        return train(plan, *args, **options)

    monkeypatch.setattr(cell_module, "train", failing)
    with pytest.raises(RunError, match="2 of 4 cells failed; fsrcnn-des-k50-u6-s0: the loss is nan"):
        run_study(write_study(), tmp_path / "out")
    assert Results.read(tmp_path / "out").table.num_rows == 4


def test_a_study_on_degraded_lr(write_study, tmp_path, refused):
    path = write_study(arms='[[arm]]\nname = "all"\n', seeds=[3])
    plain = srfast.run_study(path, tmp_path / "plain")
    mild = tmp_path / "mild.toml"
    noise = '[[operation]]\ndo = "bicubic"\n[[operation]]\ndo = "gaussian-noise"\nsigma = 5\n'
    mild.write_text(noise)
    path.write_text(path.read_text().replace("updates = 12", 'updates = 12\ndegradation = "mild.toml"'))
    results = srfast.run_study(path, tmp_path / "out")
    rows = results.table.to_pylist()
    for table in (rows, results.strata.to_pylist()):
        assert {r["dataset"] for r in table} == {"photos", "photos-degraded"}
    weights = tmp_path / "out" / "cells" / rows[0]["cell"] / "model.safetensors"
    for name, degradation in (("photos", None), ("photos-degraded", mild)):
        again = srfast.evaluate(weights, tmp_path / "photos" / "sub", 2, degradation=degradation).images
        assert {i.image: i.psnr for i in again} == {r["image"]: r["psnr"] for r in rows if r["dataset"] == name}
    trained = checksum(weights), checksum(tmp_path / "plain" / "cells" / rows[0]["cell"] / "model.safetensors")
    assert trained[0] != trained[1], "the trainings see degraded LR too"
    assert results.meta["study"]["degradation"] == "mild.toml", "results say nothing of the machine"
    assert plain.meta["study"]["degradation"] == ""
    with pytest.raises(InputError, match=r"data.test: expected names that do not end in -degraded, got a-degraded"):
        srfast.run_study(path, tmp_path / "plain", test={"a-degraded": tmp_path / "photos" / "sub"})
    refused(r"degradation: .*plain.* was run with None", srfast.run_study, path, tmp_path / "plain")
    mild.write_text(noise.replace("5", "6"))
    refused(r"degradation: .* was run with", srfast.run_study, path, tmp_path / "out")


def test_other_settings_are_refused(write_study, tmp_path):
    run_study(write_study(), tmp_path / "out", only="des-k100")
    with pytest.raises(InputError, match=r"recipe\.batch: .*des-k100-u12-s0 was run with 2, got 4"):
        run_study(write_study(("batch = 2", "batch = 4")), tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "cells")
    with pytest.raises(InputError, match=r"patch: .*scores-0.parquet was scored with 32, got 64"):
        run_study(write_study(("patch = 32", "patch = 64")), tmp_path / "out")


def test_images_that_changed_since_they_were_scored(write_study, tmp_path, photo_folder, caplog):
    run_study(write_study(updates=2), tmp_path / "out", shard=(0, 2))
    image = photo_folder / "astronaut.png"
    state = image.stat()
    os.utime(image, ns=(1, 1))
    run_study(write_study(updates=2), tmp_path / "out", only="*k50*")
    assert "have other times" not in caplog.text
    with Image.open(image) as photograph:
        photograph.rotate(180).save(image)
    image.write_bytes(image.read_bytes()[: state.st_size].ljust(state.st_size, b"\0"))
    os.utime(image, ns=(1, 1))
    with pytest.raises(InputError, match=r"astronaut\.png: has changed since .*scores-0\.parquet was scored"):
        run_study(write_study(updates=2, seeds=2), tmp_path / "out")


def test_pairs_of_seeds_start_alike(write_study, tmp_path):
    """Seed k has the same initialisation in each arm: with no update to speak of, arms end alike, seeds do not."""
    results = run_study(write_study(("batch = 2", "batch = 2\nlr = 1e-12"), updates=1, seeds=2), tmp_path / "out")
    psnr = {c: [r["psnr"] for r in results.table.to_pylist() if r["cell"] == c] for c in results.meta["cells"]}
    des, rs2 = psnr["fsrcnn-des-k100-u1-s0"], psnr["fsrcnn-rs2-k50-u1-s0"]
    assert des == pytest.approx(rs2, abs=1e-6)
    assert abs(des[0] - psnr["fsrcnn-des-k100-u1-s1"][0]) > 1e-3


def test_a_trained_scorer(write_study, tmp_path):
    results = run_study(write_study(scorers='["bicubic", "srcnn:3"]'), tmp_path / "out", only="des-k50-u6")
    assert {c["scorer"] for c in _cells(results)} == {"bicubic", "srcnn:3"}
    assert [s["scorer"] for s in results.meta["scoring"]] == ["bicubic", "srcnn:3"]
    tables = [pq.read_table(tmp_path / "out" / f"scores-{i}.parquet")["loss"].to_numpy() for i in (0, 1)]
    assert not np.array_equal(*tables)


def test_a_part_of_my_images_is_kept_for_testing(write_study, photo_folder):
    data = find_data(read_study(write_study(), images=[photo_folder]))
    assert len(data.train) == 3
    assert len(data.test["holdout"]) == 1
    assert not set(data.train) & set(data.test["holdout"])


def test_pools_of_a_seed_are_nested(photo_folder):
    table = srfast.score(photo_folder, patch=32, scorer="bicubic")
    names = [set(pool_of(table, f, 1).table["image"].to_pylist()) for f in (0.25, 0.5, 0.75, 1.0)]
    assert [len(n) for n in names] == [1, 2, 3, 4]
    assert all(a < b for a, b in pairwise(names))
    assert len({next(iter(pool_of(table, 0.25, s).table["image"].to_pylist())) for s in range(8)}) > 1


def test_arms_of_several_sizes(write_study, tmp_path):
    arms = '[[arm]]\nname = "half"\nwhere = "shrink = 0.5"\n[[arm]]\nname = "one"\none_size = true\n'
    path = write_study(("patch = 32", 'patch = 32\nshrink = "1,1/2"\ndefects = true'), arms=arms)
    results = run_study(path, tmp_path / "out", jobs=1)
    table = ScoreTable.read(tmp_path / "out" / "scores-0.parquet")
    assert {"shrink", "blur", "upscaled"} <= set(table.columns)
    patches = {row["arm"]: row["patches"] for row in results.table.to_pylist()}
    assert patches["half"] == (table["shrink"] == 0.5).sum() > 0
    assert 0 < patches["one"] < len(table)
    with pytest.raises(InputError, match=r"was run with \[32, 32, 'patch', '1', '1/2'\], got \[32, 32, 'patch'\]"):
        run_study(write_study(arms=arms), tmp_path / "out", jobs=1)


@pytest.mark.parametrize("method", ["hdc", "diverse", "reducible"])
def test_other_methods_are_arms(write_study, tmp_path, method):
    arms = f'[[arm]]\nname = "other"\nmethod = "{method}"\nkeep = 0.5\n'
    results = srfast.run_study(write_study(arms=arms), tmp_path / "out")
    scores = srfast.ScoreTable.read(tmp_path / "out" / "scores-0.parquet")
    assert {r["patches"] for r in results.table.to_pylist()} == {len(srfast.select(scores, keep=0.5))}


def test_the_grid_its_shards_and_its_updates(write_study, refused):
    names = ("des-k100-u12", "des-k50-u6", "des-k50-u12", "rs2-k50-u6")
    every = cells(read_study(write_study(seeds=2)))
    assert [c.name for c in every] == [f"fsrcnn-{name}-s{seed}" for seed in (0, 1) for name in names]
    shards = [pick(every, None, (i, 3)) for i in range(3)]
    assert sorted(c.name for s in shards for c in s) == sorted(c.name for c in every)
    assert pick(every, None, (3, 3)) == shards[0]
    assert [c.name for c in pick(every, "rs2", None)] == [f"fsrcnn-rs2-k50-u6-s{seed}" for seed in (0, 1)]
    assert [c.name for c in pick(every, "*-u12-s0", None)] == ["fsrcnn-des-k100-u12-s0", "fsrcnn-des-k50-u12-s0"]
    refused("only: ", pick, every, "sobel", None)
    # Only arms that ask a scorer are repeated for another.
    names = [c.name for c in cells(read_study(write_study(scorers='["bicubic", "srcnn"]')))]
    assert "fsrcnn-des-k50-u6-c1-s0" in names
    assert len([n for n in names if "rs2" in n]) == 1
    study = read_study(write_study(updates=1951))
    assert [study.updates_of("epochs", k, 1.0) for k in (1.0, 0.75, 0.5, 0.25)] == [1951, 1463, 976, 488]
    assert study.updates_of("updates", 0.25, 0.5) == 1951
    assert study.updates_of("epochs", 0.5, 0.5) == 488
    assert study.updates_of(0.5, 1.0, 1.0) == 976
    assert study.updates_of("epochs", 1e-6, 1.0) == 1
