"""A run that is resumed by its folder alone."""

import csv
import json
import os
import re
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import srfast
from srfast.data.images import find_images
from srfast.data.provenance import kind_of
from srfast.errors import InputError
from srfast.training import arguments
from srfast.training.settings import TrainSettings

SMALL = {"batch": 2, "lr_patch": 12, "threads": 1, "log_every": 1}


def rows_of(folder):
    with open(folder / "log.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_folder_alone_continues_a_run(photo_folder, tmp_path, run, monkeypatch):
    monkeypatch.chdir(photo_folder.parent)
    srfast.train("FSRCNN", photo_folder.name, "run", steps=3, seed=5, lr_factors={"body": 0.5}, **SMALL)
    folder = tmp_path / "run"
    assert kind_of(folder / "run.json") == "run settings"
    saved = json.loads((folder / "run.json").read_text())["arguments"]
    assert (saved["model"], saved["data"], saved["batch"]) == ("fsrcnn", [str(photo_folder)], 2)
    before = float(rows_of(folder)[-1]["seconds"])
    monkeypatch.chdir("/")
    code, out, err = run("train", "--resume", "-o", folder, "--steps", "5", "--json")
    assert code == 0, err
    assert "steps: 5 instead of 3; the schedule of the learning rate stretches over all of them" in err
    assert json.loads(out)["step"] == 5
    rows = rows_of(folder)
    assert [r["step"] for r in rows] == ["1", "2", "3", "4", "5"]
    seconds = [float(r["seconds"]) for r in rows]
    assert seconds == sorted(seconds)
    assert seconds[3] >= before  # written to a hundredth
    settings = torch.load(folder / "last.pt", weights_only=True)["settings"]
    assert (settings["steps"], settings["seed"], settings["lr_factors"]) == (5, 5, {"body": 0.5})
    code, _, err = run("train", "--resume", "-o", folder, "--threads", "1")
    assert code == 0, err
    assert "instead of" not in err


def test_a_run_that_was_killed_before_its_first_checkpoint(photo_folder, tmp_path):
    srfast.train("fsrcnn", photo_folder, tmp_path / "a", steps=2, **SMALL)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_bytes((tmp_path / "a" / "run.json").read_bytes())
    srfast.train(output=tmp_path / "b", resume=True)
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 3}, "scale: RUN was trained with 2, got 3; resume with the same settings"),
        ({"batch": 4}, "batch: RUN was trained with 2, got 4"),
        ({"loss": "l1"}, "loss: "),
        ({"lr": 2e-3}, "lr: RUN was trained with"),
        ({"lr_patch": 10}, "lr_patch: RUN was trained with"),
        ({"precision": "bf16"}, "precision: RUN was trained with"),
        ({"seed": 1}, "seed: RUN was trained with"),
        ({"init": "other.safetensors"}, "init: RUN was trained with None, got"),
        ({"recipe": "paper"}, "recipe: RUN was trained with 'default', got 'paper'"),
        ({"steps": 1}, "steps: RUN was planned for 2 steps, which may only grow, got 1"),
        ({"epochs": 0.01}, "steps: RUN was planned for 2 steps, which may only grow, got 1"),
        ({"model": "srcnn"}, "model: RUN was trained with 'fsrcnn', got 'srcnn'"),
    ],
)
def test_what_contradicts_the_run_is_refused_by_name(options, words, photo_folder, tmp_path):
    srfast.train("fsrcnn", photo_folder, tmp_path / "run", steps=2, **SMALL)
    with pytest.raises(InputError) as caught:
        srfast.train(output=tmp_path / "run", resume=True, **options)
    assert str(caught.value).startswith(words.replace("RUN", str(tmp_path / "run")))
    assert "\n" not in str(caught.value)


def test_other_data_are_told_by_their_fingerprint(photo_folder, tmp_path, refused):
    srfast.train("fsrcnn", photo_folder, tmp_path / "run", steps=1, **SMALL)
    photo_folder.rename(tmp_path / "moved")
    refused("photos: no such file or folder", srfast.train, output=tmp_path / "run", resume=True)
    assert srfast.train(data=tmp_path / "moved", output=tmp_path / "run", resume=True, steps=2).step == 2
    with pytest.raises(InputError, match=r"data: .* was trained with"):
        srfast.train(data=tmp_path / "moved" / "sub", output=tmp_path / "run", resume=True)


