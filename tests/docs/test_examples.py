"""Every shell and Python example of the README and of docs/ runs, or says in a comment before it why not.

``<!-- not run: REASON -->`` on the line before a fence marks a block that needs a cluster, a GPU or hours. The commands
of such blocks are still parsed.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import pytest
from PIL import Image

import srfast
from srfast.cli import COMMANDS, group
from srfast.coreset import influence
from srfast.coreset.settings import METHODS, TARGETED
from srfast.exporting.formats import FORMATS
from srfast.exporting.settings import TARGETS

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^\n]+?) -->\n+)?^```(?P<language>sh|bash|shell|console|python|py)\n(?P<code>.*?)^```",
    re.S | re.M,
)
SHORTER = {
    "--steps 20000": "--steps 2",
    "--steps 2000": "--steps 2",
    "how-much.toml --images photos/": "how-much.toml --images photos/ --status",
    "scores.parquet --resume": "resumed.parquet --resume",
    "part?.parquet -o coreset": "part?.parquet -o shards",
}
"""What is shortened before it runs; a line that resumes stands for itself, not for the line before it."""

ELSEWHERE = ("make ", "pip ", "srfast view ")
"""Lines that do not run here: they install, or serve until Ctrl-C."""

BEFORE = {
    "onnx.md": ["onnx", "-o", "scorer.onnx"],
    "extending.md": ["score", "photos", "-o", "scores.parquet", "--patch", "48"],
}
"""The command that a page supposes to have been run."""


class Block(NamedTuple):
    name: str
    language: str
    code: str
    why: str | None


def blocks(path):
    text = path.read_text(encoding="utf-8")
    listed = []
    for match in FENCE.finditer(text):
        line = text[: match.start("code")].count("\n") + 1
        shell = match["language"] not in ("python", "py")
        listed.append(Block(f"{path.name}:{line}", "sh" if shell else "python", match["code"], match["why"]))
    return listed


BLOCKS = [block for path in FILES for block in blocks(path)]


def commands(code):
    """The srfast commands of a shell block, comments taken off, continued lines joined."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "srfast" in words[:3]:
            yield words[words.index("srfast") + 1 :]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "sh"], ids=lambda b: b.name)
def test_commands_parse(block):
    """Names, options and types of each command; whether its files exist does not matter here."""
    for name, *arguments in commands(block.code):
        assert name in COMMANDS, f"{block.name}: srfast {name}"
        if "--help" in arguments:
            continue
        command = group.get_command(click.Context(group), name)
        for parameter in command.params:
            if isinstance(parameter.type, click.Path):
                parameter.type.exists = False
        plain = [re.sub(r"\$\{?\w+\}?", "0", word) for word in arguments]
        command.make_context(name, plain)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=lambda b: b.name)
def test_python_compiles(block):
    compile(block.code, block.name, "exec")


@pytest.mark.parametrize("name", [*METHODS])
def test_every_selection_is_in_the_tables(name):
    page, compared = (
        (ROOT / "docs" / p).read_text(encoding="utf-8") for p in ("selection.md", "results/selections-compared.md")
    )
    assert f"\n| `{name}` | " in page
    if name in TARGETED:  # what they keep is the target's
        return
    rows = re.findall(rf"\n\| {re.escape(name)} \|(?: [-\d. %]+ \|){{5}}\n", compared)
    assert len(rows) == 2, name


def test_every_format_and_its_configurations_are_on_the_page_of_trainers():
    page = (ROOT / "docs" / "trainers.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for name in TARGETS:
        named = {file for row in rows if f"`{name}`" in row for file in re.findall(r"train/([\w.]+)`", row)}
        assert named <= {*FORMATS[name].snippets}
        assert any(f"`{name}`" in row for row in rows)
    assert set(re.findall(r"train/([\w.]+)`", "".join(rows))) == {
        f for known in FORMATS.values() for f in known.snippets
    }


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    used = {t for b in BLOCKS for t in re.findall(r"^make ([a-z-]+)", b.code, re.M)}
    assert used <= targets, used - targets


@pytest.fixture
def here(tmp_path):
    """A folder with the files that the examples name: photographs, and test images."""
    data = pytest.importorskip("skimage.data")
    photos = [data.astronaut(), data.chelsea(), data.coffee()]
    for folder in ("photos", "Set5", "mine"):
        (tmp_path / folder).mkdir()
        for i, photo in enumerate(photos):
            Image.fromarray(photo[60 : 60 + 198, 60 : 60 + 252]).save(tmp_path / folder / f"{i}.png")
    np.save(tmp_path / "photo.npy", photos[0])
    return tmp_path


def _names():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (96, 96, 3), np.uint8)
    return {"patches": rng.integers(0, 256, (4, 96, 96, 3), np.uint8), "image": image, "sr": image, "hr": image}


@pytest.mark.slow
@pytest.mark.parametrize("path", [f for f in FILES if blocks(f)], ids=lambda p: p.name)
def test_examples_run(path, here, monkeypatch):
    monkeypatch.chdir(here)
    names = _names()
    if path.name in BEFORE:
        subprocess.run([sys.executable, "-m", "srfast", *BEFORE[path.name]], check=True, capture_output=True)
    for block in blocks(path):
        if block.why:
            continue
        code = block.code
        for long, short in SHORTER.items():
            code = code.replace(long, short)
        if block.language == "python":
            exec(compile(code, block.name, "exec"), names)
            continue
        code = "".join(line for line in code.splitlines(keepends=True) if not line.startswith(ELSEWHERE))
        code = re.sub(r"^srfast\b", f"{shlex.quote(sys.executable)} -m srfast", code, flags=re.M)
        # `python` is the one that runs this.
        env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run(["bash", "-euc", code], cwd=here, env=env, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{block.name}: {done.stderr[-2000:]}"


def stripes(period, across):
    """Fine lines of one direction, 160 x 112 pixels."""
    y, x = np.mgrid[:112, :160]
    plane = 128 + 90 * np.sign(np.sin(2 * np.pi * (x if across else y) / period))
    return Image.fromarray(np.repeat(plane[..., None], 3, 2).astype(np.uint8))


def test_train_for_my_images(tmp_path, monkeypatch, run):
    section = (
        (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8").split("## Train for my images")[1].split("\n## ")[0]
    )
    lines = section.split("```sh\n")[1].split("```")[0].replace("--steps 2000", "--steps 2").splitlines()
    assert [line.split()[1] for line in lines] == ["score", "influence", "select", "train", "eval"]
    (tmp_path / "photos").mkdir()
    (tmp_path / "mine").mkdir()
    for i, period in enumerate((5.3, 6.1, 7.4)):
        stripes(period, True).save(tmp_path / "photos" / f"across{i}.png")
        stripes(period, False).save(tmp_path / "photos" / f"down{i}.png")
    stripes(6.7, True).save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(influence, "PROBES", 60)
    said = ""
    for line in lines:
        code, out, err = run(*shlex.split(line)[1:])
        assert code == 0, (line, err)
        said += out
    assert "are predicted to lower the loss on the target -> for-mine.parquet" in said
    kept = srfast.ScoreTable.read("quarter.parquet")
    assert all(name.startswith("across") for name in kept["image"]), "lines of the target's direction"
    assert Path("run-mine", "model.safetensors").is_file()
    assert run("report", "for-mine.parquet", "-o", "report.html")[0] == 0
    assert '"influence":{"label":"Influence"' in Path("report.html").read_text(encoding="utf-8"), "as any other column"
