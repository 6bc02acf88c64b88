"""The door for outputs: what is refused, what is recognised, what a killed run leaves."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from srfast.data.atomic import atomic_path
from srfast.data.files import check_output, output_file, output_folder
from srfast.data.hashing import of_bytes, of_file, of_pixels
from srfast.data.images import read_rgb
from srfast.data.provenance import MARK, generator, kind_of
from srfast.errors import InputError, RunError
from srfast.runtime.locks import LOCK

PHOTO = b"\x89PNG\r\n\x1a\n and so on"


def evaluation(path: Path) -> Path:
    path.write_text(json.dumps({"generator": generator("evaluation"), "psnr": 30.0}, indent=2))
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"", PHOTO, b"step,loss\n1,2\n", b"step,loss,lr,accuracy\n1,2,3,4\n", b'{"psnr": 3}',
        b'{"psnr": 3, "generator": "srfast evaluation"}', b"PAR1 and nothing more", b"PK\x03\x04 and nothing more",
        b"\x40\0\0\0\0\0\0\0{not json", b"\xff" * 64, b"<!DOCTYPE html><title>srfast report 1</title>",
        b"my notes about srfast",
    ],
)  # fmt: skip
def test_what_srfast_did_not_write_is_not_replaced(content, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    assert kind_of(path) is None
    with pytest.raises(InputError, match=r"photo\.png: exists and was not written by srfast"):
        check_output(path, "evaluation")
    with pytest.raises(InputError, match="not written by srfast"), output_file(path, "evaluation") as temporary:
        temporary.write_text("x")
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]


def test_what_srfast_writes_is_recognised(photo_folder, tmp_path):
    from safetensors.torch import save_file

    from srfast.coreset.selection import select
    from srfast.report.writing import write_report
    from srfast.scoring.backends.onnx.graph import export_onnx
    from srfast.scoring.pipeline import score
    from srfast.training import checkpoint
    from srfast.training.log import Log

    table = score(photo_folder, patch=48, scorer="bicubic", output=tmp_path / "s.parquet")
    coreset = select(table)
    coreset.write(tmp_path / "c.parquet")
    write_report(table, coreset, tmp_path / "r.html")
    export_onnx(tmp_path / "n.onnx")
    export_onnx(tmp_path / "m.onnx", network_only=True)
    checkpoint.save(tmp_path / "last.pt", {"step": 1})
    about = {"model": "srcnn", "options": "{}", "scale": 2, "steps": 1, "seed": 0, "data": "d"}
    checkpoint.save_weights(tmp_path / "m.safetensors", {"w": torch.zeros(2)}, about)
    log = Log(tmp_path, 0, 1, quiet=True)
    log.close()
    evaluation(tmp_path / "e.json")
    (tmp_path / "list.txt").write_text("# srfast list\nx 1\n")
    with output_folder(tmp_path / "folder", "export") as folder:
        (folder / "1.png").write_bytes(PHOTO)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "foreign.parquet")
    save_file({"w": torch.zeros(1)}, tmp_path / "foreign.safetensors", {"format": "pt", "model": "rdn"})
    torch.save({"w": torch.zeros(1)}, tmp_path / "foreign.pt")
    kinds = {
        "s.parquet": "score table", "c.parquet": "core-set", "r.html": "report", "n.onnx": "ONNX graph",
        "m.onnx": "ONNX graph", "last.pt": "checkpoint", "m.safetensors": "weights", "log.csv": "training log",
        "e.json": "evaluation", "list.txt": "list", "folder": "export",
        "foreign.parquet": None, "foreign.safetensors": None, "foreign.pt": None,
    }  # fmt: skip
    assert {name: kind_of(tmp_path / name) for name in kinds} == kinds


def test_one_kind_does_not_replace_another(tmp_path):
    path = evaluation(tmp_path / "e")
    with pytest.raises(InputError, match="expected a report to replace, got an evaluation"):
        check_output(path, "report")
    with output_file(path, "evaluation") as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"\xff\xfe.parquet")
    with pytest.raises(InputError, match="not valid UTF-8"):
        check_output(tmp_path / name, "report")
    with pytest.raises(InputError, match="not valid UTF-8"), output_folder(tmp_path / name, "export"):
        pass
    with pytest.raises(InputError, match="not a file name"):
        check_output("a\0b", "report")


def test_a_file_that_comes_meanwhile_stays(tmp_path):
    path = tmp_path / "e.json"
    door = output_file(path, "evaluation")
    door.__enter__().write_text("new")
    path.write_bytes(PHOTO)
    with pytest.raises(InputError, match="not written by srfast"):
        door.__exit__(None, None, None)
    assert path.read_bytes() == PHOTO
    assert [p.name for p in tmp_path.iterdir()] == ["e.json"]


def test_a_link_that_leads_elsewhere_by_the_end_is_not_followed(tmp_path):
    """Its old target may be anything by then."""
    old, new, link = evaluation(tmp_path / "old"), tmp_path / "new", tmp_path / "link"
    link.symlink_to(old)
    door = output_file(link, "evaluation")
    evaluation(door.__enter__())
    old.write_bytes(PHOTO)
    link.unlink()
    link.symlink_to(new)
    with pytest.raises(InputError, match="link: has become a link to"):
        door.__exit__(None, None, None)
    assert old.read_bytes() == PHOTO
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "old"]


def test_names_that_are_nearly_those_of_temporary_files_stay(tmp_path):
    mine = (".srfast-notes.txt", ".srfast-0123abcd-notes.txt", ".srfast-0123456789abcdef", "sub/.srfast-plan")
    with output_folder(tmp_path / "out", "study") as folder:
        (folder / "sub").mkdir()
    for name in mine:
        (tmp_path / "out" / name).write_text("mine")
    left = tmp_path / "out" / "sub" / ".srfast-0123abcd-0123456789abcdef.png"
    left.write_text("half")
    with output_folder(tmp_path / "out", "study") as folder:
        assert [n for n in mine if (folder / n).read_text() != "mine"] == []
        assert not left.exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / mine[0]).write_text("mine")
    with pytest.raises(InputError, match=r"holds \.srfast-notes\.txt"), output_folder(tmp_path / "other", "study"):
        pass


def test_a_folder_of_its_own(tmp_path):
    new, old, other = tmp_path / "a" / "new", tmp_path / "old", tmp_path / "other"
    for _ in range(2):
        with output_folder(new, "export") as folder:
            assert folder == new
            (new / "1.png").write_bytes(PHOTO)
    assert sorted(p.name for p in new.iterdir()) == [MARK, "1.png"]
    with pytest.raises(InputError, match="expected a study to replace, got an export"), output_folder(new, "study"):
        pass
    old.mkdir()
    (old / "1.png").write_bytes(PHOTO)
    with pytest.raises(InputError, match=r"holds 1\.png, which srfast did not write"), output_folder(old, "export"):
        pass
    assert [p.name for p in old.iterdir()] == ["1.png"]
    other.mkdir()
    with output_folder(other, "export"):
        pass
    assert [p.name for p in other.iterdir()] == [MARK]
    with output_folder(tmp_path / "nothing", "export"):
        pass
    assert not (tmp_path / "nothing").exists(), "what was made and not used is removed"


def test_a_shared_folder(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with output_folder(tmp_path, "training run", files={"log.csv": "training log"}):
        assert (tmp_path / LOCK).exists()
    (tmp_path / "log.csv").write_text("my log")
    with (
        pytest.raises(InputError, match=r"log\.csv: exists and was not written by srfast"),
        output_folder(tmp_path, "training run", files={"log.csv": "training log"}),
    ):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.csv", "mine.txt"]


HOLD = """
import sys, time
from pathlib import Path
from srfast.data.atomic import atomic_path
from srfast.data.files import output_folder
with output_folder(sys.argv[1], "export"), atomic_path(Path(sys.argv[1], "a.bin")) as t:
    t.write_bytes(b"half")
    print("there", flush=True)
    time.sleep(60)