def test_images_whose_content_changed_are_noticed(photo_folder, tmp_path, refused):
    path = photo_folder / "astronaut.png"
    with Image.open(path) as image:
        image.save(path, compress_level=0)
    srfast.train("fsrcnn", photo_folder, tmp_path / "run", steps=1, **SMALL)
    shutil.copytree(photo_folder, tmp_path / "copy")
    assert srfast.train(data=tmp_path / "copy", output=tmp_path / "run", resume=True, steps=2).step == 2
    state = path.stat()
    with Image.open(path) as image:
        image.transpose(Image.Transpose.ROTATE_180).save(path, compress_level=0)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    words = f"data: {tmp_path / 'run' / 'last.pt'} was trained with other images or patches; resume with the same"
    refused(re.escape(words), srfast.train, data=photo_folder, output=tmp_path / "run", resume=True, steps=3)


def test_other_lr_images_are_noticed(photo_folder, tmp_path):
    for name in ("lr", "other"):
        for file in find_images(photo_folder):
            path = tmp_path / name / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            hr = np.asarray(Image.open(file.path).convert("RGB"))
            low = srfast.imresize(hr[: len(hr) // 2 * 2, : hr.shape[1] // 2 * 2], 0.5)
            Image.fromarray(low if name == "lr" else low // 16 * 16).save(path)
    srfast.train("fsrcnn", photo_folder, tmp_path / "run", steps=1, lr_images=tmp_path / "lr", **SMALL)
    with pytest.raises(InputError, match=r"data: .* was trained with other images or patches"):
        srfast.train(output=tmp_path / "run", resume=True, steps=2, lr_images=tmp_path / "other")


def test_another_cache_is_named(photo_folder, tmp_path, refused):
    last = tmp_path / "run" / "last.pt"
    srfast.train("fsrcnn", photo_folder, tmp_path / "run", steps=1, **SMALL)
    words = f"cache_mb: {last} was trained with 'enough for all images', got '0'"
    refused(re.escape(words), srfast.train, output=tmp_path / "run", resume=True, cache_mb=0)
    srfast.train("fsrcnn", photo_folder, tmp_path / "streamed", steps=1, cache_mb=0, **SMALL)
    with pytest.raises(InputError, match=r"cache_mb: .* was trained with '0', got 'enough for all images'"):
        srfast.train(output=tmp_path / "streamed", resume=True, cache_mb=2048)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mine", "got a foreign file"),
        ('{"generator": "srfast run settings"', "got a damaged file"),
        ('{"generator": "srfast run settings", "arguments": []}', "got a damaged file"),
        ('{"generator": "srfast run settings", "arguments": {"scale": "2"}}', "run.json: scale: expected 1, 2"),
        ('{"generator": "srfast run settings", "arguments": {"size": 2}}', "got a damaged file"),
    ],
)
def test_settings_that_are_not_ours(text, words, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError) as caught:
        srfast.train(output=tmp_path, resume=True)
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "run.json"))


def test_nothing_to_resume(tmp_path, refused):
    for folder, lacks in ((tmp_path, "it holds no run.json"), (tmp_path / "run", "no such folder")):
        with pytest.raises(InputError, match=re.escape(f"{folder}: there is no run to resume, {lacks}; name a model")):
            srfast.train(output=folder, resume=True)
    refused("output: expected the folder of the run", srfast.train, "fsrcnn", tmp_path, steps=1)


def test_run_json_keeps_every_setting(photo_folder, tmp_path):
    a = arguments.gather("fsrcnn", photo_folder, tmp_path, False, {"steps": 3, "lr_factors": {"deconv": 0.1}})
    arguments.write(tmp_path, a.recorded(3))
    kept = arguments.read(tmp_path)
    assert set(kept) == {"model", "data", *TrainSettings.__dataclass_fields__}
    assert (kept["model_options"], kept["lr_factors"], kept["loss"]) == ({}, {"deconv": 0.1}, "mse")
    assert arguments.gather(None, None, tmp_path, True, {}).settings == a.settings
