"""Which conditions of a stranger are run: those that cost a fixed time for each row."""

import pytest

from srfast.coreset.condition import LONGEST, not_plain

COLUMNS = ["image", "x", "y", "size", "loss", "bicubic", "sobel", "night shift", "select", "range", "e"]


@pytest.mark.parametrize(
    "condition",
    [
        "loss > 10",
        "bicubic - loss >= 0.01 * bicubic and x % 96 = 0",
        "hash(image, x, y) % 100 < 50",
        "not (loss between 1 and 2.5e3) or image like 'cats/%'",
        "image in ('it''s.png', 'b.png') and \"night shift\" is not null",
        "LOSS<>-1 AND abs(sobel)<.5",
    ],
)
def test_comparisons_are_run(condition):
    assert not_plain(condition, COLUMNS) is None


@pytest.mark.parametrize(
    "condition",
    [
        "(select count(*) from range(1000000000000)) > 0",
        "(with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t) > 0",
        "len(range(3000000000)) > 0", "range(3000000000) is null", '"range"(3000000000) is null',
        "length(repeat('a', 4000000000)) > 0", "loss > 0 -- '\n or (select 1)", "/* ' */ (select 1) /* ' */ = 1",
        "image = e'\\' or (select 1) = 1 or image = \\''", "image = $$a$$", "image like '%a%a%a%b'",
        "image like image", "regexp_matches(image, '(a*)*b')", "loss > 0; drop table x", "columns(*) > 0",
        "sum(loss) over () > 0", "other > 0", "true or " * 1000 + "true",
    ],
)  # fmt: skip
def test_anything_else_is_not(condition):
    assert not_plain(condition, COLUMNS) is not None
    assert len(condition) <= LONGEST or "characters" in str(not_plain(condition, COLUMNS))
