"""A /dev/shm without room, as in containers: the commands do not need it, a DataLoader's workers say so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import srfast

FULL = 'mount -t tmpfs -o size=64k none /dev/shm && head -c "$0" /dev/zero > /dev/shm/full && exec "$@"'
LOADER = """
import sys
import srfast
from torch.utils.data import DataLoader
for lr, hr in DataLoader(srfast.CorePatches(sys.argv[1]), batch_size=8, num_workers=2):
    print("pairs", len(lr))
"""


def in_full(*line: str | Path, cwd: Path, used: int = 1 << 16) -> subprocess.CompletedProcess[str]:
    """Runs a command in a mount namespace of its own, where so many of 65,536 bytes of /dev/shm are used."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode:
        pytest.skip("no right to make a mount namespace")
    command = ["unshare", "-m", "sh", "-c", FULL, str(used), sys.executable, *map(str, line)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_commands_do_not_need_it(photo_folder: Path, tmp_path: Path) -> None:
    for line in (
        ("score", photo_folder, "-o", "s.parquet", "--patch", "48", "--workers", "2"),
        ("select", "s.parquet", "-o", "c.parquet"),
        ("export", "c.parquet", "-o", "out", "--to", "lmdb", "--check"),
        ("train", "fsrcnn", "--data", "c.parquet", "--steps", "2", "--batch", "2", "--lr-patch", "12", "-o", "run"),
        ("eval", "run", "--data", photo_folder),
    ):
        done = in_full("-m", "srfast", *line, cwd=tmp_path)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_loop_of_the_users_ends_with_an_error(photo_folder: Path, tmp_path: Path) -> None:
    """PyTorch's own: its workers hand pairs over through /dev/shm. None is lost without a word."""
    srfast.select(srfast.score(photo_folder, patch=48, scorer="bicubic"), keep=1.0).write(tmp_path / "c.parquet")
    for used, words in ((1 << 16, "No space left on device"), (4096, "DataLoader worker")):
        done = in_full("-c", LOADER, "c.parquet", cwd=tmp_path, used=used)
        assert done.returncode != 0
        assert words in done.stderr
        assert done.stdout == ""
