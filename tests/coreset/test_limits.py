"""Windows, quotas of images and the floor of easy patches against plain loops."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from srfast.coreset.selection import select
from srfast.errors import InputError
from srfast.scoring.table import ScoreTable
from tests.coreset.test_selection import IMAGES, LOSSES, rows


def hardest_first(of):
    return sorted(sorted(of), key=lambda i: -LOSSES[i])


def share(fraction):
    return int(fraction * 157 + 0.5)


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.05, 0.55), (0.2, 0.21), (0.9, 1.0)])
@pytest.mark.parametrize("order", ["des", "asc"])
def test_window_keeps_ranks(make_table, window, order):
    got = select(make_table(LOSSES), window=window, order=order)
    ranked = sorted(range(157), key=lambda i: -LOSSES[i] if order == "des" else LOSSES[i])
    assert rows(got) == hardest_first(ranked[share(window[0]) : share(window[1])])
    assert got.meta["selection"]["window"] == list(window)


def test_window_by_another_column_and_a_draw_inside_it(make_table):
    table = make_table(LOSSES)
    sobel = table.column("sobel")
    ranked = sorted(range(157), key=lambda i: -sobel[i])[share(0.1) : share(0.6)]
    assert rows(select(table, window=(0.1, 0.6), method="sobel")) == hardest_first(ranked)
    drawn = select(table, keep=0.2, window=(0.1, 0.6), method="random", seed=3)
    inside = set(hardest_first(list(range(157)))[share(0.1) : share(0.6)])
    assert len(drawn) == share(0.2)
    assert set(rows(drawn)) <= inside


def test_window_and_dropping_the_hardest(make_table, refused):
    table = make_table(LOSSES)
    got = select(table, window=(0.0, 0.5), drop_hardest=0.2)
    assert rows(got) == hardest_first(list(range(157)))[share(0.2) : share(0.5)]
    refused(r"^window: nothing is left", select, table, window=(0.0, 0.1), drop_hardest=0.2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"keep": 0.99, "drop_hardest": 0.5}, "keep: 0.99 of 157 patches is 155, but drop_hardest=0.5 leaves 78; "),
        ({"keep": 0.5, "window": (0.0, 0.25)}, "keep: 0.5 of 157 patches is 79, but window=(0.0, 0.25) leaves 39; "),
        ({"drop_hardest": 0.7}, "keep: 0.5 of 157 patches is 79, but drop_hardest=0.7 leaves 47; "),
    ],
)
def test_more_than_is_left_is_refused_with_what_can_be_kept(make_table, options, words):
    with pytest.raises(InputError) as caught:
        select(make_table(LOSSES), **options)
    message = str(caught.value)
    assert message.startswith(words)
    possible = float(message.rsplit("keep=", 1)[1])
    got = select(make_table(LOSSES), **{**options, "keep": possible})
    assert len(got) == share(possible)


@pytest.mark.parametrize("n", [10, 11, 30, 157])
def test_fractions_that_fit_are_kept_whole_though_both_round_up(make_table, n):
    table = make_table(LOSSES[:n])
    assert len(select(table, keep=0.95, drop_hardest=0.05)) == n - int(0.05 * n + 0.5)


def plain_quota(order, per_image, count):
    size = Counter(IMAGES)
    seen = Counter()
    turns = []
    for position, i in enumerate(order):
        turn = seen[IMAGES[i]]
        seen[IMAGES[i]] += 1
        turns.append((turn if per_image == "even" else (turn + 0.5) / size[IMAGES[i]], position, i))
    return hardest_first([i for _, _, i in sorted(turns)[:count]])


@pytest.mark.parametrize("per_image", ["share", "even"])
@pytest.mark.parametrize("keep", [0.01, 0.1, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("order", ["des", "asc"])
def test_quotas_of_images(make_table, per_image, keep, order):
    got = select(make_table(LOSSES, IMAGES), keep=keep, per_image=per_image, order=order)
    ranked = sorted(range(157), key=lambda i: -LOSSES[i] if order == "des" else LOSSES[i])
    assert rows(got) == plain_quota(ranked, per_image, max(1, share(keep)))
    kept, size = Counter(got.column("image").tolist()), Counter(IMAGES)
    if per_image == "share":
        assert all(abs(kept[name] - keep * size[name]) <= 1 for name in size)
    else:
        most = max(kept.values())
        assert all(kept[name] >= min(size[name], most - 1) for name in size)


def test_a_cap_that_cannot_be_met_says_what_was_kept_and_why(make_table):
    got = select(make_table(LOSSES, IMAGES), keep=0.5, max_per_image=3)
    assert len(got) == 12
    assert got.meta["selection"]["short"] == (
        "kept 12 of the 79 patches requested (0.0764 of all): max_per_image=3 allows no more"
    )
    assert select(make_table(LOSSES, IMAGES), keep=0.07, max_per_image=3).meta["selection"]["short"] is None


@pytest.mark.parametrize("floor", [0.05, 0.2, 0.99])
@pytest.mark.parametrize("method", ["loss", "random", "sobel"])
def test_a_floor_of_the_easiest(make_table, floor, method):
    table = make_table(LOSSES)
    got = select(table, keep=0.3, flat_floor=floor, method=method, seed=2)
    count = share(0.3)
    first = int(floor * count + 0.5)
    easiest = sorted(range(157), key=lambda i: LOSSES[i])[:first]
    whole = select(table, keep=1.0, method=method, seed=2)
    assert len(got) == count
    assert set(easiest) <= set(rows(got))
    if method == "loss":
        rest = [i for i in rows(whole) if i not in easiest][: count - first]
        assert rows(got) == hardest_first([*easiest, *rest])


def test_a_floor_obeys_the_cap_and_the_quota_leaves_it(make_table):
    table = make_table(LOSSES, IMAGES)
    got = select(table, keep=0.2, flat_floor=0.5, max_per_image=10)
    assert max(Counter(got.column("image").tolist()).values()) <= 10
    seen = Counter()
    easiest = []
    for i in sorted(range(157), key=lambda i: LOSSES[i]):
        if seen[IMAGES[i]] < 10:
            easiest.append(i)
        seen[IMAGES[i]] += 1
    floor = int(0.5 * share(0.2) + 0.5)
    assert set(easiest[:floor]) <= set(rows(got))
    spread = select(table, keep=0.2, flat_floor=0.3, per_image="even")
    first = sorted(range(157), key=lambda i: LOSSES[i])[: int(0.3 * share(0.2) + 0.5)]
    assert set(first) <= set(rows(spread))


# Lists of rejects: a patch, a whole image, one size of an image, and lines that are refused.


@pytest.fixture
def sized(make_table):
    """Four places of two images, each image at its own size and at a third."""
    names = ["a.png"] * 4 + ["b.png"] * 4
    table = make_table([9.0, 8, 7, 6, 5, 4, 3, 2], names, x=np.array([0, 96, 0, 96] * 2, np.int32))
    sizes = pa.array([1, 1, 1 / 3, 1 / 3] * 2, pa.float32())
    return ScoreTable(table.table.add_column(4, "shrink", sizes), {**table.meta, "shrink": ["1", "1/3"]})


@pytest.mark.parametrize(
    ("lines", "gone"),
    [
        ("image,x,y,size,reason\na.png,0,0,96,noise\n", {("a.png", 0, 1.0), ("a.png", 0, 0.333)}),
        ("image,x,y,size,reason,shrink\na.png,0,0,96,noise,0.3333333432674408\n", {("a.png", 0, 0.333)}),
        ("image,x,y,size,reason,shrink\na.png,0,0,96,noise,1\n", {("a.png", 0, 1.0)}),
        ("image,x,y,size,reason,shrink\nb.png,,,,text,0.333333\n", {("b.png", 0, 0.333), ("b.png", 96, 0.333)}),
        ("image,x,y,size,reason\nb.png,,,,text\n", {("b.png", x, s) for x in (0, 96) for s in (1.0, 0.333)}),
    ],
)
def test_a_line_says_which_size(sized, lines, gone, tmp_path):
    (tmp_path / "rejects.csv").write_text(lines)
    kept = select(sized, keep=1.0, reject=tmp_path / "rejects.csv", sizes="all")

    def rows(table):
        return {(r["image"], r["x"], round(r["shrink"], 3)) for r in table}

    assert rows(sized) - rows(kept) == gone


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",0,0,96,noise,1", "line 2: expected the name of an image"),
        ("a.png,0,0,,noise,1", "line 2: expected x, y and size as whole numbers, or none of them"),
        ("a.png,0,0,96,noise,half", "and shrink as a number, got '0,0,96,half'"),
    ],
)
def test_lines_that_are_refused(sized, line, message, tmp_path, refused):
    (tmp_path / "r.csv").write_text(f"image,x,y,size,reason,shrink\n{line}\n")
    refused(message, select, sized, reject=tmp_path / "r.csv")


@pytest.mark.parametrize(
    ("line", "left"), [(" q.jpg,,,,noise", ["q.jpg", "a.png"]), ("q.jpg ,,,,noise", [" q.jpg", "a.png"])]
)
def test_outer_spaces_count_if_an_image_has_them(make_table, line, left, tmp_path):
    table = make_table([3.0, 2.0, 1.0], [" q.jpg", "q.jpg", "a.png"])
    (tmp_path / "r.csv").write_text(f"image,x,y,size,reason\n{line}\n")
    assert select(table, keep=1.0, reject=tmp_path / "r.csv")["image"].tolist() == left
