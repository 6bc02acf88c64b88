"""A study of seconds: a small FSRCNN, twelve updates, four photographs."""

import pytest

STUDY = """
title = "A study of seconds"
[data]
train = ["photos"]
test = {{photos = "photos/sub"}}
pool = {pool}
[scoring]
patch = 32
scorers = {scorers}
scorer_updates = 2
[training]
models = ["fsrcnn"]
updates = {updates}
seeds = {seeds}
batch = 2
lr_patch = 12
save_every = 2
[training.options.fsrcnn]
features = 8
shrunk = 4
mappings = 1
{arms}
"""
ARMS = """
[[arm]]
name = "des"
keep = [1.0, 0.5]
budget = ["epochs", "updates"]
[[arm]]
name = "rs2"
method = "random"
redraw = "pass"
keep = 0.5
"""


@pytest.fixture
def write_study(tmp_path, photo_folder):
    """write_study((old, new), ..., seeds=2, ...): tiny.toml beside the photographs, with texts replaced."""

    def write(*edits, **changes):
        values = {"pool": [1.0], "scorers": '["bicubic"]', "updates": 12, "seeds": 1, "arms": ARMS, **changes}
        text = STUDY.format(**values) + values.get("more", "")
        for old, new in edits:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "tiny.toml"
        path.write_text(text)
        return path

    return write
