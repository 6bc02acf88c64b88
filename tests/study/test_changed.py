"""``study``: a file, or data, that have changed since the trainings."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

import srfast
from srfast.data.atomic import checksum
from srfast.errors import InputError
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.folder import status
from srfast.study.publication import publish
from srfast.study.runner import run_study

sys.path.append(str(Path(__file__).resolve().parents[2]))
preregistered = importlib.import_module("experiments.preregistered")  # not in the package
ARM = """
[[arm]]
name = "des"
keep = 0.5
budget = "updates"
"""


def run(study, out, **options):
    return srfast.run_study(study, out, jobs=1, **options)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("keep = 0.5", 'keep = 0.5\norder = "asc"', "arm.select.order: .* was run with None, got 'asc'"),
        ("mappings = 1\n", "", "options.mappings: .* was run with 1, got None"),
        ("scorer_updates = 2", "scorer_updates = 3", "scorer_updates: .* was run with 2, got 3"),
        ('"photos/sub"}', '"photos/sub", more = "photos"}', "test.more: .* was run with None, got '4 images"),
    ],
)
def test_what_is_added_or_left_out_is_another_setting(write_study, tmp_path, old, new, message, refused):
    how, out = {"updates": 4, "arms": ARM, "scorers": '["srcnn:1"]'}, tmp_path / "out"
    cells = run(write_study(**how), out).meta["cells"]
    study = write_study(**how)
    assert run(study, out).meta["cells"] == cells
    write_study((old, new), **how)
    refused(message, run, study, out)
    other = preregistered.run(study, tmp_path / "other", known=[out]).meta["cells"]
    assert [cell["weights"] for cell in other.values()] != [None]
    assert (tmp_path / "other" / "cells" / "fsrcnn-des-k50-u4-s0" / "model.safetensors").exists()  # trained, not taken
    write_study(**how)
    refused(message.partition(":")[0], run, study, tmp_path / "other")


def test_the_pool_of_finished_cells_is_checked(write_study, tmp_path):
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    run(study, out)
    shutil.copytree(tmp_path / "photos" / "sub", tmp_path / "others")
    with pytest.raises(InputError, match=r"images: .* was scored with other images"):
        run(write_study(('train = ["photos"]', 'train = ["others"]'), updates=4, arms=ARM), out)


def test_claims_are_judged_by_the_first_scorer(write_study, tmp_path):
    claim = '[[claim]]\narm = "des"\nkeep = 0.5\nagainst = "full"\n'
    arms = ARM + '[[arm]]\nname = "full"\nkeep = 1.0\n' + claim
    study = write_study(updates=2, seeds=2, arms=arms, scorers='["bicubic", "srcnn"]')
    assert "not run" in publish(run(study, tmp_path / "out", only="*-c1-*"), None)


@pytest.mark.parametrize("name", ["scores-0.json", "cells/fsrcnn-des-k50-u4-s0/cell.json"])
def test_damaged_files_of_a_run(write_study, tmp_path, name, refused):
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    run(study, out)
    (out / name).write_text("{")
    refused(f"{name}: expected JSON as srfast wrote it, got a damaged file", run, study, out)


def test_a_run_on_a_gpu_is_read_without_one(write_study, tmp_path):
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    results = run(study, out)
    results.meta["study"]["device"] = "cuda"
    results.write(out)
    study = write_study(("[training]", '[training]\ndevice = "cuda"'), updates=4, arms=ARM)
    assert status(read_study(study), out).done == ["fsrcnn-des-k50-u4-s0"]


def test_a_folder_that_is_run_again_in_one_process(write_study, tmp_path):
    study, out = write_study(updates=4, arms=ARM), tmp_path / "out"
    run(study, out)
    shutil.rmtree(out)
    study = write_study(("patch = 32", "patch = 32\nstride = 16"), updates=4, arms=ARM)
    results = run(study, out)
    fresh = run(study, tmp_path / "fresh")
    assert results.meta["scoring"][0]["loss_quantiles"] == fresh.meta["scoring"][0]["loss_quantiles"]
    assert results.table["patches"] == fresh.table["patches"]
    assert results.table["psnr"] == fresh.table["psnr"]


ARMS = '[[arm]]\nname = "des"\nkeep = 0.5\n'


@pytest.mark.parametrize("how", ["another image", "another name", "another folder"])
def test_other_test_images_of_the_same_number_are_refused(how, write_study, photo_folder, tmp_path, refused):
    study, out = write_study(arms=ARMS), tmp_path / "out"
    first = run_study(study, out)
    shutil.copytree(photo_folder / "sub", tmp_path / "copy")
    assert run_study(study, out, test={"photos": tmp_path / "copy"}).table.equals(first.table)
    before = (out / "results.parquet").read_bytes()
    image = photo_folder / "sub" / "rocket.png"
    test = None
    if how == "another image":
        with Image.open(image) as opened:
            opened.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(image)
    elif how == "another name":
        image.rename(image.with_name("r.png"))
    else:
        test = {"photos": tmp_path / "others"}
        test["photos"].mkdir()
        for name in ("astronaut.png", "chelsea.jpg"):
            (test["photos"] / name).write_bytes((photo_folder / name).read_bytes())
    refused(r"test\.photos: .* was run with '2 images, .*', got '2 images, ", run_study, study, out, test=test)
    assert (out / "results.parquet").read_bytes() == before


def test_a_finished_cell_names_its_weights(write_study, tmp_path):
    study, out = write_study(arms=ARMS), tmp_path / "out"
    first = run_study(study, out)
    [cell] = (out / "cells").iterdir()
    weights = cell / "model.safetensors"
    assert json.loads((cell / "cell.json").read_text())["weights"] == checksum(weights)
    whole = weights.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("srfast.study.cell.evaluate_tiles", stop)
        with pytest.raises(Stopped):
            run_study(study, tmp_path / "other")
    [cell] = (tmp_path / "other" / "cells").iterdir()
    weights = cell / "model.safetensors"
    with safe_open(weights, "pt") as opened:
        assert opened.metadata()["steps"] == "6"
    srfast.train("fsrcnn", tmp_path / "photos", tmp_path / "another", steps=1, batch=2, lr_patch=12)
    weights.write_bytes((tmp_path / "another" / "model.safetensors").read_bytes())
    results = run_study(study, tmp_path / "other")
    assert results.table.column("psnr").equals(first.table.column("psnr"))
    assert weights.read_bytes() == whole


class Stopped(BaseException):
    pass


def stop(*_, **__):
    raise Stopped


@pytest.mark.parametrize(
    "change", [{"arms": '[[arm]]\nname = "des"\nkeep = [0.5, 0.50000001]\n'}, {"pool": "[0.5, 0.50000001]"}]
)
def test_cells_that_would_share_a_folder_are_refused(change, write_study):
    with pytest.raises(InputError, match=r"arm '.*': expected values that differ in their first six digits"):
        cells(read_study(write_study(**change)))
    twice = '[[arm]]\nname = "des"\nkeep = 1.0\nbudget = ["epochs", "updates"]\n'
    assert len(cells(read_study(write_study(arms=twice)))) == 1
