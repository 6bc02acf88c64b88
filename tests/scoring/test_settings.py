"""One list of settings: score's signature, the command line, the metadata and --resume are made from it."""

import dataclasses
import inspect
import subprocess
import sys

import numpy as np
import pytest

import srfast
from srfast.errors import InputError
from srfast.scoring.settings import ScoreSettings

FIELDS = {f.name: f.default for f in dataclasses.fields(ScoreSettings)}


def test_score_takes_the_settings_with_the_same_defaults():
    parameters = inspect.signature(srfast.score).parameters
    own = {n: p.default for n, p in parameters.items() if n in FIELDS}
    assert own == FIELDS
    assert list(own) == list(FIELDS)


def test_the_command_line_offers_each():
    from srfast.cli.prune import score as command

    assert {p.name for p in command.params} >= {*FIELDS, "images", "output", "resume", "engine", "address"}


def test_stride_is_the_patch_unless_given():
    assert ScoreSettings(patch=48).step == 48
    assert ScoreSettings(patch=48, stride=6).step == 6


OUTSIDE = {
    "scale": (0, 5, True, 2.0, 2.5, "2"), "mode": ("sparse",), "backend": ("tpu",), "device": ("tpu",),
    "precision": ("fp16",), "patch": (0, -96, 95, 96.0, True), "stride": (0, 97, "96"),
    "blockiness": (30,), "defects": (30,), "threads": (0, 1.5), "shard": ((5, 4), "1-4", (0, 0)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {name: value}) for name, values in OUTSIDE.items() for value in values),
        ("blockiness", {"patch": 8, "blockiness": True}),
        ("defects", {"patch": 24, "defects": True}),
    ],
)
def test_what_is_out_of_range_is_named(name, options):
    with pytest.raises(InputError, match=f"^{name}: expected .*, got "):
        ScoreSettings(**options)


def test_whole_numbers_of_numpy_are_taken():
    settings = ScoreSettings(scale=np.int64(3), patch=np.int32(48))  # type: ignore[arg-type]
    assert (type(settings.scale), type(settings.patch)) == (int, int)


def test_fast_is_refused_where_there_is_none_and_recorded_as_what_ran(photo_folder):
    with pytest.raises(InputError, match="precision: fast needs the backend native or triton, but torch scores"):
        srfast.score(photo_folder, patch=48, backend="torch", precision="fast")
    table = srfast.score(photo_folder, patch=48, backend="native", precision="fast")
    assert table.meta["precision"] == ("fast" if srfast.build_info()["fast"] else "fp32")


def test_scoring_and_selecting_on_the_cpu_import_neither_torch_nor_pandas(photo_folder, tmp_path):
    """pyarrow imports pandas (0.2 s), where it is installed, in functions that take Python values."""
    code = (
        "import sys\n"
        "from srfast.cli import main\n"
        "class Asked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        assert name not in ('torch', 'pandas'), name\n"
        "sys.meta_path.insert(0, Asked())\n"
        "folder, scores, coreset = sys.argv[1:]\n"
        "for line in (['score', folder, '-o', scores, '--patch', '48', '--device', 'cpu'],\n"
        "             ['score', folder, '-o', scores, '--patch', '48', '--device', 'cpu', '--resume'],\n"
        "             ['select', scores, '-o', coreset, '--max-per-image', '9']):\n"
        "    try: main(line)\n"
        "    except SystemExit as stop: assert stop.code in (0, None), stop.code\n"
    )
    arguments = [str(photo_folder), str(tmp_path / "s.parquet"), str(tmp_path / "c.parquet")]
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
