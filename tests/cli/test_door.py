"""Every output of every command goes through one door: what is there already, and is not ours to replace, stays."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from srfast.cli import main

FOREIGN = b"mine, and nobody else's"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Photographs, a score table, a core-set, columns of one's own and a study."""
    from PIL import Image
    from skimage import data

    work = tmp_path_factory.mktemp("prepared")
    (work / "photos").mkdir()
    (work / "tests").mkdir()
    for i, name in enumerate(("astronaut", "chelsea", "coffee")):
        Image.fromarray(getattr(data, name)()[60:160, 90:210]).save(work / "photos" / f"{name}.png")
        Image.fromarray(getattr(data, name)()[170:230, 90 + i : 150 + i]).save(work / "tests" / f"{name}.png")
    lines = "".join(f"{p.name},{i}\n" for i, p in enumerate(sorted((work / "photos").iterdir())))
    (work / "own.csv").write_text(f"image,rank\n{lines}")
    (work / "study.toml").write_text(
        'title = "S"\n[data]\ntrain = ["photos"]\ntest = {tests = "tests"}\n'
        '[scoring]\npatch = 32\nscorers = ["bicubic"]\n'
        '[training]\nmodels = ["fsrcnn"]\nupdates = 2\nseeds = 1\nbatch = 2\nlr_patch = 12\n'
        "[training.options.fsrcnn]\nfeatures = 8\nshrunk = 4\nmappings = 1\n"
        '[[arm]]\nname = "des"\nkeep = [1.0]\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work)
        assert call("score", "photos", "--patch", "32", "--scorer", "bicubic", "-o", "s.parquet") == 0
        assert call("select", "s.parquet", "-o", "c.parquet") == 0
    return work


@pytest.fixture
def work(prepared, tmp_path, monkeypatch):
    """A copy of what was prepared, with its times; the working directory."""
    folder = tmp_path / "work"
    shutil.copytree(prepared, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def _in_time():
    """A pipe that is opened would be waited for without end."""

    def late(*_):
        raise AssertionError("waits for a pipe")

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


def call(*arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    assert isinstance(stop.value.code, int)
    return stop.value.code


def refused(capfd, *arguments):
    """Runs a command that must end in one line and exit code 2; the line."""
    capfd.readouterr()
    code = call(*arguments)
    err = capfd.readouterr().err
    errors = [line for line in err.splitlines() if line.startswith("srfast: error: ")]
    assert (code, len(errors)) == (2, 1), (code, err)
    assert "Traceback" not in err
    return errors[0]


def content(folder):
    """Everything under a folder: its name, and the digest of a file; nothing but files is opened."""
    files = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        what = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(mode) else str(stat.S_IFMT(mode))
        files[str(path.relative_to(folder))] = what
    return files


FILES = {
    "score": ("score", "photos", "--patch", "32", "--scorer", "bicubic", "-o"),
    "select": ("select", "s.parquet", "-o"),
    "join": ("join", "s.parquet", "own.csv", "-o"),
    "dedup": ("dedup", "s.parquet", "--against", "tests", "-o"),
    "influence": ("influence", "s.parquet", "--target", "tests", "-o"),
    "report": ("report", "s.parquet", "--coreset", "c.parquet", "-o"),
    "eval": ("eval", "bicubic", "--data", "tests", "--json"),
    "onnx": ("onnx", "-o"),
}
TRAIN = ("train", "fsrcnn", "--data", "photos", "--steps", "1", "--batch", "2", "--lr-patch", "12", "-o")
FOLDERS = {
    "prune": (
        ("prune", "photos", "--patch", "32", "--scorer", "bicubic", "-o"),
        ("scores.parquet", "coreset.parquet", "report.html", "audit.html", "images.csv", ".srfast-rejects"),
    ),
    "audit": (("audit", "photos", "--patch", "32", "-o"), ("audit.html", "images.csv", ".srfast-rejects")),
    "train": (TRAIN, ("model.safetensors", "last.pt", "log.csv", "run.json")),
    "export": (("export", "c.parquet", "--to", "folder", "-o"), ("anything", ".srfast.json", "HR/1.png")),
    "study": (("study", "study.toml", "-o"), ("results.parquet", "anything", "cells/1.png", "tables/study.md")),
}


def place(path, thing):
    """Puts something there that is not srfast's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if thing == "foreign file":
        path.write_bytes(FOREIGN)
    elif thing == "named pipe":
        os.mkfifo(path)
    elif thing == "device":
        try:
            os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except OSError:
            pytest.skip("no right to make a device")
    elif thing == "folder":
        path.mkdir()
        (path / "mine").write_bytes(FOREIGN)
    elif thing == "link to itself":
        path.symlink_to(path.name)
    else:
        path.symlink_to("elsewhere")
        Path(path.parent, "elsewhere").write_bytes(FOREIGN)


@pytest.mark.parametrize(
    "thing", ["foreign file", "named pipe", "device", "folder", "link to a foreign file", "link to itself"]
)
@pytest.mark.parametrize("command", FILES)
def test_what_lies_at_an_output_file(command, thing, work, capfd):
    place(work / "out.parquet", thing)
    before = content(work)
    assert "out.parquet" in refused(capfd, *FILES[command], "out.parquet")
    assert content(work) == before


@pytest.mark.parametrize(
    ("command", "name", "thing"),
    [
        *((c, "", t) for c in FOLDERS for t in ("foreign file", "named pipe", "device", "link to itself")),
        *((c, n, t) for c, (_, names) in FOLDERS.items() for n in names for t in
          ("foreign file", "named pipe", "link to a foreign file", "link to itself")),
    ],
)  # fmt: skip
def test_what_lies_at_or_in_an_output_folder(command, name, thing, work, capfd):
    place(work / "out" / name, thing)
    before = content(work)
    assert "out" in refused(capfd, *FOLDERS[command][0], "out")
    assert content(work) == before


@pytest.mark.parametrize(
    ("output", "arguments"),
    [
        ("scores/", FILES["score"]),
        ("s.parquet", FILES["select"]),
        ("pairs", ("export", "c.parquet", "--to", "list", "-o")),
    ],
)
def test_a_mount_point_is_found_before_the_work(output, arguments, work):
    """As `docker -v` makes it: all the work was done beside it, and then could not be renamed to it."""
    place = work / "mounted" / output.rstrip("/")
    place.parent.mkdir()
    if place.suffix:
        place.touch()
    else:
        place.mkdir()
    script = f"mount --bind '{place}' '{place}' && exec \"$@\""
    entered = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script, "sh"]
    try:
        if subprocess.run([*entered, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no right to mount")
    except OSError:
        pytest.skip("unshare is not installed")
    command = [sys.executable, "-m", "srfast", *arguments, f"mounted/{output}"]
    done = subprocess.run([*entered, *command], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is a mount point, which cannot be replaced; choose a f" in done.stderr
    assert done.stderr.count("\n") == 1
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_an_empty_folder_that_may_not_be_written_to(work, capfd):
    (work / "out").mkdir(mode=0o555)
    if os.access(work / "out", os.W_OK):
        pytest.skip("this user may write everywhere")
    for arguments in (FILES["score"], FOLDERS["export"][0]):
        assert "no permission to write in it" in refused(capfd, *arguments, "out/")
        assert not list((work / "out").iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("score", "photos", "--scorer", "bicubic", "-o", "photos/coffee.png"),
        ("select", "s.parquet", "-o", "s.parquet"),
        ("select", "c.parquet", "-o", "c.parquet"),
        ("join", "s.parquet", "own.csv", "-o", "s.parquet"),
        ("join", "s.parquet", "own.csv", "-o", "own.csv"),
        ("join", "s.parquet", "other.parquet", "-o", "other.parquet"),
        ("dedup", "s.parquet", "-o", "s.parquet"),
        ("dedup", "s.parquet", "--against", "tests", "-o", "tests/coffee.png"),
        ("influence", "s.parquet", "--target", "tests", "-o", "s.parquet"),
        ("influence", "s.parquet", "--target", "tests", "-o", "tests/coffee.png"),
        ("report", "s.parquet", "-o", "s.parquet"),
        ("report", "s.parquet", "--coreset", "c.parquet", "-o", "c.parquet"),
        ("eval", "bicubic", "--data", "tests", "--json", "tests/coffee.png"),
        ("export", "c.parquet", "--to", "folder", "-o", "photos"),
        ("study", "study.toml", "-o", "photos"),
        ("study", "study.toml", "-o", "study.toml"),
        ("prune", "photos", "-o", "s.parquet"),
        (*TRAIN, "photos/coffee.png"),
    ],
    ids=lambda a: f"{a[0]} {a[-1]}",
)
def test_an_output_that_is_an_input(arguments, work, capfd):
    shutil.copy(work / "s.parquet", work / "other.parquet")
    before = content(work)
    assert arguments[-1] in refused(capfd, *arguments)
    assert content(work) == before
    # By another name as well.
    (work / "link").symlink_to(arguments[-1])
    refused(capfd, *arguments[:-1], "link")
    (work / "link").unlink()
    assert content(work) == before


def test_tables_of_a_study_replace_nothing(work, capfd):
    pytest.importorskip("scipy")
    pytest.importorskip("matplotlib")
    assert call("study", "study.toml", "-o", "out", "--jobs", "1") == 0
    for name in ("tables/study.md", "tables/mine.md", "figures/hours.svg", "results.parquet"):
        (work / "out" / name).unlink(missing_ok=True)
        place(work / "out" / name, "foreign file")
        line = refused(capfd, "study", "study.toml", "-o", "out", "--tables")
        assert name.rpartition("/")[2] in line
        assert (work / "out" / name).read_bytes() == FOREIGN
        (work / "out" / name).unlink()
        shutil.rmtree(work / "out" / "figures", ignore_errors=True)
    for _ in range(2):
        assert call("study", "study.toml", "-o", "out", "--tables") == 0
    assert (work / "out" / "tables" / "study.md").exists()


def test_tables_are_not_gathered_in_a_folder_that_is_no_study(work, capfd):
    place(work / "out" / "cells" / "1.png", "foreign file")
    before = content(work)
    assert "out: expected the folder of a study" in refused(capfd, "study", "study.toml", "-o", "out", "--tables")
    assert content(work) == before
