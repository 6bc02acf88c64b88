"""The command line: usage, help, JSON, the main job, interrupts and pipes."""

import json
import os
import re
import subprocess
import sys

import click
import pytest
from PIL import Image

from srfast.cli import COMMANDS, SECTIONS, doctor, group, main
from srfast.coreset.selection import CoreSet
from srfast.scoring.table import ScoreTable


def test_help_lists_every_command_and_imports_nothing_heavy(tmp_path):
    """Instead of a stopwatch: what takes long to import is not imported."""
    lines = [[], ["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)]
    code = (
        "import sys, srfast.cli\n"
        f"for line in {lines!r}:\n"
        "    try: srfast.cli.main(line)\n"
        "    except SystemExit as stop: assert not stop.code, line\n"
        "    heavy = {'torch', 'numpy', 'pyarrow', 'PIL', 'duckdb', 'rich'} & set(sys.modules)\n"
        "    assert not heavy, (line, heavy)\n"
        "    print('----')\n"
        "import srfast; srfast.InputError; assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    first, help, _, *own = done.stdout.split("----\n")[:-1]
    assert all(f"\n  {name} " in text for name in COMMANDS for text in (first, help))
    for name, text in zip(COMMANDS, own, strict=True):
        assert text.startswith(f"Usage: srfast {name} ")


def test_every_public_name_resolves():
    import srfast

    for name in srfast.__all__:
        assert getattr(srfast, name) is not None
    assert set(srfast.__all__) <= set(dir(srfast))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        srfast.nothing  # noqa: B018


def test_json_is_one_object_and_nothing_else(photo_folder, tmp_path, run):
    Image.new("RGB", (5, 4)).save(photo_folder / "ü tiny.png")
    (photo_folder / "broken.png").write_bytes(b"")
    scores, coreset = tmp_path / "größe.parquet", tmp_path / "c.parquet"
    line = ("score", photo_folder, "-o", scores, "--patch", "48", "--scorer", "bicubic", "--skip-bad", "--json")
    code, out, err = run(*line)
    assert code == 0
    summary = json.loads(out)
    assert out.count("\n") == 1
    assert "broken.png" in err
    table = ScoreTable.read(scores)
    assert summary["output"] == str(scores)
    assert summary["patches"] == len(table)
    assert summary["images"] == 6
    assert [s["image"] for s in summary["skipped"]] == ["broken.png"]
    assert summary["small"] == [{"image": "ü tiny.png", "height": 4, "width": 5}]
    assert summary["loss"]["max"] == float(table.column("loss").max())
    code, out, err = run("select", scores, "-o", coreset, "--keep", "0.25", "--drop-hardest", "0.05", "--json")
    assert (code, err) == (0, "")
    summary = json.loads(out)
    assert summary["kept"] == len(CoreSet.read(coreset)) == int(0.25 * len(table) + 0.5)
    assert summary["patches"] == len(table)
    code, out, err = run("doctor", "--json")
    assert (code, err) == (0, "")
    findings = json.loads(out)
    assert findings["native"]["available"] is True
    assert findings["backends"]["cpu"]["native"] is None
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    for word in ("srfast", "cpu", "engine", "cuda build", "auto takes", "native/cpu"):
        assert f"\n{word}" in f"\n{out}"


def test_json_on_a_terminal_that_knows_only_ascii(photo_folder, tmp_path, srfast_command):
    arguments = ["score", photo_folder, "-o", tmp_path / "größe.parquet", "--patch", "48", "--scorer", "bicubic"]
    env = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C.UTF-8"}
    done = srfast_command(*arguments, "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"].endswith("größe.parquet")
    assert srfast_command(*arguments, cwd=tmp_path, env=env).returncode == 0


def test_score_select_report_prune(photo_folder, tmp_path, srcnn_weights, run, assert_one_line):
    options = ["--patch", "48", "--scorer", srcnn_weights(2)]
    paper = ["--preset", "paper", *options, "--drop-hardest", "0.05"]
    code, out, err = run("prune", photo_folder, "-o", tmp_path / "out dir", *paper)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"report -> {tmp_path / 'out dir' / 'report.html'}"
    made = tmp_path / "out dir"
    assert sorted(p.name for p in made.iterdir()) == ["coreset.parquet", "report.html", "scores.parquet"]
    assert run("score", photo_folder, "-o", tmp_path / "s.parquet", *options)[0] == 0
    assert run("select", tmp_path / "s.parquet", "-o", tmp_path / "c.parquet", "--drop-hardest", "0.05")[0] == 0
    code, _, _ = run("report", tmp_path / "s.parquet", "--coreset", tmp_path / "c.parquet", "-o", tmp_path / "r.html")
    assert code == 0
    assert_one_line(run("prune", photo_folder, "-o", tmp_path / "new", *options, "--keep", "50"), 2, "keep: expected")
    assert not (tmp_path / "new").exists(), "wrong arguments of the selection are found before the scoring"
    for ours, name in (("s.parquet", "scores.parquet"), ("c.parquet", "coreset.parquet"), ("r.html", "report.html")):
        got, want = (path.read_bytes() for path in (tmp_path / ours, made / name))
        # A report names the table that it was made from.
        assert re.sub(rb'"source":\[[^]]*]', b"", got) == re.sub(rb'"source":\[[^]]*]', b"", want), name
    before = {p.name: p.read_bytes() for p in made.iterdir()}
    assert run("prune", photo_folder, "-o", made, *paper, "--resume")[0] == 0
    assert {p.name: p.read_bytes() for p in made.iterdir()} == before


def test_warnings_of_image_libraries_stay_out_of_the_way(photo_folder, tmp_path, srfast_command):
    data = (photo_folder / "chelsea.jpg").read_bytes()
    exif = b"Exif\0\0II*\0\x08\0\0\0\x05\0garbage"
    marked = data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:]
    (photo_folder / "exif.jpg").write_bytes(marked)
    line = ("score", photo_folder, "-o", "s.parquet", "--patch", "48", "--scorer", "bicubic")
    done = srfast_command(*line, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_unexpected_errors_are_one_line_and_debug_shows_the_traceback(
    photo_folder, tmp_path, run, monkeypatch, assert_one_line, srfast_command
):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("srfast.scoring.per_image.make_engine", broken)
    arguments = ["score", str(photo_folder), "-o", str(tmp_path / "s.parquet")]
    assert_one_line(run(*arguments), 1, "ZeroDivisionError: two lines", "--debug")
    for args in (["--debug", *arguments], [*arguments, "--debug"]):
        with pytest.raises(ZeroDivisionError):
            main(args)
    done = srfast_command("--debug", "score", "nowhere", "-o", "s.parquet", cwd=tmp_path, env={})
    assert (done.returncode, "Traceback" in done.stderr) == (1, True)


def test_a_closed_pipe_is_no_traceback(tmp_path):
    command = f"{sys.executable} -m srfast doctor | head -c 1 > /dev/null"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_demo(tmp_path, run, monkeypatch):
    from srfast.cli.tools import PHOTOGRAPHS
    from srfast.models.registry import WEIGHTS

    pytest.importorskip("skimage", reason="scikit-image, which ships the photographs, is missing")
    if not (WEIGHTS / "srcnn_x2.safetensors").is_file():
        pytest.skip("the shipped weights are not in this tree")
    code, out, err = run("demo", "-o", tmp_path / "demo")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == f"open {tmp_path / 'demo' / 'report.html'}"
    assert sorted(p.stem for p in (tmp_path / "demo" / "photos").iterdir()) == sorted(PHOTOGRAPHS)
    assert len(CoreSet.read(tmp_path / "demo" / "coreset.parquet"))


def test_help_is_short_and_help_all_is_whole(run):
    for name in ("prune", "score", "select"):
        _, short, _ = run(name, "--help")
        code, whole, err = run(name, "--help-all")
        assert (code, err) == (0, "")
        command = group.get_command(click.Context(group), name)
        flags = {p.opts[-1] for p in command.params if isinstance(p, click.Option)}
        assert flags == {f for f in flags if re.search(rf"^ .*{f}\b", whole, re.MULTILINE)}
        shown = {f for f in flags if re.search(rf"^ .*{f}\b", short, re.MULTILINE)}
        assert 10 <= len(shown) <= 17, (name, len(shown))
        assert "--help-all" in short


def test_every_command_has_one_place_in_the_help(run):
    listed = [name for names in SECTIONS.values() for name in names]
    assert len(set(listed)) == len(listed)
    assert set(listed) <= set(COMMANDS)
    _, text, _ = run("--help")
    for name in COMMANDS:
        assert len(re.findall(rf"^  {name}  ", text, re.MULTILINE)) == 1, name


WITHOUT_TORCH = """
import importlib.util, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name.partition(".")[0] == "torch" else find(name, *more)
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
import srfast.ops.device as device
device.driver_possible = lambda: sys.argv[1] == "driver"
from srfast.cli import main
main(sys.argv[2:])
"""
"""The command line in an installation without PyTorch, on a machine with or without an NVIDIA driver."""


def test_packages_that_break_each_other_or_are_slow(monkeypatch):
    both = {"onnxruntime", "onnxruntime-gpu"}
    for installed in (set(), {"onnxruntime"}, {"onnxruntime-gpu"}, both):
        monkeypatch.setattr(doctor, "_version", lambda name, some=installed: "1.0" if name in some else None)
        conflicts = doctor.conflicts()
        assert bool(conflicts) == (installed == both)
    assert "onnxruntime and onnxruntime-gpu" in conflicts[0]
    assert "extra onnx or onnx-gpu" in conflicts[0]
    assert "a newer torch brings a newer Triton" in doctor.slow("3.6.0")[0]
    assert doctor.slow("3.9.1") == doctor.slow(None) == []


def without_torch(*arguments):
    return subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *map(str, arguments)], capture_output=True, text=True)


def test_a_gpu_without_torch():
    done = without_torch("driver", "doctor")
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert "torch not installed" in lines["srfast"]
    assert "there may be one, but PyTorch is not installed: pip install 'srfast[cuda]'" in done.stdout
    assert "auto takes           native on cpu" in done.stdout
    assert not any(line.startswith(("triton/cuda", "torch/cuda")) for line in done.stdout.splitlines())
    assert done.stderr.splitlines() == [
        "srfast: there may be a GPU, but PyTorch is not installed: pip install 'srfast[cuda]'; the CPU is used"
    ]
    content = json.loads(without_torch("driver", "doctor", "--json").stdout)
    assert (content["torch"], content["cuda"]["driver"], content["cuda"]["available"]) == (None, True, False)
    none = without_torch("none", "doctor")
    assert "none, and PyTorch is not installed; the CPU is used" in none.stdout
    assert none.stderr == ""


def test_scores_on_a_gpu_without_torch(photo_folder, tmp_path):
    arguments = ("score", photo_folder, "--patch", 48, "-o", tmp_path / "s.parquet")
    done = without_torch("driver", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("there may be a GPU, but PyTorch is not installed") == 1
    named = without_torch("driver", *arguments, "--device", "cuda")
    assert named.returncode == 1
    assert named.stderr.count("\n") == 1
    assert "--device: cuda was requested, but PyTorch is not installed: pip install 'srfast[cuda]'" in named.stderr
