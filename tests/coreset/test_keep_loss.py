"""``keep_loss`` against a plain loop with ``math.fsum``, by every reader; its rules, and what it refuses."""

import math
from fractions import Fraction

import numpy as np
import pytest

import srfast
from srfast.coreset.limits import exact_sum, first_holding
from srfast.coreset.settings import Selection
from srfast.errors import InputError
from srfast.scoring import stored


@pytest.fixture
def table_of(make_table):
    """Patches of 96 px on a grid 60 px apart, so that neighbours overlap."""

    def make(loss, images=1, seed=0):
        n, rng = len(loss), np.random.default_rng(seed)
        names = sorted(f"{i % images:02d}.png" for i in range(n))
        x = np.arange(n, dtype=np.int32) * 60
        return make_table(loss, names, x=x, bicubic=rng.random(n), sobel=rng.integers(0, 5, n))

    return make


def losses(seed):
    """Losses over 16 decimal orders, with ties and zeros."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 400))
    loss = rng.lognormal(0, 6, n).astype(np.float32)
    loss[rng.random(n) < 0.3] = np.float32(rng.random())
    loss[rng.random(n) < 0.2] = 0
    return loss if loss.any() else loss + 1


def plain(table, share, method, order, drop, cap):
    """The rows that are kept, ascending, by a loop."""
    loss = table.column("loss").tolist()
    key = table.column(method).tolist()
    hardest = sorted(range(len(loss)), key=lambda i: -loss[i])
    left = sorted(hardest[int(drop * len(loss) + 0.5) :])
    goal = Fraction(str(share)) * Fraction(math.fsum(loss[i] for i in left))
    kept = []
    seen = {}
    for i in sorted(left, key=lambda i: -key[i] if order == "des" else key[i]):
        if Fraction(math.fsum(loss[k] for k in kept)) >= goal:
            break
        image = table["image"][i]
        if cap is None or seen.get(image, 0) < cap:
            kept.append(i)
            seen[image] = seen.get(image, 0) + 1
    return sorted(kept)


@pytest.mark.parametrize("seed", range(20))
def test_same_rows_by_every_reader(seed, tmp_path, monkeypatch, table_of):
    table = table_of(losses(seed), images=4, seed=seed)
    table.write(tmp_path / "scores.parquet")
    rng = np.random.default_rng(seed)
    share = float(rng.choice([0.001, 0.25, 0.5, 0.88, 1.0]))
    settings = {
        "method": str(rng.choice(["loss", "sobel", "bicubic"])),
        "order": str(rng.choice(["des", "asc"])),
        "drop_hardest": float(rng.choice([0.0, 0.1])) if len(table) > 20 else 0.0,
        "max_per_image": rng.choice([None, 9]),
    }
    expected = plain(table, share, *settings.values())
    for small in (0, stored.SMALL):  # read by column, and as a whole
        monkeypatch.setattr(stored, "SMALL", small)
        core = srfast.select(tmp_path / "scores.parquet", keep_loss=share, **settings)
        assert sorted((core["x"] // 60).tolist()) == expected
        shares = core.meta["selection"]["shares"]
        assert shares["patches"] == len(core) / len(table)
        loss, held = np.sort(table["loss"])[::-1], core["loss"]
        total = math.fsum(loss[int(settings["drop_hardest"] * len(loss) + 0.5) :])
        assert shares["loss"] == pytest.approx(math.fsum(held) / total, rel=1e-15)  # fsum rounds each sum once
        assert (core.meta["selection"]["short"] is None) == (shares["loss"] >= share)


def test_sums_are_exact_whatever_their_order():
    scale = np.float32(10) ** np.arange(-44, 6).repeat(100).astype(np.float32)
    values = np.random.default_rng(1).normal(0, 1, 5000).astype(np.float32) * scale
    values = np.append(values, np.float32([1e-45, -1e-45, 3.4e38, 0.0, -0.0]))
    for given in (values, values[::-1], np.random.default_rng(2).permutation(values)):
        assert exact_sum(np.ascontiguousarray(given)) == sum(Fraction(v) for v in values.tolist()) * 2**149
    ones = np.ones(100, np.float32)
    assert first_holding(ones, Fraction(88, 100) * exact_sum(ones)) == 88


def test_decimals_count_as_written_and_the_patch_that_crosses_is_kept(table_of):
    """0.07 as a float is a little more than 7 of 100 equal losses."""
    equal = table_of(np.ones(100))
    assert [len(srfast.select(equal, keep_loss=f)) for f in (0.07, 0.29, 0.57, 0.8701, 1)] == [7, 29, 57, 88, 100]
    assert srfast.select(equal, keep_loss=0.07)["x"].tolist() == [60 * i for i in range(7)]  # ties in row order


def test_what_is_eligible_is_the_whole(table_of):
    table = table_of([8, 4, 2, 1, 1, 0, 0, 0], images=2)
    kept = lambda **asked: sorted((srfast.select(table, **asked)["x"] // 60).tolist())  # noqa: E731
    assert kept(keep_loss=0.5) == [0]
    assert kept(keep_loss=1.0) == [0, 1, 2, 3, 4]  # patches without loss hold nothing
    assert kept(keep_loss=0.5, drop_hardest=0.125) == [1]
    assert kept(keep_loss=0.5, where="x > 60") == [2]
    # Neighbours overlap by 36 of 96 pixels in one image: 36 / (2 * 96 - 36) = 0.23.
    assert kept(keep_loss=0.95, nms=0.1) == [0, 2, 4, 6]  # 11 of 16, all that the limit allows
    about = srfast.select(table, keep_loss=0.9, max_per_image=1).meta["selection"]
    assert about["kept"] == 2
    assert about["short"].startswith("kept 2 patches, which hold 0.562 of the loss, not the 0.9 requested: max_per")
    assert about["shares"] == {"patches": 0.25, "loss": 9 / 16}
    drawn = srfast.select(table, keep_loss=0.5, method="random", seed=3)
    assert drawn["loss"].sum() >= 8
    assert drawn.table.equals(srfast.select(table, keep_loss=0.5, method="random", seed=3).table)


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"keep_loss": 0.0}, "keep_loss"),
        ({"keep_loss": 1.5}, "keep_loss"),
        ({"keep_loss": math.nan}, "keep_loss"),
        ({"keep_loss": 0.5, "keep": 0.5}, "keep"),
        ({"keep_loss": 0.5, "flat_floor": 0.1}, "flat_floor"),
        *(({"keep_loss": 0.5, "method": m}, "keep_loss") for m in ("stratified", "hdc", "diverse")),
        ({"keep_loss": 0.9, "window": (0.5, 1.0)}, "keep_loss"),
    ],
    ids=str,
)
def test_what_is_refused(settings, names, table_of):
    with pytest.raises(InputError) as error:
        srfast.select(table_of([4, 3, 2, 1]), **settings)
    assert str(error.value).startswith(f"{names}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("small", [0, stored.SMALL])
@pytest.mark.parametrize("loss", [[0, 0, 0], [3, -1, 2], [1, math.nan, 2]], ids=["zero", "negative", "nan"])
def test_losses_without_a_sum(loss, small, tmp_path, monkeypatch, table_of):
    monkeypatch.setattr(stored, "SMALL", small)
    table_of(loss).write(tmp_path / "s.parquet")
    with pytest.raises(InputError):
        srfast.select(tmp_path / "s.parquet", keep_loss=0.5)
    if not math.isnan(loss[1]):
        assert len(srfast.select(tmp_path / "s.parquet", keep=0.5)) == 2


def test_a_method_declares_that_it_counts(table_of):
    from srfast.coreset.settings import Method

    own = Method("test", lambda table: table.column("loss"), lambda pool: np.arange(len(pool)), counts=True)
    with pytest.raises(InputError):
        srfast.select(table_of([2, 1]), method=own, keep_loss=0.5)
    assert Selection(keep_loss=0.5).as_dict()["keep_loss"] == 0.5
