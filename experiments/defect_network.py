"""Trains the network of ``srfast.ops.defects`` on made defects: ``python -m experiments.defect_network BSDS400 T91``.

Writes ``srfast/weights/defects.safetensors`` (``--out``) and prints the AUC of each output on an eighth of the
photographs, which it has not seen. BSDS400 is reduced first (by 2 to 3, with four filters), as its own JPEG blocks are
on the 8-pixel grid; a sixth of it is also taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata
from torch import nn

from experiments.degrade import KERNELS, as_bytes, degrade
from srfast.data.images import find_images, read_rgb
from srfast.ops import native
from srfast.ops.defects import CHROMA, FEATURES, LAYERS, WEIGHTS, has_colour

SIDE = 11
"""Tiles of a window each way: those that fit into 96 pixels wherever they lie."""
FILTERS = [Image.Resampling[name] for name in ("BICUBIC", "BOX", "LANCZOS", "HAMMING")]
INK = 40
"""Pixels of a window that an overlay changed by more than 24 grey levels, from which it is there to be seen."""
HELD_OUT = 8
EPOCHS = 14

Label = dict[str, float]


def sources(folders: Sequence[str]) -> list[tuple[np.ndarray, str]]:
    """Clean photographs and where they come from."""
    reduced, *others = folders
    photographs = []
    for i, file in enumerate(find_images(reduced)):
        photo = Image.fromarray(read_rgb(file.path))
        by = (2, 2, 2.5, 3)[i // 4 % 4]
        small = photo.resize((int(photo.width / by), int(photo.height / by)), FILTERS[i % 4])
        photographs.append((np.asarray(small), "reduced"))
        if i % 6 == 1:
            photographs.append((np.asarray(photo), "as it is"))
    for folder in others:
        photographs += [(read_rgb(file.path), "other") for file in find_images(folder)]
    return [(image, kind) for image, kind in photographs if min(image.shape[:2]) >= 8 * SIDE]


def spoilt(image: np.ndarray, rng: np.random.Generator) -> list[tuple[np.ndarray, Label]]:
    """The image, clean and spoilt in every way, with what is true of each."""

    def saved(picture: np.ndarray, low: int, high: int) -> np.ndarray:
        return degrade(picture, "jpeg", int(rng.integers(low, high)), rng, shift=(0, 0), again=0)

    versions: list[tuple[np.ndarray, Label]] = [(image, {}), (saved(image, 30, 96), {"jpeg": 1})]
    for sigma in (rng.uniform(1.5, 5), rng.uniform(4, 8), rng.uniform(8, 30)):
        colour = bool(rng.random() < 0.5)
        noisy = degrade(image, "noise", sigma, rng, colour=colour)
        versions.append(
            (saved(noisy, 90, 98) if rng.random() < 0.15 else noisy, {"noise": sigma * (0.67 if colour else 1)})
        )
    for sigma in (rng.uniform(0.4, 1.2), rng.uniform(1.1, 1.8), rng.uniform(1.8, 4)):
        soft, after = degrade(image, "blur", sigma, rng, shape="gaussian"), rng.random()
        soft = saved(soft, 75, 97) if after < 0.3 else degrade(soft, "noise", 2, rng) if after < 0.4 else soft
        versions.append((soft, {"blur": sigma}))
    moved = rng.uniform(4, 14)
    versions.append((degrade(image, "blur", moved, rng, shape="motion"), {"motion": moved}))
    for factor in (2, 3, 4):
        for kernel in rng.choice(list(KERNELS), 3, replace=False):
            after = 0 if rng.random() < 0.5 else int(rng.integers(82, 97))
            down = str(rng.choice(["bicubic", "lanczos", "bilinear"]))
            large = degrade(image, "upscaled", factor, rng, kernel=str(kernel), down=down, after=after)
            y, x = rng.integers(0, 4, 2) if rng.random() < 0.3 else (0, 0)
            versions.append((large[y:, x:], {"upscaled": factor}))
    mild = ImageFilter.UnsharpMask(rng.uniform(0.8, 3), int(rng.integers(30, 100)), 0)
    versions.append((np.asarray(Image.fromarray(image).filter(mild)), {"mild": 1}))
    for grainy in (False, False, True, True):  # a scan's noise is sharpened with it, and hides halos
        before = degrade(image, "noise", rng.uniform(1, 5), rng, colour=bool(rng.random() < 0.5)) if grainy else image
        sharp = degrade(before, "halo", rng.uniform(1.5, 4), rng, radius=rng.uniform(0.8, 3))
        versions.append((saved(sharp, 80, 97) if rng.random() < 0.15 else sharp, {"halo": 1, "grainy": float(grainy)}))
    for opacity in (1.0, 1.0, 1.0, 0.5, 0.5, rng.uniform(0.35, 0.8)):
        size, lines = float(rng.integers(8, 34)), int(rng.integers(3, 16))
        text = degrade(image, "overlay", size, rng, opacity=opacity, lines=lines)
        ink = np.abs(text.astype(int) - image).max(2) > 24
        versions.append((saved(text, 75, 96) if rng.random() < 0.25 else text, {"overlay": opacity, "ink": ink}))
    fine = grated(image, rng)
    versions.append((fine, {"grated": 1}))
    versions.append((degrade(grated(image, rng), "noise", 8, rng, colour=False), {"grated": 1, "noise": 8}))
    both = degrade(
        degrade(image, "upscaled", int(rng.integers(2, 4)), rng, kernel="bicubic"), "noise", 8, rng, colour=False
    )
    versions.append((both, {"noise": 8, "mixed": 1}))
    return versions


def grated(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """With a grating of 2 to 6 pixels over it, as facades and cloth have: as rough as noise, and none."""
    height, width = image.shape[:2]
    y, x = np.mgrid[: 4 * height, : 4 * width] / 4
    angle = rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]) + rng.normal(0, 0.03)
    along = x * np.cos(angle) + y * np.sin(angle)
    phase = 2 * np.pi * along / (rng.uniform(2, 6) * (1 + rng.uniform(0, 0.5) * y / height))
    wave = np.sin(phase) if rng.random() < 0.5 else np.sign(np.sin(phase) - rng.uniform(-0.5, 0.5))
    small = wave.reshape(height, 4, width, 4).mean((1, 3))[..., None]
    return as_bytes(image + rng.uniform(8, 60) * small)


def features(image: np.ndarray) -> np.ndarray:
    """The features of the tiles of an image, float32 [H // 8, W // 8, 24], as the kernel computes them."""
    image = np.ascontiguousarray(image)
    out = np.empty((image.shape[0] // 8, image.shape[1] // 8, len(FEATURES)), np.float32)
    native.compiled().defect_features(native.image_at(image), out.ctypes.data)
    return out


def windows(job: tuple[int, np.ndarray, str]) -> list[tuple[np.ndarray, dict[str, Any]]]:
    """Tiles [SIDE * SIDE, features] of windows of a photograph, with their labels."""
    number, image, kind = job
    rng = np.random.default_rng(number)
    pairs = []
    for version, (picture, label) in enumerate(spoilt(image, rng)):
        tiles = features(picture).astype(np.float16)
        for _ in range(4 if not label else 3 if "overlay" in label else 2):
            y, x = (int(rng.integers(0, side - SIDE + 1)) for side in tiles.shape[:2])
            about = {**label, "photo": number, "version": version, "kind": kind}
            if "ink" in label:
                about["ink"] = int(label["ink"][8 * y : 8 * (y + SIDE), 8 * x : 8 * (x + SIDE)].sum())  # type: ignore[index]
            pairs.append((tiles[y : y + SIDE, x : x + SIDE].reshape(SIDE * SIDE, -1), about))
    return pairs


class Network(nn.Module):
    """As ``srfast.ops.defects`` says, on features with mean 0 and deviation 1.

    One more output says whether there is text; it is not shipped, but the others were trained beside it.
    """

    def __init__(self) -> None:
        super().__init__()
        *sizes, (outputs, inputs) = LAYERS
        self.layers = nn.ModuleList(nn.Linear(inputs, outputs) for outputs, inputs in (*sizes, (outputs + 1, inputs)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b, c, d = self.layers
        return d(torch.relu(c(torch.relu(b(torch.relu(a(x)))).mean(1))))


def fit(x: torch.Tensor, about: list[dict[str, Any]]) -> Network:
    """Trains on the windows whose photographs are not held out."""

    def of(key: str, default: float = 0) -> torch.Tensor:
        return torch.tensor([float(a.get(key, default)) for a in about])

    noise, blur, factor = torch.log2(1 + of("noise")), of("blur"), of("upscaled", 1).long() - 1
    halo, mild, ink = of("halo"), of("mild"), of("ink")
    enlarged, soft, moved = factor > 0, blur > 0, of("motion") > 0
    mixed, grated, grainy = of("mixed") > 0, of("grated") > 0, of("grainy") > 0
    other = moved | mixed | grated
    weight = torch.tensor([3.0 if a["version"] == 0 else 2.0 if "jpeg" in a or "overlay" in a else 1.0 for a in about])
    weight[torch.tensor([a["photo"] % HELD_OUT == 0 for a in about])] = 0
    torch.manual_seed(0)
    network = Network()
    binary = nn.BCEWithLogitsLoss(reduction="none")

    def loss() -> torch.Tensor:
        j = torch.multinomial(weight, 256, replacement=True)
        out = network(x[j].float())
        total = 2 * ((out[:, 0] - noise[j]).square() * ~grainy[j]).mean()
        total += ((out[:, 1] - blur[j]).clamp(-2, 2).square() * ~(enlarged | other)[j]).mean()
        total += (nn.functional.cross_entropy(out[:, 2:6], factor[j], reduction="none") * ~(soft | other)[j]).mean()
        total += (binary(out[:, 6], halo[j]) * ((mild[j] == 0) & ~grated[j])).mean()
        inked = ink[j] >= INK
        total += 1.5 * (binary(out[:, 7], inked.float()) * (((ink[j] == 0) & ~grated[j]) | inked)).mean()
        return total

    descend(network, loss, EPOCHS * len(about) // 256, 8e-3, 1e-4)
    return network


def descend(network: nn.Module, loss: Callable[[], torch.Tensor], steps: int, rate: float, decay: float) -> None:
    """Trains a network by the loss of a batch that is drawn anew for each step."""
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    for step in range(steps):
        value = loss()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step} of {steps}: {float(value.detach()):.4f}", flush=True)


def auc(clean: np.ndarray, bad: np.ndarray) -> float:
    """The probability that a bad one has the higher value."""
    ranks = rankdata(np.concatenate([clean, bad]))
    return float((ranks[len(clean) :].mean() - (len(bad) + 1) / 2) / len(clean))


def report(out: np.ndarray, about: list[dict[str, Any]]) -> None:
    """AUC for windows and for images (mean of their windows) of the photographs held out."""
    values = {"noise": out[:, 0], "blur": out[:, 1], "halo": out[:, 6], "overlay": out[:, 7]}
    odds = out[:, 3:6].max(1) + np.log(np.exp(out[:, 3:6] - out[:, 3:6].max(1, keepdims=True)).sum(1)) - out[:, 2]
    values |= {"upscaled": odds, "motion": out[:, 1]}
    least = {"noise": 3.35, "blur": 1.2}
    held = np.array([a["photo"] % HELD_OUT == 0 for a in about])
    clean = held & np.array([a["version"] == 0 for a in about])
    groups = [(a["photo"], a["version"]) for a in about]
    for name, value in values.items():
        bad = held & np.array([a.get(name, 0) > least.get(name, 0) and "mixed" not in a for a in about])

        def images(mask: np.ndarray, value: np.ndarray = value) -> np.ndarray:
            of: dict[tuple[int, int], list[float]] = {}
            for i in np.flatnonzero(mask):
                of.setdefault(groups[i], []).append(value[i])
            return np.array([np.mean(v) for v in of.values()])

        print(f"{name}: {auc(value[clean], value[bad]):.3f} a window, {auc(images(clean), images(bad)):.3f} an image")


def expected_chroma(photos: list[tuple[int, np.ndarray, str]]) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients [features], 0 for chroma, and a constant [1] that give a tile's chroma from its other features.

    Least squares over the tiles of the photographs with colour that are not held out, and of every third after an
    unsharp mask of 150 %, without which gray pictures show few halos.
    """
    size = len(FEATURES)
    products = np.zeros((size + 1, size + 1))
    for number, image, _ in photos:
        if number % HELD_OUT == 0 or not has_colour(image):
            continue
        rng = np.random.default_rng(number)
        for picture in (image, degrade(image, "halo", 1.5, rng, radius=2.0))[: 2 if number % 3 == 0 else 1]:
            tiles = features(picture).reshape(-1, size).astype(np.float64)
            known = np.column_stack([np.delete(tiles, CHROMA, 1), np.ones(len(tiles)), tiles[:, CHROMA]])
            products += known.T @ known
    solution = np.linalg.lstsq(products[:-1, :-1], products[:-1, -1], rcond=None)[0]
    return np.insert(solution[:-1], CHROMA, 0).astype(np.float32), solution[-1:].astype(np.float32)


@click.command()
@click.argument("folders", nargs=-1, required=True)
@click.option("--out", type=Path, default=WEIGHTS)
def main(folders: tuple[str, ...], out: Path) -> None:
    """Train the network of defects on FOLDERS of photographs, of which those of the first are reduced."""
    photos = [(i, image, kind) for i, (image, kind) in enumerate(sources(folders))]
    of_gray = dict(zip(("gray.weight", "gray.bias"), map(torch.from_numpy, expected_chroma(photos)), strict=True))
    kept = load_file(out) if out.exists() else {}
    with ProcessPoolExecutor(2) as pool:
        pairs = [pair for some in pool.map(windows, photos, chunksize=8) for pair in some]
    print(f"{len(photos)} photographs, {len(pairs)} windows", flush=True)
    torch.set_num_threads(1)
    x, about = torch.from_numpy(np.stack([tiles for tiles, _ in pairs])), [label for _, label in pairs]
    some = x[::7].float()
    mean, deviation = some.mean((0, 1)), some.std((0, 1)) + 1e-3
    network = fit(((x.float() - mean) / deviation).half(), about)
    first: Any = network.layers[0]
    with torch.no_grad():  # what the features were scaled by goes into the first layer
        first.weight /= deviation
        first.bias -= first.weight @ mean
        shown = torch.cat([network(part.float()) for part in x.split(2000)]).numpy()
    tensors = {
        f"{n}.{k}": v.detach().contiguous()
        for n, layer in enumerate(network.layers)
        for k, v in layer.named_parameters()
    }
    for kind in ("weight", "bias"):
        tensors[f"3.{kind}"] = tensors[f"3.{kind}"][:-1].contiguous()
    save_file({**kept, **tensors, **of_gray}, out)
    report(shown, about)


if __name__ == "__main__":
    main()
