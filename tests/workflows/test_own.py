"""Methods and models of the user's: functions, FILE.py:NAME, entry points of installed packages."""

import re
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import torch
from torch import nn

import srfast
from srfast.errors import InputError, RunError
from srfast.exporting.formats import Format
from srfast.runtime import plugins

METHOD = "limit = 3\n\ndef upwards(table):\n    return -table['loss']\n"
MODEL = """
import torch.nn.functional as F
from torch import nn

class Small(nn.Module):
    color = "y"

    def __init__(self, scale, width=4):
        super().__init__()
        self.scale = scale
        self.body = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x):
        x = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return x + self.body(x)
"""


@pytest.fixture
def scores(photo_folder, tmp_path):
    path = tmp_path / "scores.parquet"
    srfast.score(photo_folder, patch=48, scorer="bicubic", output=path)
    return path


def test_a_function_sorts(scores):
    def upwards(table):
        return -table["loss"]

    own = srfast.select(scores, keep=0.3, method=upwards)
    want = srfast.select(scores, keep=0.3, order="asc")
    assert own.table.equals(want.table)
    assert own.meta["selection"]["method"] == "upwards"


@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda t: t["loss"][1:], "one per row"),
        (lambda t: t["loss"] * np.nan, "finite numbers"),
        (lambda t: ["a"] * len(t), "one per row"),
    ],
)
def test_what_a_function_must_give(scores, give, words, refused):
    refused(f"^method: expected <lambda> to return .*{words}", srfast.select, scores, method=give)


def test_a_file_on_the_command_line_and_in_a_study(scores, tmp_path, run):
    (tmp_path / "mine.py").write_text(METHOD)
    out = tmp_path / "c.parquet"
    assert run("select", scores, "-o", out, "--keep", "0.3", "--method", f"{tmp_path}/mine.py:upwards")[0] == 0
    assert srfast.CoreSet.read(out).table.equals(srfast.select(scores, keep=0.3, order="asc").table)
    for name, words in (
        ("mine.py:none", "expected 'none' in it"),
        ("mine.py:limit", "mine.py:limit to be a function, got int"),
        ("no.py:f", "no such file"),
    ):
        code, _, err = run("select", scores, "-o", out, "--method", f"{tmp_path}/{name}")
        assert (code, err.count("\n")) == (2, 1)
        assert words in err
    (tmp_path / "bad.py").write_text("1 / 0")
    with pytest.raises(RunError, match=r"bad\.py: ZeroDivisionError"):
        srfast.select(scores, method=srfast.Column(f"{tmp_path}/bad.py:f"))
    from srfast.study.file import read_study

    (tmp_path / "s.toml").write_text(
        '[data]\ntrain = ["p"]\n[training]\nmodels = ["fsrcnn"]\nupdates = 2\nlr_patch = 12\n'
        '[[arm]]\nname = "own"\nkeep = 0.5\nmethod = "mine.py:upwards"\n'
    )
    arm = read_study(tmp_path / "s.toml").arms[0]
    assert arm.selection(0.5, 0).method == str(tmp_path / "mine.py:upwards")


def test_a_model_in_a_file_trains_and_evaluates(photo_folder, tmp_path):
    (tmp_path / "net.py").write_text(MODEL)
    name = f"{tmp_path}/net.py:Small"
    done = srfast.train(name, photo_folder, tmp_path / "run", steps=2, batch=2, lr_patch=12, threads=1)
    result = srfast.evaluate(tmp_path / "run", photo_folder, 2)
    assert np.isfinite(result.psnr)
    assert isinstance(srfast.models.load(done.weights), nn.Module)
    assert srfast.models.create(name, 3, width=2).body[0].out_channels == 2


class Nearest(nn.Module):
    """An installed package's model."""

    def __init__(self, scale):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(scale)), requires_grad=False)

    def forward(self, x):
        return torch.nn.functional.interpolate(x, scale_factor=int(self.scale))


def brightest(table):
    return table["sobel"]


class Names:
    """An installed package's format: a list of names."""

    def __init__(self, folder, plan, written):
        self.file, self.plan, self.written = folder / "names.lst", plan, written

    def add(self, pairs):
        self.written = pairs[-1].row + 1

    def finish(self):
        self.file.write_text("".join(f"{name}\n" for name in self.plan.names))

    def close(self):
        pass


NAMES = Format(help="a list of names", writer=Names, paths=r"names\.lst", snippets={"read.txt": "<scale>"})


def test_entry_points(scores, monkeypatch, run, refused):
    monkeypatch.setitem(sys.modules, "their_package", sys.modules[__name__])
    theirs = {"methods": "brightest", "models": "Nearest", "formats": "NAMES"}
    known = {
        f"srfast.{group}": {name.lower(): EntryPoint(name.lower(), f"their_package:{name}", f"srfast.{group}")}
        for group, name in theirs.items()
    }
    monkeypatch.setattr(plugins, "added", lambda group: known.get(group, {}))
    own, same = (srfast.select(scores, method=m) for m in (srfast.Column("brightest"), "sobel"))
    assert own.table.equals(same.table)
    assert re.search(r"brightest +added by their_package", run("select", "--help-all")[1])
    assert "nearest" in srfast.models.names()
    assert srfast.models.describe("nearest").color == "rgb"
    assert isinstance(srfast.models.create("nearest", 2), Nearest)
    coreset, out = scores.with_name("c.parquet"), scores.with_name("names")
    srfast.select(scores, keep=0.3).write(coreset)
    assert run("export", coreset, "--to", "names", "-o", out)[0] == 0
    assert len((out / "names.lst").read_text().splitlines()) == len(srfast.CoreSet.read(coreset))
    assert (out / "read.txt").read_text() == "2"
    assert run("export", coreset, "--to", "nams", "-o", out)[0] == 2
    refused(r"got 'brightes'; did you mean brightest\?", srfast.select, scores, method=srfast.Column("brightes"))


def test_entry_points_that_cannot_be_used(scores, monkeypatch):
    monkeypatch.setitem(sys.modules, "their_package", sys.modules[__name__])
    values = {"gone": "no_such_package:f", "lacks": "their_package:none", "number": "their_package:METHOD"}
    known = {name: EntryPoint(name, value, "srfast.methods") for name, value in values.items()}
    monkeypatch.setattr(plugins, "added", lambda group: known)
    for name, kind in (("gone", RunError), ("lacks", RunError), ("number", InputError)):
        with pytest.raises(kind, match=name):
            srfast.select(scores, method=srfast.Column(name))
    with pytest.raises(RunError, match="gone"):
        srfast.models.describe("gone")
