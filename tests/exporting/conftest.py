"""A dataset with every kind of name, and a core-set of it on a grid that x2, x3 and x4 share."""

import importlib
import json
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import srfast

SIZE = 48
CROPS = {
    "a b.png": ("astronaut", 60, 100, 130, 195),
    "a_b.png": ("astronaut", 200, 180, 121, 170),
    "A_B.jpg": ("chelsea", 50, 80, 150, 220),
    "sub/café au lait.png": ("coffee", 100, 200, 123, 171),
    "sub/日本.v2.png": ("rocket", 200, 250, 100, 97),
    "whole.png": ("coffee", 200, 300, 48, 48),
    "x2x3.webp": ("rocket", 100, 200, 97, 101),
}
"""Name -> photograph, y, x, height, width."""


@pytest.fixture(scope="session")
def dataset(photographs, tmp_path_factory):
    root = tmp_path_factory.mktemp("dataset") / "data set"
    (root / "sub").mkdir(parents=True)
    for name, (photo, y, x, h, w) in CROPS.items():
        image = Image.fromarray(photographs[photo][y : y + h, x : x + w])
        image.save(root / name, lossless=True) if name.endswith("webp") else image.save(root / name)
    return root


def table_of(root):
    """Every fourth place of a grid of 12 pixels, hardest first in no order of place."""
    rows = []
    for name, (_, _, _, h, w) in CROPS.items():
        places = [(x, y) for y in range(0, h // 12 * 12 - SIZE + 1, 12) for x in range(0, w // 12 * 12 - SIZE + 1, 12)]
        rows += [(name, x, y) for x, y in places[:: max(1, len(places) // 5)]]
    order = np.random.default_rng(0).permutation(len(rows))
    image, x, y = (list(c) for c in zip(*(rows[i] for i in order), strict=True))
    loss = np.sort(np.random.default_rng(1).gamma(1, 60, len(rows)).astype(np.float32))[::-1]
    states = {n: (root / n).stat() for n in CROPS}
    images = {n: {"size": s.st_size, "mtime_ns": s.st_mtime_ns, "rows": 1} for n, s in states.items()}
    about = {"version": 1, "root": str(root), "scale": 2, "patch": SIZE, "images": images, "selection": {"keep": 1.0}}
    columns = {
        "image": pa.array(image, pa.string()),
        **{k: pa.array(v, pa.int32()) for k, v in {"x": x, "y": y, "size": [SIZE] * len(x)}.items()},
        **{k: pa.array(loss) for k in ("loss", "bicubic", "sobel")},
        "rank": pa.array(np.arange(len(x), dtype=np.int32)),
    }
    return pa.table(columns).replace_schema_metadata({b"srfast": json.dumps(about).encode()})


@pytest.fixture(scope="session")
def coreset(dataset, tmp_path_factory):
    path = tmp_path_factory.mktemp("coreset") / "coreset.parquet"
    pq.write_table(table_of(dataset), path)
    return path


@pytest.fixture(scope="session")
def expected(coreset):
    """expected(scale) -> (LR pixels, HR pixels) of every pair of ``CorePatches``, as bytes, and how often it occurs."""

    def pairs(scale):
        count = {}
        for lr, hr in srfast.CorePatches(coreset, scale):
            key = lr.movedim(0, -1).numpy().tobytes(), hr.movedim(0, -1).numpy().tobytes()
            count[key] = count.get(key, 0) + 1
        return count

    return pairs


LAYOUTS = ["folder", "basicsr", "lmdb", "hf", "hf-embedded", "webdataset"]


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return str(request.param)


@pytest.fixture(scope="session")
def export():
    """export(coreset, folder, layout, **options) at x2; the layout hf-embedded is hf with ``embed``."""
    return lambda coreset, out, layout, **options: srfast.export(
        coreset, out, to=layout.split("-")[0], scale=2, embed=layout == "hf-embedded", **options
    )


@pytest.fixture(scope="session")
def pairs_of():
    """pairs_of(folder, scale) -> name -> RGB of LR and HR, decoded by OpenCV from folders or databases."""
    import cv2
    import lmdb

    def side(folder):
        if folder.is_dir():
            files = {p.stem: p.read_bytes() for p in folder.rglob("*.*")}
        else:
            folder = folder.with_name(f"{folder.name}.lmdb")
            keys = [line.split(".")[0] for line in (folder / "meta_info.txt").read_text().splitlines()]
            with lmdb.open(str(folder), readonly=True, lock=False) as env, env.begin() as transaction:
                files = {key: transaction.get(key.encode()) for key in keys}
        images = {n: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for n, data in files.items()}
        return {name: np.ascontiguousarray(image[..., ::-1]).tobytes() for name, image in images.items()}

    def read(folder, scale=2):
        low, high = side(folder / f"LRx{scale}"), side(folder / "HR")
        assert low.keys() == high.keys()
        return {name: (low[name], high[name]) for name in high}

    return read


@pytest.fixture(scope="session")
def goes_on(export):
    """goes_on(coreset, folder, layout, **options): the export goes on, and every patch of it is as its source."""

    def check(*of, **options):
        done = export(*of, **{"resume": True, "check": True, **options})
        assert done.compared == done.patches

    return check


@pytest.fixture(scope="session")
def begin(export):
    """begin(coreset, folder, layout, images=1, patches=0): an export that ends after so much, whose parts stay."""

    def run(coreset, out, layout="folder", images=1, patches=0, **options):
        def stop(done, _images, written):
            if done >= images and written >= patches:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            export(coreset, out, layout, progress=stop, **options)

    return run


@pytest.fixture(scope="session")
def basicsr():
    """basicsr(**options): BasicSR's own data set of pairs."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = importlib.import_module("basicsr.data.paired_image_dataset")
    except ImportError as error:
        pytest.skip(f"BasicSR's loader is not at hand ({error}): pip install --no-deps basicsr-fixed (not on 3.13)")
    return lambda **options: module.PairedImageDataset({"phase": "val", **options})
