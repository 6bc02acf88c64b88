"""Hostile files and arguments at random, each kind in a process of its own: refused by name, or read; never a crash,
a hang or more memory than the process may have. ``python fuzzed.py TARGET SECONDS SEED`` runs one."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HANG = 60
"""Seconds of CPU time that one case may take; on a busy machine ten times as many by the clock."""
MEMORY = 6 << 30
"""Bytes of the process, of which importing torch takes most."""
Case = Callable[[random.Random, Path], None]


def number(rng: random.Random) -> int:
    """Small, or near a power of two where 32 or 64 bits end."""
    if rng.random() < 0.6:
        return rng.randint(-3, 60)
    return rng.choice((1, -1)) * (1 << rng.choice((15, 16, 24, 31, 32, 33, 62, 63, 64))) + rng.randint(-70, 70)


def native(rng: random.Random, folder: Path) -> None:
    """The operations on arrays, with sizes, corners and types of every kind."""
    import torch
    from PIL import Image

    from srfast import downsample, imresize, per_sample_mse, score, score_patches, upsample
    from srfast.coreset.limits import separate
    from srfast.ops.blockiness import blockiness
    from srfast.ops.defects import defects, jpeg_trace

    h, w, c = rng.randint(0, 70), rng.randint(0, 70), rng.choice((1, 3, 3, 2, 0))
    whole = image = np.random.default_rng(rng.randrange(99)).integers(0, 256, (h, w, c), dtype=np.uint8)
    if rng.random() < 0.3:
        image = image[:: rng.choice((-1, 2)), :: rng.choice((-1, 1, 3))]
    corner = rng.choice((number, lambda rng: rng.randint(0, 24)))
    corners = [sorted(corner(rng) for _ in range(rng.randint(0, 4))) for _ in range(4)]
    lists = []
    for values in corners:
        small = all(abs(v) < 1 << 63 for v in values)
        lists.append(np.array(values, rng.choice((None, np.int64, np.float64, object)) if small else None))
    scale, threads = rng.choice((2, 3, 4, 5, number(rng))), number(rng) if rng.random() < 0.3 else 1
    kind = rng.randrange(9)
    if kind == 0:
        blockiness(image, lists[0], lists[1], rng.choice((9, number(rng))), threads)
    elif kind == 1:
        n = min(map(len, lists))
        separate(*(v[:n] for v in lists), rng.choice((0.0, 0.5, 0.99, 1.0, -1.0, float("nan"))))
    elif kind == 2:
        imresize(image, rng.choice((0.5, 1 / 3, 2, 1.7, 0, -1, 2.0**-16, float("nan"), float("inf"), 1e300)))
    elif kind == 3:
        patches = image[None, : h - h % 2, : w - w % 2]
        score_patches(patches, scale, scorer="bicubic", backend="native")
    elif kind == 4:
        defects(image, lists[0], lists[1], rng.choice((32, number(rng))), threads)
    elif kind == 5:
        jpeg_trace(image)
    elif kind == 6:
        planes = torch.from_numpy(whole).permute(2, 0, 1)[None, :, :: rng.choice((1, 2))]
        rng.choice((upsample, downsample))(planes.to(rng.choice((torch.float32, torch.float32, torch.uint8))), scale)
        per_sample_mse(planes[0].float(), planes[0, :, :, : rng.choice((None, 3))].float())
    elif kind == 7:
        degradation(rng, image, threads)
    elif h and w and c in (1, 3):
        Image.fromarray(whole.squeeze(2) if c == 1 else whole).save(folder / "a.png")
        grid = {"patch": rng.choice((8, 24, number(rng))), "stride": rng.choice((1, 8, number(rng)))}
        score(folder / "a.png", scale=scale, mode="dense", scorer="bicubic", backend="native", threads=1, **grid)


def degradation(rng: random.Random, image: np.ndarray, threads: int) -> None:
    """One operation of a degradation on planes, with sizes, kernels, keys and deviations of every kind."""
    from srfast.ops import degrade

    def side() -> int:  # what is refused, or small: a result may be as large as memory
        value = number(rng)
        return value if value < 99 or value > 1 << 40 else 9

    def row() -> np.ndarray:
        return np.ones(rng.choice((0, 1, 2, 3, 9, 4097)))

    planes = degrade.planes_of(image)
    real = rng.choice((0.5, 1.5, 3.0, 0.0, -1.0, float("nan"), float("inf")))
    key, slot = np.arange(rng.choice((4, 4, 4, 0, 3)), dtype=np.uint32), rng.choice((0, 7, number(rng)))
    taps = rng.choice((1, 5, 21, number(rng)))
    kind = rng.randrange(8)
    if kind == 0:
        square = degrade.kernel(rng.choice((*degrade.KERNELS, "x")), taps, real, 2.0, 0.5, 1.5)
        degrade.blur(planes, rng.choice((square, square[1:], square[0])), threads=threads)
    elif kind == 1:
        degrade.blur_separable(planes, row(), row(), threads=threads)
    elif kind == 2:
        filter, step = rng.choice((*degrade.FILTERS, "lanczos")), rng.choice((None, None, (real, 1.0), (2.0, real)))
        degrade.resize(planes, side(), side(), filter, antialias=rng.random() < 0.5, step=step, threads=threads)
    elif kind == 3:
        how = {"gray": rng.random() < 0.5, "threads": threads}
        degrade.add_noise(planes, rng.choice(("gaussian", "poisson")), real, key, slot, **how)
    elif kind == 4:
        degrade.unsharp(planes, taps, real, real, 10.0, threads=threads)
    elif kind == 5:
        degrade.thick_lines(planes, threads=threads)
    elif kind == 6:
        degrade.bytes_of(planes + np.float32(real))
    else:
        degrade.random_words(key, slot, side())


def weights(rng: random.Random, folder: Path) -> None:
    """Weight files of every kind whose names, shapes, types and metadata are made up, then damaged."""
    import torch
    from safetensors.torch import save

    from srfast.models.loading import load_model, load_state

    def shape() -> list[int]:
        return [rng.choice((0, 1, 2, 3, 9, 64)) for _ in range(rng.randint(0, 4))]

    types = [torch.float32, torch.float16, torch.float8_e4m3fn, torch.int64, torch.bool, torch.complex64]
    names = ("conv1.weight", "conv1.bias", "body.0.weight", "a", "\0", "é" * 9)
    state = {rng.choice(names): torch.zeros(shape(), dtype=rng.choice(types)) for _ in range(rng.randint(1, 4))}
    value: Any = rng.choice((number(rng), "x", None, [number(rng)], {"a": 1}, 1e308, "\ud7ff"))
    options = {rng.choice(("features", "blocks", "units", "kernel", "weight", "x")): value}
    model = rng.choice(("srcnn", "fsrcnn", "edsr", "rdn", "idn", "drrn", "\0", ""))
    about = {"model": model, "scale": str(rng.choice((2, 3, 4, number(rng)))), "options": json.dumps(options)}
    suffix = rng.choice((".safetensors", ".pth", ".caffemodel", ".mat"))
    path = folder / f"w{suffix}"
    if suffix == ".safetensors":
        data = save(state, rng.choice((about, None)))
    elif suffix == ".pth":
        if rng.random() < 0.3:
            state["a"] = torch.zeros(1).expand(rng.choice((3, 1 << 33)))
        buffer = io.BytesIO()
        trained = {"average": state, "settings": about, "model": state}
        torch.save(rng.choice((state, {"state_dict": state}, trained)), buffer)
        data = buffer.getvalue()
    elif suffix == ".mat" and rng.random() < 0.02:  # a process each
        from scipy.io import savemat

        buffer = io.BytesIO()
        savemat(buffer, {"weights_conv1": np.zeros((81, 64)), "biases_conv1": np.zeros(64)})
        data = buffer.getvalue()
    elif suffix == ".caffemodel":
        data = rng.randbytes(rng.randint(0, 80))
        data = b"\xa2\x06" + bytes([len(data)]) + b"\x0a\x01a\x3a" + bytes([max(0, len(data) - 5)]) + data
    else:
        return
    path.write_bytes(mutate(data, data, rng) if rng.random() < 0.6 else data)
    (load_state if rng.random() < 0.5 else load_model)(path)


def jpegs(rng: random.Random, folder: Path) -> None:
    """JPEG files of many scans, cut, spliced and given an end."""
    from PIL import Image

    from srfast.data.images import image_size, read_rgb

    pixels = np.random.default_rng(rng.randrange(9)).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(rng.choice(("RGB", "L", "CMYK"))).save(
        buffer, "JPEG", progressive=rng.random() < 0.6, restart_marker_blocks=rng.choice((0, 3))
    )
    data = buffer.getvalue()
    if rng.random() < 0.3:
        at = data.rfind(b"\xff\xda")
        data = data[:-2] + data[at:-2] * rng.choice((2, 90, 3000)) + data[-2:]
    if rng.random() < 0.4:
        data = data[: rng.randrange(len(data))] + b"\xff\xd9"
    path = folder / "a.jpg"
    path.write_bytes(mutate(data, data, rng) if rng.random() < 0.6 else data)
    (image_size if rng.random() < 0.2 else read_rgb)(path)


def pngs(rng: random.Random, folder: Path) -> None:
    """PNG files damaged before and after they are packed."""
    import struct
    import zlib

    from srfast.data.images import read_rgb

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    h, w, c = rng.randint(1, 9), rng.randint(1, 9), rng.choice((1, 3, 4))
    rows = b"".join(bytes([rng.choice((0, 1, 2, 3, 4, 4, 9))]) + rng.randbytes(w * c) for _ in range(h))
    wide, depth = rng.choice((w, w, number(rng) & 0xFFFFFFFF)), rng.choice((8, 8, 16, 1))
    interlaced = rng.choice((0, 0, 1))
    head = struct.pack(">IIBBBBB", wide, h, depth, {1: 0, 3: 2, 4: 6}[c], 0, 0, interlaced)
    packed = zlib.compress(mutate(rows, rows, rng) if rng.random() < 0.3 else rows)
    chunks = (chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
    path = folder / "a.png"
    path.write_bytes(mutate(data, data, rng) if rng.random() < 0.4 else data)
    read_rgb(path)


def texts(rng: random.Random, folder: Path) -> None:
    """Studies in TOML and lines of names and numbers."""
    from srfast.coreset.joining import read_table
    from srfast.data import toml

    piece = rng.choice(("[", "a.", "\t", " ,", "1", "{a=", '"', "[[a]]\n", "é", "\0", "a 1\n", "_1", "nan "))
    first, last = rng.choice(("", "a = ", "[a.b]\n")), rng.choice(("", "]", "x", " 1\n"))
    text = first + piece * rng.choice((1, 30, 3000, 20000)) + last
    path = folder / rng.choice(("a.toml", "a.txt", "a.csv"))
    path.write_bytes(mutate(text.encode(), text.encode(), rng) if rng.random() < 0.3 else text.encode())
    (toml.parse if path.suffix == ".toml" else read_table)(path)


TARGETS: dict[str, Case] = {"native": native, "weights": weights, "jpegs": jpegs, "pngs": pngs, "texts": texts}


def mutate(data: bytes, other: bytes, rng: random.Random) -> bytes:
    """One to five damages: flipped bits, set bytes, cuts, repeats, insertions, splices."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        if not out:
            break
        at, length = rng.randrange(len(out)), rng.randint(1, 64)
        kind = rng.randrange(7)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF))
        elif kind == 2:
            del out[at:]
        elif kind == 3:
            del out[at : at + length]
        elif kind == 4:
            out[at:at] = out[at : at + length] * rng.randint(1, 8)
        elif kind == 5:
            out[at : at + length] = rng.randbytes(length)
        else:
            out[at:] = other[rng.randrange(len(other)) :]
    return bytes(out)


