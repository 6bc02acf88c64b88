"""The functions that do what commands do, and the types of their arguments."""

import dataclasses
import inspect
import re

import pytest

import srfast
from srfast.coreset.settings import SelectArguments
from srfast.errors import InputError
from srfast.exporting.settings import ExportArguments
from srfast.scoring.settings import ScoreArguments
from srfast.training.settings import TrainArguments
from srfast.workflows.settings import PruneArguments


def test_prune_names_what_it_does_not_know(photo_folder, tmp_path):
    with pytest.raises(InputError, match=r"drop_hard: no such argument; did you mean drop_hardest\?"):
        srfast.prune(photo_folder, tmp_path / "out", drop_hard=0.1)  # type: ignore[call-arg]
    with pytest.raises(InputError, match="keep: expected a fraction"):
        srfast.prune(photo_folder, tmp_path / "out", keep=50)
    assert not (tmp_path / "out").exists()


def test_train_is_the_command(photo_folder, tmp_path):
    lines: list[str] = []
    result = srfast.train(
        "fsrcnn", photo_folder, tmp_path / "run", steps=2, batch=2, lr_patch=12, threads=1, say=lines.append,
        eval_data=photo_folder,
    )  # fmt: skip
    assert result.step == 2
    assert result.psnr is not None
    assert result.weights.is_file()
    assert lines == []
    with pytest.raises(InputError, match="steps: expected either `steps` or `epochs`"):
        srfast.train("fsrcnn", photo_folder, tmp_path / "b")
    with pytest.raises(InputError, match=r"momentun: no such argument; did you mean momentum\?"):
        srfast.train("fsrcnn", photo_folder, tmp_path / "b", steps=1, momentun=0.9)  # type: ignore[call-arg]


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
        srfast.score(photo_folder, patchh=48)  # type: ignore[call-arg]


def test_a_setting_is_given_once_and_may_come_by_position(photo_folder):
    table = srfast.score(photo_folder, patch=48, scorer="bicubic")
    asc = srfast.select(table, 0.25, "asc")  # type: ignore[call-arg]
    assert asc.table == srfast.select(table, keep=0.25, order="asc").table
    with pytest.raises(TypeError, match="scale: given twice"):
        srfast.evaluate("bicubic", photo_folder, 2, scale=3)
    with pytest.raises(TypeError, match="at most 2 settings by position, got 3"):
        srfast.evaluate("bicubic", photo_folder, 2, "rgb", None)  # type: ignore[call-arg]


def test_evaluation_and_pairs_print_themselves(photo_folder):
    result = srfast.evaluate("bicubic", photo_folder, 2)
    assert repr(result).count("\n") == 0
    assert f"{result.psnr:.2f} dB" in repr(result)
    text = str(result)
    assert text.count("\n") == len(result.images) + 1
    pairs = srfast.CorePatches(srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic")), 2)
    assert repr(pairs) == f"CorePatches({len(pairs)} pairs of 24 x 24 and 48 x 48, x2, {photo_folder})"
