"""CorePatches as a data set for training: packed pixels, crops and flips, seeds, workers, resuming."""

import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, default_collate

import srfast
from srfast.coreset.dataset import CorePatches
from srfast.data import packed
from srfast.samplers import ByImage


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SRFAST_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def coreset(photo_folder):
    return srfast.select(srfast.score(photo_folder, scale=4, patch=48, stride=24, scorer="bicubic"), keep=0.5)


def pixels(items):
    return [(lr.numpy().tobytes(), hr.numpy().tobytes()) for lr, hr in items]


def whole_epoch(loader):
    """The pairs of an epoch in the order of their batches."""
    return [pair for lr, hr in loader for pair in pixels(zip(lr, hr, strict=True))]


def batches(dataset, workers, **options):
    return DataLoader(dataset, batch_size=8, num_workers=workers, persistent_workers=workers > 0, **options)


def test_packed_pixels_are_those_of_the_images(coreset, tmp_path, cache):
    shrunk = srfast.score(coreset.meta["root"], patch=48, stride=48, scorer="bicubic", mode="dense", shrink="1,1/2")
    for table in (coreset, srfast.select(shrunk, keep=1.0)):
        plain = CorePatches(table, 2, cache=False)
        store = CorePatches(table, 2).prepare(progress=False)
        assert pixels(store) == pixels(plain) == pixels(plain.__getitems__(range(len(plain))))
        assert store[0][1].data_ptr() != store[0][1].data_ptr()  # writable copies, not views of the file
    assert len(list(cache.glob("*.pairs"))) == 2
    named = CorePatches(coreset, 2, cache=tmp_path / "here")
    assert pixels(batches(named, 0).dataset.__getitems__([3])) == pixels([CorePatches(coreset, 2)[3]])
    assert len(list((tmp_path / "here").glob("*.pairs"))) == 1


def test_a_store_is_found_again_and_not_that_of_others(coreset, cache, monkeypatch):
    CorePatches(coreset, 2)[0]
    assert not cache.exists()  # one item alone packs nothing
    CorePatches(coreset, 2).prepare(False)
    with monkeypatch.context() as patched:
        patched.setattr("srfast.coreset.pairs.read_pair", None)
        CorePatches(coreset, 2).prepare(False)
    CorePatches(coreset, 4).prepare(False)
    CorePatches(coreset[coreset["rank"] > 0], 2).prepare(False)
    assert len(list(cache.glob("*.pairs"))) == 3
    # A store that is not whole is not taken for one.
    path = next(cache.glob("*.pairs"))
    path.write_bytes(path.read_bytes()[:-1])
    for scale in (2, 4):
        assert pixels(CorePatches(coreset, scale).prepare(False)) == pixels(CorePatches(coreset, scale, cache=False))


