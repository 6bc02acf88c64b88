"""A finished cell is that of its test images, by names and contents, and of its own settings to the last digit."""

import json
import shutil
from typing import Any

import pytest
from PIL import Image
from safetensors import safe_open

import srfast
from srfast.data.atomic import checksum
from srfast.errors import InputError
from srfast.study.description import cells
from srfast.study.file import read_study
from srfast.study.results import images_as_text
from srfast.study.runner import run_study

ARMS = '[[arm]]\nname = "des"\nkeep = 0.5\n'


@pytest.mark.parametrize("how", ["another image", "another name", "another folder"])
def test_other_test_images_of_the_same_number_are_refused(how, write_study, photo_folder, tmp_path):
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
    with pytest.raises(InputError, match=r"test\.photos: .* was run with '2 images, .*', got '2 images, "):
        run_study(study, out, test=test)
    assert (out / "results.parquet").read_bytes() == before


def test_a_checksum_is_taken_again_when_a_file_changes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    first = images_as_text([str(path)])
    path.write_bytes(b"12")
    assert images_as_text([str(path)]) != first


def test_a_finished_cell_names_its_weights(write_study, tmp_path):
    """Of a cell whose training ended between its files, too: a finished training without its last weights."""
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


def stop(*_: Any, **__: Any) -> Any:
    raise Stopped


@pytest.mark.parametrize(
    "change", [{"arms": '[[arm]]\nname = "des"\nkeep = [0.5, 0.50000001]\n'}, {"pool": "[0.5, 0.50000001]"}]
)
def test_cells_that_would_share_a_folder_are_refused(change, write_study):
    with pytest.raises(InputError, match=r"arm '.*': expected values that differ in their first six digits"):
        cells(read_study(write_study(**change)))
    twice = '[[arm]]\nname = "des"\nkeep = 1.0\nbudget = ["epochs", "updates"]\n'
    assert len(cells(read_study(write_study(arms=twice)))) == 1