def run(target: str, seconds: float, seed: int) -> dict[str, int]:
    """Cases until the time is over; anything but a refusal ends it, with the number of the case."""
    import signal
    import warnings

    from srfast.errors import InputError, RunError

    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except ImportError:
        pass
    warnings.simplefilter("ignore")
    counts = {"cases": 0, "refused": 0}
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end:
            case = f"{seed}-{counts['cases']}"
            signal.setitimer(signal.ITIMER_PROF, HANG)  # ends the process, as does the next
            signal.alarm(10 * HANG)
            try:
                TARGETS[target](random.Random(case), Path(folder))
            except (InputError, RunError, TypeError) as refusal:
                counts["refused"] += 1
                if "\n" in str(refusal) and not isinstance(refusal, TypeError):
                    raise AssertionError(f"{target} {case}: more than a line: {refusal}") from None
            except Exception as error:
                raise AssertionError(f"{target} {case}: {type(error).__name__}: {error}") from error
            counts["cases"] += 1
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    return counts


def start(target: str, seconds: float, seed: int) -> tuple[int, str, str]:
    """``run`` in a process of its own: its exit code, what it said, and what went wrong."""
    command = [sys.executable, __file__, target, str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr[-3000:]


def tally(target: str, seconds: float, seed: int) -> Any:
    """A row of the torture's table."""
    from harness import Tally

    row = Tally(f"hostile {target}")
    code, out, err = start(target, seconds, seed)
    counts = json.loads(out) if code == 0 else {"cases": 1, "refused": 0}
    row.count("refused", counts["refused"])
    row.count("read", counts["cases"] - counts["refused"])
    if code:
        row.lose(f"exit code {code}: {err[-600:]}")
    return row.finish()


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]))))
