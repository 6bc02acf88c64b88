"""Hostile input: that it goes through every entry of the compiled module, and a minute of each kind."""

import json
import random
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from srfast.errors import InputError, RunError
from srfast.ops.native import compiled, packed_scorer

HERE = Path(__file__).parent
NOTHING_COMES_IN = {"supported_isas", "integer_kernels", "defect_features"}
"""Entries that tell about the processor, and that of experiments alone."""
ON_A_GPU = {"probe_cuda", "degrade_tiles", "degrade_cuda", "mse_scratch", "per_sample_mse_cuda"}


def test_hostile_input_comes_to_every_entry(tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(HERE)
    import fuzzed

    there = {name for name in dir(compiled()) if name[0] != "_" and callable(getattr(compiled(), name))}
    seen = set()

    def watched(name, entry):
        def call(*arguments):
            seen.add(name)
            return entry(*arguments)

        return call

    for name in there:
        monkeypatch.setattr(compiled(), name, watched(name, getattr(compiled(), name)))
    packed_scorer.cache_clear()  # a scorer that an earlier test packed would not be packed again
    wanted = there - NOTHING_COMES_IN - ON_A_GPU
    for case in range(2000):
        with suppress(InputError, RunError, TypeError):
            (fuzzed.pngs if case % 9 == 0 else fuzzed.native)(random.Random(case), tmp_path)
        if wanted <= seen:
            break
    assert wanted <= seen


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGALRM")
@pytest.mark.parametrize("target", ["native", "weights", "jpegs", "pngs", "texts"])
def test_a_minute_of_hostile_input(target, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    import fuzzed

    assert target in fuzzed.TARGETS
    code, out, err = fuzzed.start(target, 60, seed=7)
    assert code == 0, f"{out} {err}"
    counts = json.loads(out)
    assert counts["cases"] > 20
    assert 0 < counts["refused"] < counts["cases"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs resource")
def test_ten_thousand_damaged_images(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    import resource

    import damaged

    peaks = []
    for count in (1000, 10_000):
        tally = damaged.mutated(tmp_path / f"{count}", count, random.Random(0), at_once=count)
        assert (tally.lost, tally.untidy) == ([], [])
        assert 0 < tally.outcomes["refused with its name"] < count
        peaks.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    # The list of skipped files is about 1 KB a file.
    assert peaks[1] - peaks[0] < 60_000, f"{peaks} KiB"
