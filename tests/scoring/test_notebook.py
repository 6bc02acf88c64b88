"""How tables, core-sets and decisions look in a notebook."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

import srfast
from srfast.scoring.notebook import PATCHES

HOSTILE = "<img src=x onerror=alert(1)>.png"
QUOTES = "\"' onload=alert(2) &amp;.png"
VOID = {"img", "br"}


class Tree(HTMLParser):
    """Elements with their attributes, and the text; every element must be closed in the order of HTML."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def found(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for name in (HOSTILE, QUOTES, "plain.png"):
        Image.fromarray(rng.integers(0, 256, (192, 288, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def table(photos):
    return srfast.score(photos, patch=48, scorer="bicubic")


def safe(text):
    """The elements of a result: those of the template, with no attribute that runs anything."""
    tree = Tree(text)
    assert {tag for tag, _ in tree.elements} <= {
        "div", "p", "b", "ul", "li", "table", "tbody", "tr", "th", "td", "svg", "path", "img",
    }  # fmt: skip
    assert [a for _, attributes in tree.elements for a in attributes if a.startswith("on")] == []
    return tree


def test_tables_and_core_sets(table):
    for rows in (table, srfast.select(table, keep=0.5)):
        tree = safe(rows._repr_html_())
        assert repr(rows) in "".join(tree.text)
        assert len(tree.found("svg")) == 1
        assert len(tree.found("img")) == PATCHES
        assert all(picture["src"].startswith("data:image/jpeg;base64,") for picture in tree.found("img"))
        shown = {picture["alt"].partition(", x ")[0] for picture in tree.found("img")}
        assert shown <= {HOSTILE, QUOTES, "plain.png"}


def test_hostile_names_are_in_captions_as_they_are(table):
    for name in (HOSTILE, QUOTES):
        rows = table[pc.field("image") == name]
        tree = safe(rows._repr_html_())
        assert [picture["alt"].startswith(f"{name}, x ") for picture in tree.found("img")] == [True] * PATCHES


def test_thumbnails_are_the_patches_hardest_first(photos, table):
    tree = safe(table._repr_html_())
    losses = []
    for picture in tree.found("img"):
        name, x, y, loss = (part.split(" ")[-1] if i else part for i, part in enumerate(picture["alt"].split(", ")))
        losses.append(float(loss))
        pixels = Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))).convert("L")
        with Image.open(photos / name) as image:
            there = image.crop((int(x), int(y), int(x) + 48, int(y) + 48)).convert("L")
        # JPEG at quality 70 keeps most of the noise; patches of other noise correlate by 0.02 (1 / 48).
        assert np.corrcoef(np.ravel(pixels), np.ravel(there))[0, 1] > 0.8
    assert losses == sorted(losses, reverse=True)


def test_several_sizes_are_counted_and_cut_from_the_shrunk_image(photos):
    several = srfast.score(photos, patch=48, scorer="bicubic", mode="dense", shrink="1,1/2")
    tree = safe(several._repr_html_())
    text = " ".join(tree.text)
    counts = np.unique(several["shrink"], return_counts=True)[1]
    assert all(f"{n:,}" in text for n in counts)
    assert len(tree.found("img")) == PATCHES
    half = safe(several[several["shrink"] == 0.5]._repr_html_())
    assert all(" of size 1/2, x " in picture["alt"] for picture in half.found("img"))


@pytest.mark.parametrize("damage", ["missing", "smaller", "broken", "outside"])
def test_images_that_cannot_be_shown_give_no_thumbnail(table, tmp_path, damage):
    rows = srfast.ScoreTable(table.table, {**table.meta, "root": str(tmp_path)})
    for name in set(table["image"]) if damage != "missing" else ():
        if damage == "broken":
            (tmp_path / name).write_bytes(b"not an image")
        else:
            Image.new("RGB", (8, 8)).save(tmp_path / name)
    if damage == "outside":
        names = pa.array(["../" + name for name in rows["image"]])
        rows = srfast.ScoreTable(rows.table.set_column(0, "image", names), {**rows.meta, "root": str(tmp_path / "x")})
    tree = safe(rows._repr_html_())
    assert tree.found("img") == []
    assert len(tree.found("svg")) == 1


def test_an_empty_table_and_one_patch(table):
    tree = safe(table[:0]._repr_html_())
    assert repr(table[:0]) in "".join(tree.text)
    assert tree.found("svg") == tree.found("img") == []
    assert len(safe(table[:1]._repr_html_()).found("img")) == 1
    assert "nan" not in table[:1]._repr_html_().lower().replace(table["image"][0].lower(), "").partition("<img")[0]


def test_decisions(photos, table, tmp_path):
    advice = srfast.recommend(table)
    tree = safe(advice._repr_html_())
    assert all(sentence in tree.text for sentence in advice.sentences)
    assert all(name in tree.text for name in advice.selection)
    pruned = srfast.prune(photos, tmp_path / "<b>out", patch=48, scorer="bicubic")
    tree = safe(pruned._repr_html_())
    assert all(sentence in tree.text for sentence in pruned.decision.sentences)
    assert str(pruned.report) in "".join(tree.text)
    assert len(tree.found("img")) == PATCHES
    paper = srfast.Pruned(pruned.folder, pruned.summary, pruned.coreset)
    assert "what is left out" not in "".join(safe(paper._repr_html_()).text)
