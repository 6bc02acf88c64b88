"""One name for one thing: options that every command has, and what a shell completes."""

import json
import subprocess
import sys
from pathlib import Path

import click
import numpy as np
import pytest

from srfast.cli import COMMANDS, group
from srfast.training.arguments import gather


def options_of(name):
    """Of a group of commands, those that all of them have."""
    command = group.get_command(click.Context(group), name)
    parts = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    return set.intersection(*({o for p in c.params if isinstance(p, click.Option) for o in p.opts} for c in parts))


def test_one_name_for_one_thing():
    known = {name: options_of(name) for name in COMMANDS}
    for name in set(COMMANDS) - {"doctor", "eval", "stats", "view", "compare", "completion"}:
        assert {"-o", "--output"} <= known[name], name
    for name in set(COMMANDS) - {"demo", "completion"}:
        assert "--json" in known[name], name
    for name in ("score", "prune", "export", "train"):
        assert "--threads" in known[name], name
    assert not any("--out" in options or "--workers" in options for options in known.values())


def test_earlier_names_still_work(photo_folder, tmp_path, run):
    scores = tmp_path / "s.parquet"
    line = ("score", photo_folder, "--patch", "48", "--scorer", "bicubic", "-o", scores)
    assert run(*line, "--workers", "1")[0] == 0
    first = scores.read_bytes()
    assert run(*line, "--threads", "1")[0] == 0
    assert scores.read_bytes() == first
    assert run("train", "fsrcnn", "--data", tmp_path / "none", "--steps", "1", "--out", tmp_path / "r")[2] == (
        f"srfast: error: {tmp_path / 'none'}: no such file or folder\n"
    )


def test_json_of_the_commands_that_write(photo_folder, tmp_path, run):
    def told(*args):
        code, out, err = run(*args, "--json")
        assert code == 0, err
        return dict(json.loads(out))

    pruned = told("prune", photo_folder, "-o", tmp_path / "out", "--patch", "48", "--scorer", "bicubic")
    assert Path(pruned["report"]).is_file()
    assert 0 < pruned["kept"] < pruned["patches"]
    scores, coreset = pruned["scores"], pruned["coreset"]
    report = told("report", scores, "--coreset", coreset, "-o", tmp_path / "r.html")
    assert (report["patches"], report["kept"]) == (pruned["patches"], pruned["kept"])
    assert told("export", coreset, "-o", tmp_path / "pairs", "--to", "folder")["patches"] == pruned["kept"]
    pytest.importorskip("onnx")
    graph = told("onnx", "-o", tmp_path / "s.onnx", "--patch", "48")
    assert graph["bytes"] == (tmp_path / "s.onnx").stat().st_size


def test_quiet(photo_folder, tmp_path, run):
    line = ("score", photo_folder, "--patch", "128", "--scorer", "bicubic", "-o", tmp_path / "s.parquet")
    assert "smaller than the patch" in run(*line)[2]
    assert run(*line, "-q")[2] == ""
    assert run("--quiet", *line[:-1], tmp_path / "no" / "s.parquet")[2].startswith("srfast: error: ")


def test_wrong_arguments_are_refused_before_torch_is_loaded(tmp_path):
    lines = [
        "train fsrcnn --data . --steps 1 --scale 7 -o r",
        "train fsrcnnn --data . --steps 1 -o r",
        "train fsrcnn --data . --steps 1 --ema 2 -o r",
        "train fsrcnn --data none --steps 1 -o r",
        "train --resume -o r",
        "eval bicubic --data . --scale 7",
        "eval bicubic --data none",
        "select s.parquet -o c.parquet --keep 50",
        "onnx -o s.onnx --scale 7",
        "score . -o s.parquet --patch 95",
    ]
    code = (
        "import sys\nfrom srfast.cli import main\n"
        f"for line in {lines!r}:\n"
        "    try: main(line.split())\n"
        "    except SystemExit as stop: assert stop.code == 2, (line, stop.code)\n"
        "    assert 'torch' not in sys.modules, line"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("\n") == len(lines)


def test_help_of_train_lists_models_and_recipes(run):
    code, out, _ = run("train", "--help")
    assert code == 0
    text = " ".join(out.split())
    assert "fsrcnn Dong et al., 2016: mse, soap 0.003 cosine, 8 crops of 32 x 32, ema 0.999; --recipe paper" in text
    assert "ignn Zhou et al., 2020: l1, adam 0.0001 halving, 4 crops of 80 x 80" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell, run, monkeypatch):
    code, out, _ = run("completion", shell)
    assert code == 0
    assert f"_SRFAST_COMPLETE={shell}_complete" in out
    monkeypatch.setenv("_SRFAST_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "srfast export --thr")
    monkeypatch.setenv("COMP_CWORD", "--thr" if shell == "fish" else "2")
    assert "--threads" in run()[1]


@pytest.fixture
def scores(make_table, tmp_path):
    table = make_table(np.arange(1, 21.0), noise=np.zeros(20, np.float32))
    table.write(path := tmp_path / "s.parquet")
    return path


def test_the_condition_of_clean_is_for_the_curious(scores, tmp_path, run):
    words = ("select", scores, "-o", tmp_path / "c.parquet", "--clean")
    assert "--where" not in run(*words)[2]
    assert '--clean is --where "' in run("-v", *words)[2]


def test_a_score_table_is_exported_only_if_all_of_it_is_meant(scores, tmp_path, run):
    code, out, err = run("export", scores, "-o", tmp_path / "pairs", "--to", "folder")
    assert (code, out) == (2, "")
    assert "expected a core-set, got a score table, of which every patch would be written; select from it first" in err
    assert not (tmp_path / "pairs").exists()
    assert "a score table" not in run("export", scores, "-o", tmp_path / "pairs", "--to", "folder", "--all")[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("stats nowhere.parquet", "nowhere.parquet: no such file"),
        ("select nowhere.parquet -o c.parquet --keep 2", "--keep: expected"),
        ("select nowhere.parquet", "Missing option"),
        ("score nowhere -o s.parquet --scael 2", "No such option"),
    ],
)
def test_an_error_is_one_object_too(line, said, run):
    code, out, err = run(*line.split(), "--json")
    assert run(*line.split()) == (code, "", err)
    assert (code, said in err, err.count("\n"), out.count("\n")) == (2, True, 1, 1)
    error = json.loads(out)
    assert error.keys() - {"hint"} == {"error", "code"}
    assert error["error"].endswith(error.get("hint", ""))
    assert (error["code"], f"srfast: error: {error['error']}\n") == (code, err)


def test_a_trainer_is_no_format_but_reads_one(scores, tmp_path, run):
    line = ("export", scores, "-o", tmp_path / "p", "--to")
    assert "traiNNer-redux, neosr and KAIR read folder" in run(*line, "redux")[2]
    assert run(*line, "foldr")[2].endswith("did you mean folder?\n")


def test_crops_are_no_larger_than_the_patches_of_a_core_set(make_table, tmp_path):
    """Recipes take 32 LR pixels or more, of which a patch of 96 at x4 has 24."""
    table = make_table(np.arange(1, 21.0))
    table.meta.update(scale=4, patch=96)
    table.write(tmp_path / "s.parquet")
    data = [tmp_path / "s.parquet"]
    assert gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1}).settings.lr_patch == 24
    assert gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1, "lr_patch": 32}).settings.lr_patch == 32
    assert gather("fsrcnn", [tmp_path], tmp_path / "run", False, {"steps": 1, "scale": 4}).settings.lr_patch > 24