"""


def test_the_second_run_names_the_first_and_a_kill_frees_the_folder(tmp_path):
    out = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE, cwd=tmp_path) as first:
        first.stdout.readline()
        with (
            pytest.raises(RunError, match=rf"out: process {first.pid} on .* is writing it"),
            output_folder(out, "export"),
        ):
            pass
        half = [p for p in out.iterdir() if p.suffix == ".bin"]
        with atomic_path(out / "a.bin") as temporary:
            temporary.write_bytes(b"whole")
        assert half[0].exists(), "the file of a living run is not litter"
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert half[0].exists()
    with atomic_path(out / "b.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert half[0].exists(), "the litter of another output stays"
    with atomic_path(out / "a.bin") as temporary:
        temporary.write_bytes(b"whole")
    assert sorted(p.name for p in out.iterdir()) == [LOCK, MARK, "a.bin", "b.bin"]
    with output_folder(out, "export"):
        pass
    assert sorted(p.name for p in out.iterdir()) == [MARK, "a.bin", "b.bin"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444])
def test_permissions_of_what_is_replaced_stay(mode, tmp_path):
    path = evaluation(tmp_path / "e.json")
    path.chmod(mode)
    with output_file(path, "evaluation") as temporary:
        assert temporary.stat().st_mode & 0o077 & ~mode == 0, "not readable by others even while it is written"
        temporary.write_text("new")
    assert path.stat().st_mode & 0o777 == mode
    assert path.read_text() == "new"


# The hashes of files and of pixels, whose definition must never change: published manifests hold them.


def test_the_hash_of_pixels_is_that_of_its_documented_bytes():
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)  # 3 wide, 2 high
    assert of_pixels(pixels) == hashlib.sha256(b"RGB8 3 2\n" + bytes(range(18))).hexdigest()
    assert of_pixels(pixels) == "9a396f1e6e694d54daadbcd804e76b13d7098b3b4afefd729cafdc5905f8d512"
    big = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert of_pixels(big[3:11, 4:9]) == of_pixels(big[3:11, 4:9].copy())
    assert of_pixels(big[:, :, 0]) == of_pixels(big[:, :, :1].repeat(3, 2))
    for wrong in (np.zeros((2, 2, 3)), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)):
        with pytest.raises(TypeError, match="expected uint8"):
            of_pixels(wrong)


def test_the_hash_of_pixels_survives_a_lossless_repacking(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (17, 23, 3), np.uint8)
    hashes = set()
    for name in ("a.png", "a.bmp", "a.tif", "a.ppm"):
        Image.fromarray(pixels).save(tmp_path / name)
        hashes.add(of_pixels(read_rgb(tmp_path / name)))
    assert hashes == {of_pixels(pixels)}
    files = {of_file(tmp_path / n) for n in ("a.png", "a.bmp")}
    assert files == {of_bytes((tmp_path / n).read_bytes()) for n in ("a.png", "a.bmp")}
    assert len(files) == 2
