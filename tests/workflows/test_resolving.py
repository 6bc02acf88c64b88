"""Every function takes a model, and a table, in each of the forms in which a user has it."""

import dataclasses
import inspect
import json
import re

import numpy as np
import pytest
import torch

import srfast
from srfast.coreset.settings import SelectArguments
from srfast.errors import InputError
from srfast.exporting.settings import ExportArguments
from srfast.scoring.settings import ScoreArguments
from srfast.training.settings import TrainArguments
from srfast.workflows.settings import PruneArguments

nn = torch.nn
SMALL = {"steps": 2, "batch": 2, "lr_patch": 8, "lr": 1e-3}
NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, scale):
        super().__init__(nn.Conv2d(3, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))
"""


class Net(nn.Sequential):
    """The smallest network of RGB."""

    def __init__(self, scale):
        super().__init__(nn.Conv2d(3, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))


class Luma(nn.Sequential):
    """A network of Y that does not say so."""

    def __init__(self, scale):
        super().__init__(nn.Conv2d(1, scale**2, 3, padding=1), nn.PixelShuffle(scale))


@pytest.fixture
def tables(photo_folder, tmp_path):
    table = srfast.score(photo_folder, patch=32)
    coreset = srfast.select(table, keep=1.0)
    table.write(tmp_path / "scores.parquet")
    coreset.write(tmp_path / "coreset.parquet")
    (tmp_path / "parts").mkdir()
    table.write(tmp_path / "parts" / "part-00000.parquet")
    return {
        "text": str(tmp_path / "scores.parquet"), "path": tmp_path / "coreset.parquet", "folder": tmp_path / "parts",
        "table": table, "coreset": coreset, "frame": pytest.importorskip("pandas") and coreset.to_pandas(),
    }  # fmt: skip


FUNCTIONS = {
    "stats": lambda given, out: dict(srfast.stats(given))["patches"],
    "pairs": lambda given, out: len(srfast.CorePatches(given, cache=False)),
    "export": lambda given, out: srfast.export(given, out / "pairs", to="folder").patches,
    "report": lambda given, out: srfast.write_report(given, None, out / "r.html").stat().st_size > 0,
    "train": lambda given, out: srfast.train("fsrcnn", given, out / "run", loss_border=0, **SMALL).step,
}


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("kind", ["text", "path", "folder", "table", "coreset", "frame"])
def test_a_table_is_taken_in_every_form(function, kind, tables, tmp_path):
    expected = {"report": True, "train": SMALL["steps"]}.get(function, len(tables["table"]))
    assert FUNCTIONS[function](tables[kind], tmp_path) == expected


def test_a_training_on_a_table_in_memory_is_that_on_its_file(tables, tmp_path):
    options = {**SMALL, "loss_border": 0}
    a = srfast.train("fsrcnn", tables["path"], tmp_path / "a", **options)
    b = srfast.train("fsrcnn", tables["coreset"], tmp_path / "b", **options)
    assert a.weights.read_bytes()[-400:] == b.weights.read_bytes()[-400:]  # the tensors; the header names the data
    with pytest.raises(InputError, match="trained on a table in memory: pass it again in Python"):
        srfast.train(output=tmp_path / "b", resume=True, steps=4)
    assert srfast.train(data=tables["coreset"], output=tmp_path / "b", resume=True, steps=4).step == 4
    with pytest.raises(InputError, match="data: expected images, folders of them or one table"):
        srfast.train("fsrcnn", [tables["coreset"], "photos"], tmp_path / "c", **options)


def test_a_module_is_trained_in_place_and_its_class_by_seed(tables, tmp_path, refused):
    from safetensors.torch import load_file

    net = Net(2)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    net.eval()
    result = srfast.train(net, tables["coreset"], tmp_path / "run", ema=0.5, **SMALL)
    saved = load_file(result.weights)
    assert not net.training
    assert not all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(torch.equal(v, saved[k]) for k, v in net.state_dict().items())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["arguments"]["model"] == "Net"
    with pytest.raises(InputError, match=r"model: .*run trains 'Net', a network of your own; pass it again in Python"):
        srfast.train(output=tmp_path / "run", resume=True, steps=4)
    assert srfast.train(net, tables["coreset"], tmp_path / "run", resume=True, steps=4).step == 4
    refused("those of Net, a module of the caller's", srfast.evaluate, tmp_path / "run", tmp_path)
    forms = {"c": Net, "f": lambda scale: Net(scale)}
    files = [srfast.train(f, tables["coreset"], tmp_path / n, **SMALL).weights for n, f in forms.items()]
    a, b = map(load_file, files)
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        (3, {}, "model: expected a name, FILE.py:NAME, a module or its class, got 3"),
        (Luma, {}, r"model: Luma takes 1 planes, not 3; give its class an attribute color = 'y'"),
        (lambda scale: 3, {}, "expected it to return a torch module, got int"),
        (lambda scale: Net(3), {}, r"to make SR \[2, 3, 16, 16\] of LR \[2, 3, 8, 8\], got \[2, 3, 24, 24\]"),
        (Net(2), {"model_options": {"blocks": 3}}, "model_options: expected none for a module"),
    ],
)
def test_what_is_no_model_is_refused(model, options, message, tables, tmp_path, refused):
    refused(message, srfast.train, model, tables["coreset"], tmp_path / "run", **SMALL, **options)


def test_a_run_scores_evaluates_and_starts_a_training(tables, photo_folder, tmp_path):
    options = {**SMALL, "loss_border": 0, "model_options": {"features": 8, "shrunk": 4, "mappings": 1}}
    run = srfast.train("fsrcnn", tables["coreset"], tmp_path / "run", **options).weights.parent
    by_folder, by_file = (srfast.score(photo_folder, patch=32, scorer=s) for s in (run, run / "model.safetensors"))
    assert np.array_equal(by_folder["loss"], by_file["loss"])
    opened = srfast.models.load(run / "model.safetensors")
    by_folder, by_module = (srfast.evaluate(m, photo_folder, scale=2, protocol="rgb").psnr for m in (run, opened))
    assert by_folder == pytest.approx(by_module, abs=0.05)  # chroma is up-sampled in float by one, in 8 bits by none
    again = srfast.train(run, tables["coreset"], tmp_path / "again", **{**SMALL, "loss_border": 0})
    about = json.loads((again.weights.parent / "run.json").read_text())["arguments"]
    assert (about["model"], about["model_options"]) == ("fsrcnn", options["model_options"])
    assert about["init"] == str(run / "model.safetensors")
    with pytest.raises(InputError, match="init: expected none with weights as the model"):
        srfast.train(run, tables["coreset"], tmp_path / "x", init=run / "model.safetensors", **SMALL)


def test_a_class_and_its_file_score_and_evaluate_alike(photo_folder, tmp_path):
    file = tmp_path / "my.py"
    file.write_text(NET + "        nn.init.constant_(self[0].weight, 0.01)\n        nn.init.zeros_(self[0].bias)\n")
    from srfast.runtime.plugins import from_file

    own = from_file(f"{file}:Net")
    forms = [f"{file}:Net", own, own(2)]
    losses = [srfast.score(photo_folder, patch=32, scorer=form)["loss"] for form in forms]
    evaluations = [srfast.evaluate(form, photo_folder, scale=2) for form in forms]
    assert all(np.array_equal(losses[0], other) for other in losses[1:])
    assert len({e.psnr for e in evaluations}) == 1
    low = {i.image: 1.0 for i in evaluations[0].images}
    contest = srfast.compare({"a": evaluations[0], "b": [evaluations[1]], "c": low})
    assert (contest.images, [r.name for r in contest.rows][-1]) == (len(evaluations[0].images), "c")
    assert contest.rows[1].difference == 0
    with pytest.raises(InputError, match=r"scorer: expected one of srcnn.*, or FILE.py:NAME, got 'nothing'"):
        srfast.score(photo_folder, patch=32, scorer="nothing")
    with pytest.raises(InputError, match="a: expected a file, an Evaluation or values by image, got int"):
        srfast.compare({"a": [3], "b": {"x": 1.0}})


def test_prune_names_what_it_does_not_know(photo_folder, tmp_path, refused):
    with pytest.raises(InputError, match=r"drop_hard: no such argument; did you mean drop_hardest\?"):
        srfast.prune(photo_folder, tmp_path / "out", drop_hard=0.1)
    refused("keep: expected a fraction", srfast.prune, photo_folder, tmp_path / "out", keep=50)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("function", "data", "settings"),
    [
        (srfast.score, ["images"], ScoreArguments),
        (srfast.select, ["scores"], SelectArguments),
        (srfast.prune, ["images", "output"], PruneArguments),
        (srfast.export, ["coreset", "output"], ExportArguments),
        (srfast.train, ["model", "data", "output"], TrainArguments),
    ],
)
def test_signatures_and_documentation_are_the_settings(function, data, settings):
    parameters = inspect.signature(function).parameters
    names = [f.name for f in dataclasses.fields(settings)]
    assert set(parameters) == {*data, *names}
    assert list(parameters)[: len(data)] == data
    assert all(parameters[n].kind is inspect.Parameter.KEYWORD_ONLY for n in names)
    assert all(re.search(rf"^ {{8}}{n}: \S", function.__doc__, re.MULTILINE) for n in [*data, *names])
    assert "**options" not in function.__doc__


def test_an_argument_that_no_function_has_is_named(photo_folder):
    with pytest.raises(TypeError, match=r"patchh: no such argument; did you mean patch\?"):
        srfast.score(photo_folder, patchh=48)


def test_a_setting_is_given_once_and_may_come_by_position(photo_folder):
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    asc = srfast.select(table, 0.25, "asc")
    assert asc.table == srfast.select(table, keep=0.25, order="asc").table
    with pytest.raises(TypeError, match="scale: given twice"):
        srfast.evaluate("bicubic", photo_folder, 2, scale=3)
    with pytest.raises(TypeError, match="at most 2 settings by position, got 3"):
        srfast.evaluate("bicubic", photo_folder, 2, "rgb", None)


def test_evaluation_and_pairs_print_themselves(photo_folder):
    result = srfast.evaluate("bicubic", photo_folder, 2)
    assert repr(result).count("\n") == 0
    assert f"{result.psnr:.2f} dB" in repr(result)
    text = str(result)
    assert text.count("\n") == len(result.images) + 1
    pairs = srfast.CorePatches(srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic")), 2)
    assert repr(pairs) == f"CorePatches({len(pairs)} pairs of 24 x 24 and 48 x 48, x2, {photo_folder})"
