"""Training pairs: CorePatches, the in-memory store, the order of batches."""

import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import srfast
from srfast.coreset.pairs import Source, read_pair, turn
from srfast.data.images import read_rgb
from srfast.errors import InputError
from srfast.ops import reference
from srfast.training.arguments import gather
from srfast.training.sources import open_store, whole_dataset
from srfast.training.store import CROPS_STREAMED, Batches, Feed, PairStore, Region

ROWS = [("astronaut.png", 0, 0), ("astronaut.png", 144, 36), ("chelsea.jpg", 24, 96), ("sub/café au lait.png", 120, 72)]


def coreset_table(root, rows=ROWS, size=48, **meta):
    image, x, y = (list(c) for c in zip(*rows, strict=True)) if rows else ([], [], [])
    about = {"version": 1, "root": str(root), "scale": 2, "patch": size, **meta}
    ints = {"x": x, "y": y, "size": [size] * len(x)}
    columns = {"image": pa.array(image, pa.string()), **{k: pa.array(v, pa.int32()) for k, v in ints.items()}}
    return pa.table(columns).replace_schema_metadata({b"srfast": json.dumps(about).encode()})


@pytest.fixture
def coreset(photo_folder, tmp_path):
    path = tmp_path / "coreset.parquet"
    pq.write_table(coreset_table(photo_folder, selection={"patches": 40}), path)
    return path


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_core_patches_are_crops_of_whole_images(coreset, photo_folder, scale):
    dataset = srfast.CorePatches(coreset, scale)
    assert len(dataset) == len(ROWS)
    for i, (image, x, y) in enumerate(ROWS):
        lr, hr = dataset[i]
        whole = read_rgb(photo_folder / image)
        whole = np.ascontiguousarray(whole[: whole.shape[0] // scale * scale, : whole.shape[1] // scale * scale])
        low = srfast.imresize(whole, 1 / scale)
        assert lr.dtype == hr.dtype == torch.uint8
        assert np.array_equal(hr.permute(1, 2, 0), whole[y : y + 48, x : x + 48])
        assert np.array_equal(lr.permute(1, 2, 0), low[y // scale : (y + 48) // scale, x // scale : (x + 48) // scale])


def test_core_patches_from_a_table_an_object_and_another_root(coreset, photo_folder):
    expected = srfast.CorePatches(coreset)[1]
    table = pq.read_table(coreset)

    class Selected:
        meta = json.loads(table.schema.metadata[b"srfast"])

    Selected.table = table.replace_schema_metadata(None)
    moved = photo_folder.rename(photo_folder.parent / "moved")
    for source in (coreset, table, Selected()):
        got = srfast.CorePatches(source, root=moved)[1]
        assert torch.equal(got[0], expected[0])
        assert torch.equal(got[1], expected[1])


def test_core_patches_decode_each_image_once(coreset, monkeypatch):
    read = []

    def counted(source, scale, **options):
        read.append(source.path.name)
        return read_pair(source, scale)

    monkeypatch.setattr("srfast.coreset.pairs.read_pair", counted)
    dataset = srfast.CorePatches(coreset, keep_images=1)
    for i in range(len(dataset)):
        dataset[i]
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    assert read == ["astronaut.png", "chelsea.jpg", "café au lait.png"]


def test_the_scale_of_the_scores_is_followed(photo_folder, tmp_path, caplog):
    table = coreset_table(photo_folder, scale=4)
    assert srfast.CorePatches(table).scale == 4
    assert srfast.CorePatches(coreset_table(photo_folder, scale=None)).scale == 2
    assert not caplog.records
    assert srfast.CorePatches(table, 2).scale == 2
    assert [r.getMessage() for r in caplog.records] == [
        "scale: pairs are made at x2, but the patches were scored at x4"
    ]
    pq.write_table(table, tmp_path / "coreset.parquet")
    data = [str(tmp_path / "coreset.parquet")]
    gathered = gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1})
    assert gathered.settings.scale == 4
    assert gather("fsrcnn", data, tmp_path / "run", False, {"steps": 1, "scale": 2}).settings.scale == 2
    assert gather("fsrcnn", str(photo_folder), tmp_path / "run", False, {"steps": 1}).settings.scale == 2


BAD = {
    "scale": (coreset_table, {"scale": 5}, "scale"),
    **{f"keep {n}": (coreset_table, {"keep_images": n}, "keep_images: expected") for n in (0, 1.5, "8")},
    "no column": (lambda p: coreset_table(p).drop_columns(["y"]), {}, "expected a column 'y'"),
    "no rows": (lambda p: coreset_table(p, []), {}, "empty"),
    "off the grid": (lambda p: coreset_table(p, [("astronaut.png", 2, 0)]), {"scale": 4}, r"scale.*x = 2"),
    "outside": (lambda p: coreset_table(p, [("../x.png", 0, 0)]), {}, "inside the root"),
    "absent": (lambda p: coreset_table(p, [("absent.png", 0, 0)]), {}, r"absent\.png"),
    "changed": (lambda p: coreset_table(p, [("astronaut.png", 180, 0)]), {}, "has changed since it was scored"),
}


@pytest.mark.parametrize("what", BAD)
def test_core_patches_bad_input(what, photo_folder, tmp_path):
    make, options, words = BAD[what]
    pq.write_table(make(photo_folder), tmp_path / "c.parquet")
    for table in (make(photo_folder), tmp_path / "c.parquet"):
        with pytest.raises(InputError, match=words):
            srfast.CorePatches(table, **options)[0]


def test_read_pair_of_luma(photo_folder):
    source = Source(photo_folder / "chelsea.jpg")
    lr, hr = read_pair(source, 3, color="y")
    y = reference.luma(torch.from_numpy(read_rgb(source.path)))[:150, :219]
    assert np.array_equal(hr[0], y)
    assert np.array_equal(lr[0], reference.resample_uint8(y, 1 / 3))
    exact, _ = read_pair(source, 3, color="y", quantise=False)
    assert exact.dtype == np.float32
    expected = reference.resample(y.double() / 255, 1 / 3)
    assert np.abs(exact[0] - expected.numpy()).max() < 1e-6  # float32 sums


@pytest.mark.parametrize(("color", "quantise"), [("y", False), ("rgb", True)])
def test_batches_hold_aligned_crops(photo_folder, color, quantise):
    store, left_out = open_store([photo_folder], 2, color=color, patch=40, quantise=quantise)
    assert left_out == 0
    lr, hr = Batches(store, batch=6, patch=40, seed=3)[5]
    channels = 1 if color == "y" else 3
    assert lr.shape == (6, channels, 20, 20)
    assert hr.shape == (6, channels, 40, 40)
    assert hr.dtype == torch.uint8
    assert lr.dtype == (torch.uint8 if quantise else torch.float32)
    # Away from a crop's border, LR is the crop's own down-sampling, whatever way both were turned.
    again = reference.resample(hr.double(), 0.5)
    own = lr.double() * (1 if quantise else 255)
    assert float((again - own)[..., 2:-2, 2:-2].abs().max()) < (1.3 if quantise else 1e-3)


def test_batches_depend_on_seed_and_step_alone(photo_folder):
    store, _ = open_store([photo_folder], 2, color="y", patch=32)
    batches = Batches(store, batch=3, patch=32, seed=1)
    forwards = [batches[i] for i in range(9)]
    again = Batches(store, batch=3, patch=32, seed=1)
    for i in (8, 0, 5):
        assert all(torch.equal(a, b) for a, b in zip(again[i], forwards[i], strict=True))
    assert not torch.equal(Batches(store, batch=3, patch=32, seed=2)[0][1], forwards[0][1])
    with closing(Feed(batches, 2, 2)) as feed:
        for i in range(2, 7):
            assert torch.equal(feed.draw()[1], forwards[i][1])


def test_ranks_share_a_batch(photo_folder, refused):
    store, _ = open_store([photo_folder], 2, color="y", patch=32)
    whole = Batches(store, batch=4, patch=32, seed=1)[7]
    parts = [Batches(store, batch=4, patch=32, seed=1, rank=r, world=2)[7] for r in range(2)]
    for r in range(2):
        assert torch.equal(whole[1][r::2], parts[r][1])
    refused("batch", Batches, store, batch=3, patch=32, seed=1, world=2)


def test_every_region_once_an_epoch():
    class Flat(PairStore):
        def crop(self, region, x, y, size, k=0, draw=0):
            return np.full((1, size // 2, size // 2), region, np.uint8), np.full((1, size, size), region, np.uint8)

    store = Flat([Source(Path("a"))], [Region(0, 0, 0, 8, 8)] * 10, scale=2, color="y")
    batches = Batches(store, batch=4, patch=8, seed=0)
    seen = torch.cat([batches[i][0][:, 0, 0, 0] for i in range(5)])  # two epochs
    assert sorted(seen[:10].tolist()) == sorted(seen[10:].tolist()) == list(range(10))
    assert seen[:10].tolist() != seen[10:].tolist()


def test_crops_stay_inside_core_set_patches(coreset):
    store, _ = open_store([coreset], 2, color="rgb", patch=48)
    _, hr = Batches(store, batch=4, patch=48, seed=0)[0]
    expected = {srfast.CorePatches(coreset)[i][1].numpy().tobytes() for i in range(4)}
    turned = {np.ascontiguousarray(turn(h.numpy(), k)).tobytes() for h in hr for k in range(8)}
    assert expected <= turned


@pytest.mark.parametrize(
    ("color", "quantise", "depth"), [("rgb", True, 8), ("rgb", True, 16), ("y", False, 8), ("y", True, 8)]
)
def test_batches_are_the_same_from_packed_patches(coreset, monkeypatch, color, quantise, depth):
    def store(**options):
        return open_store([coreset], 2, color=color, patch=32, quantise=quantise, depth=depth, **options)[0]

    planes = Batches(store(), batch=4, patch=32, seed=3)
    expected = [planes[step] for step in range(5)]
    packed = store()
    packed.fill()
    monkeypatch.setattr("srfast.training.store.read_pair", None)  # which planes are read by
    batches = Batches(packed, batch=4, patch=32, seed=3)
    for step, pair in enumerate(expected):
        assert all(map(torch.equal, batches[step], pair))
    if color == "rgb":  # it is the store of CorePatches
        monkeypatch.setattr("srfast.coreset.pairs.read_pair", None)
        lr, hr = srfast.CorePatches(coreset, 2, depth=depth).prepare(False)[0]
        assert lr.dtype == hr.dtype == expected[0][1].dtype
        assert torch.equal(hr, torch.from_numpy(packed.crop(0, 0, 0, 48)[1].copy()))


def test_what_cannot_be_packed_is_read_as_planes(coreset, photo_folder, monkeypatch):
    monkeypatch.setattr("srfast.coreset.pairs.Pairs.pack", None)
    small, _ = open_store([coreset], 2, color="rgb", patch=48)
    small.cache_bytes = int(small._table.layout.starts[-1]) - 1
    small.fill()
    open_store([coreset], 2, color="rgb", patch=48, grow=8)[0].fill()
    open_store([photo_folder], 2, color="rgb", patch=32)[0].fill()
    monkeypatch.undo()
    monkeypatch.setenv("SRFAST_CACHE_GB", "0")
    none, _ = open_store([coreset], 2, color="rgb", patch=48)
    none.fill()
    assert none._packed is None


def test_a_small_cache_reads_each_image_once_a_pass(photo_folder, monkeypatch):
    read = []

    def counted(source, scale, **options):
        read.append(source.path.name)
        return read_pair(source, scale, **options)

    monkeypatch.setattr("srfast.training.store.read_pair", counted)
    # The four images take 80 to 125 kB each: one fills half the cache.
    store, _ = open_store([photo_folder], 2, color="rgb", patch=32, cache_bytes=240_000)
    assert not store.fits
    batches = Batches(store, batch=4, patch=32, seed=0)
    steps = 4 * CROPS_STREAMED // 4
    drawn = [batches[i] for i in range(steps)]
    assert sorted(read) == sorted(p.name for p in photo_folder.rglob("*.*"))
    assert sum(lr.nbytes + hr.nbytes for lr, hr in store._kept.values()) <= store.cache_bytes
    again = Batches(store, batch=4, patch=32, seed=0)
    for i in (steps - 1, 0):
        assert torch.equal(again[i][1], drawn[i][1])


def test_small_images_are_left_out_and_counted(photo_folder):
    Image.new("RGB", (20, 200)).save(photo_folder / "thin.png")
    store, left_out = open_store([photo_folder], 2, color="y", patch=96)
    assert (len(store.regions), left_out) == (4, 1)
    store, _ = open_store([photo_folder], 2, color="y", patch=96, factors=(1.0, 0.9))
    assert len(store.regions) == 7  # rocket.png is 96 x 96


@pytest.mark.parametrize(
    ("data", "scale", "changes", "word"),
    [
        (["coreset", "photos"], 2, {}, "one core-set"), (["coreset"], 2, {"factors": (1.0, 0.9)}, "rescale"),
        (["coreset"], 2, {"patch": 96}, "lr_patch"), (["photos"], 5, {}, "scale"),
        (["photos"], 2, {"patch": 2000}, "lr_patch"), (["none"], 2, {}, "none"),
    ],
)  # fmt: skip
def test_open_store_bad_input(data, scale, changes, word, coreset, photo_folder, refused):
    places = {"coreset": coreset, "photos": photo_folder, "none": coreset.parent / "none"}
    refused(word, open_store, [places[name] for name in data], scale, **{"color": "y", "patch": 32, **changes})


def test_the_size_of_the_whole_dataset(coreset, photo_folder, refused):
    assert whole_dataset([coreset]) == 40
    refused("match_steps: expected `data` to be a core-set", whole_dataset, [photo_folder])