def test_changed_images_are_refused_with_a_store_too(coreset, refused):
    CorePatches(coreset, 2).prepare(False)
    image = Path(coreset.meta["root"]) / coreset["image"][0]
    now = image.stat()
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(image, ns=(now.st_atime_ns, now.st_mtime_ns))
    refused("has changed since it was scored", CorePatches(coreset, 2).prepare, False)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_crops_and_flips_are_aligned_pairs(photo_folder, scale):
    """Each crop stands in its patch, turned by one of 8 forms, and its LR crop at the same place; all places occur."""
    table = srfast.score(photo_folder, scale=scale, patch=48, stride=48, scorer="bicubic")
    dataset = CorePatches(table, scale, crop=36, flip=True, seed=5)
    lr, hr = CorePatches(table, scale)[0]
    forms = {}
    for y in range(0, 48 - 36 + 1, scale):
        for x in range(0, 48 - 36 + 1, scale):
            for k in range(8):
                pair = [t[:, b : b + n, a : a + n] for t, a, b, n in
                        ((lr, x // scale, y // scale, 36 // scale), (hr, x, y, 36))]  # fmt: skip
                pair = [t.flip(2) if k & 1 else t for t in pair]
                pair = [t.flip(1) if k & 2 else t for t in pair]
                pair = [t.transpose(1, 2) if k & 4 else t for t in pair]
                forms[pixels([pair])[0]] = (x, y, k)
    drawn = [forms[pixels([dataset[0]])[0]] for _ in range(4000)]
    counts = np.unique(np.array(drawn), axis=0, return_counts=True)[1]
    assert len(counts) == len(forms) == (12 // scale + 1) ** 2 * 8
    # Chi-square over at least 127 degrees of freedom: its mean is their number, its standard deviation sqrt(2 n).
    expected = 4000 / len(forms)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    assert abs(statistic - len(forms)) < 5 * (2 * len(forms)) ** 0.5


def test_crops_do_not_depend_on_workers(coreset):
    def epochs(workers, seed=0, explicit=False):
        dataset = CorePatches(coreset, 2, crop=24, flip=True, seed=seed)
        loader = batches(dataset, workers)
        crops = []
        for epoch in range(3):
            if explicit:
                dataset.set_epoch(epoch)
            crops.append(whole_epoch(loader))
        return crops

    alone = epochs(0)
    assert epochs(1) == alone
    assert epochs(2, explicit=True) == alone
    assert len({tuple(e) for e in alone}) == 3
    assert epochs(0, seed=1)[0] != alone[0]


@pytest.mark.parametrize("sent", [0, 1 << 20])
def test_a_batch_is_its_items(coreset, monkeypatch, sent):
    monkeypatch.setattr("srfast.coreset.dataset._SENT", sent)
    rows = [3, -1, 0, 3, 7, 0, 0, 5]

    def dataset():
        return CorePatches(coreset, 2, crop=24, flip=True)

    alone = dataset()
    expected = pixels(alone[i] for i in rows)
    assert pixels(dataset().__getitems__(rows)) == expected
    for workers in (0, 1):
        (lr, hr) = next(iter(DataLoader(dataset(), batch_sampler=[rows], num_workers=workers)))
        assert pixels(zip(lr, hr, strict=True)) == expected
        assert lr.is_contiguous()
        hr.zero_()  # what comes is the caller's
        own = DataLoader(dataset(), batch_sampler=[rows], num_workers=workers, collate_fn=list)
        assert pixels(next(iter(own))) == expected
    batch = dataset().__getitems__(rows)
    assert default_collate(batch)[0].data_ptr() == batch[0][0].data_ptr()
    batch.reverse()
    assert pixels(zip(*default_collate(batch), strict=True)) == expected[::-1]
    root = coreset.meta["root"]
    both = [srfast.score(root, patch=n, stride=n, scorer="bicubic").table for n in (48, 96)]
    mixed = CorePatches(pa.concat_tables(both, promote_options="default"), 2, flip=True, root=root)
    assert {hr.shape[1] for _, hr in mixed.__getitems__([0, -1])} == {48, 96}  # items of several sizes


def test_a_run_goes_on_in_the_middle_of_an_epoch(coreset, refused):
    def draws(dataset, explicit, first=0):
        for step in range(first, 3 * len(dataset)):
            if explicit and step % len(dataset) == 0:
                dataset.set_epoch(step // len(dataset))
            yield pixels([dataset[step % len(dataset)]])[0]

    for explicit in (False, True):
        whole = list(draws(CorePatches(coreset, 2, crop=24, flip=True), explicit))
        dataset = CorePatches(coreset, 2, crop=24, flip=True)
        run = draws(dataset, explicit)
        at = len(dataset) + 5
        begun = [next(run) for _ in range(at)]
        state = pickle.loads(pickle.dumps(dataset.state_dict()))
        resumed = CorePatches(coreset, 2, crop=24, flip=True)
        resumed.load_state_dict(state)
        assert begun + list(draws(resumed, explicit, at)) == whole
    refused(r"seed: the state was saved with 0, got 1", CorePatches(coreset, 2, crop=24, seed=1).load_state_dict, state)


def test_samplers_and_transform(coreset, monkeypatch):
    expected = sorted(pixels(CorePatches(coreset, 2, cache=False)))
    shares = [
        batches(CorePatches(coreset, 2), 0, sampler=DistributedSampler(CorePatches(coreset, 2), 2, rank))
        for rank in range(2)
    ]
    assert {p for loader in shares for p in whole_epoch(loader)} == set(expected)

    plain = CorePatches(coreset, 2, cache=False, keep_images=1)
    sampler = ByImage(plain, images=1, seed=3)
    assert sorted(whole_epoch(batches(plain, 0, sampler=sampler))) == expected
    images = [plain.patches.image[i] for i in sampler]
    assert sum(a != b for a, b in itertools.pairwise(images)) == len(set(images)) - 1
    sampler.set_epoch(1)
    assert [plain.patches.image[i] for i in sampler] != images

    doubled = CorePatches(coreset, 2, transform=lambda lr, hr: {"lq": lr.float() / 255, "gt": hr.float() / 255})
    batch = next(iter(batches(doubled, 0, pin_memory=False)))
    assert batch["gt"].dtype == torch.float32
    assert batch["gt"].shape == (8, 3, 48, 48)


def test_without_room_pairs_are_read_from_the_images(coreset, tmp_path, caplog, monkeypatch, refused):
    monkeypatch.setenv("SRFAST_CACHE_GB", "0.00001")
    dataset = CorePatches(coreset, 2)
    assert pixels(dataset.__getitems__([0, 1])) == pixels(CorePatches(coreset, 2, cache=False).__getitems__([0, 1]))
    assert "above the limit" in caplog.text
    (tmp_path / "file").write_text("not a folder")
    refused("cache: expected a folder", CorePatches(coreset, 2, cache=tmp_path / "file").prepare, False)
    monkeypatch.setenv("SRFAST_CACHE_GB", "much")
    refused("SRFAST_CACHE_GB: expected a number", CorePatches(coreset, 2).prepare, False)


def test_the_cache_folder_stays_below_its_limit(coreset, cache):
    CorePatches(coreset, 2).prepare(False)
    size = next(cache.glob("*.pairs")).stat().st_size
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packed, "LIMIT", size * 3 // 2)
        first = CorePatches(coreset, 2).prepare(False)
        CorePatches(coreset, 4).prepare(False)
        assert [p for p in cache.glob("*.pairs") if p.stat().st_size == size] == []
        assert pixels([first[1]]) == pixels([CorePatches(coreset, 2, cache=False)[1]])  # it goes on being read


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop": 25}, "crop: expected a multiple of the scale 2 of at most 48"),
        ({"crop": 50}, "crop: expected a multiple of the scale 2 of at most 48"),
        ({"crop": "24"}, "crop: expected an integer"),
        ({"flip": 1}, "flip: expected True or False"),
        ({"depth": 12}, "depth: expected 8 or 16, got 12"),
        ({"depth": True}, "depth: expected 8 or 16, got True"),
        ({"transform": "gray"}, "transform: expected a function"),
        ({"cache": True}, "cache: expected a folder, False or None"),
        ({"seed": -1}, "seed: expected at least 0"),
    ],
)
def test_wrong_arguments(coreset, options, message, refused):
    refused(message, CorePatches, coreset, 2, **options)


def test_a_pickle_holds_no_pixels(coreset):
    dataset = CorePatches(coreset, 2, crop=24).prepare(False)
    copy = pickle.loads(data := pickle.dumps(dataset))
    assert len(data) < 20_000
    assert pixels(copy.__getitems__([0, 1])) == pixels(dataset.__getitems__([0, 1]))
