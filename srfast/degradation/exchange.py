"""Degradations from and to the configurations of trainers: BasicSR and Real-ESRGAN, neosr, traiNNer-redux.

All three describe the order of Real-ESRGAN's two stages by keys. Settings that only one side has are listed, never
dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from srfast.data import toml
from srfast.degradation.operations import BLURS, NESTED
from srfast.degradation.settings import TRAINERS
from srfast.errors import InputError
from srfast.runtime.optional import needing

WAYS = ("up", "down", "keep")
_AREA = ["area", "bilinear", "bicubic"]
_REDUX_MODES = ["bilinear", "bicubic", "nearest-exact", "lanczos"]
_DEGRADES = re.compile(
    r"prob\d?$|range\d?$|noise|blur|jpeg|webp|resize|sinc|kernel|usm|compress|shift|subsampling|dither|otf_|queue"
    r"|thicklines|beta[gp]"
)
_NOT_USED = ("blur_kernel_size", "blur_kernel_size2")
_AUGMENT = ("aug_prob", "moa_probs")
_OF_OFF = {
    "shift_": "shift_prob", "subsampling_": "subsampling_prob", "dithering_": "dithering_prob",
    "otf_hf_noise_": "otf_hf_noise_prob", "otf_shared_hf_noise_": "otf_hf_noise_prob",
}  # fmt: skip
"""Keys of redux that count only if another one is above 0."""
_VIDEO = ("h264", "hevc", "mpeg2", "mpeg4", "vp9")


@dataclass
class Exchanged:
    """The content of a file, and what has no counterpart in it, in whole sentences."""

    content: dict[str, Any]
    lost: list[str] = field(default_factory=list)


def read_trainer(path: Path, trainer: str | None = None) -> tuple[str, Exchanged]:
    """The trainer of a YAML or TOML configuration, recognised by its keys for None, and the content of the degradation
    that it describes. Raises InputError if it cannot be read, or describes no degradation, and RunError if it is YAML,
    and PyYAML is not installed."""
    if path.suffix == ".toml":
        whole = toml.parse(path, "a configuration")
    else:
        with needing("reading YAML"):
            import yaml
        whole = toml.parse(path, "a configuration", yaml.safe_load)
    keys = _table(whole, "degradations")
    if trainer is None:
        of_redux = {"blur_prob", "resize_mode_list", "resize_mode_list3"} & whole.keys()
        trainer = "neosr" if keys else "redux" if of_redux else "basicsr"
    if trainer != "neosr":
        keys = {**_table(_table(whole, "datasets"), "train"), **whole}
    if "resize_prob" not in keys or "jpeg_range" not in keys:
        raise InputError(
            f"{path}: expected a configuration of {', '.join(TRAINERS)} that degrades while it trains, "
            "got one without resize_prob and jpeg_range"
        )
    try:
        exchanged = _Reader(trainer, keys).content()
    except (TypeError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path}: a value is not of the form that {trainer} has ({error})") from None
    exchanged.content = {"title": str(whole.get("name") or path.stem), **exchanged.content}
    return trainer, exchanged


def _table(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    return value if isinstance(value := content.get(name), dict) else {}


class _Reader:
    """Reads keys one by one, and lists at the end those that it did not use."""

    def __init__(self, trainer: str, keys: Mapping[str, Any]) -> None:
        self.trainer, self.keys = trainer, keys
        self.used: set[str] = set()
        self.lost: list[str] = []
        self.redux = trainer == "redux"

    def take(self, name: str, default: Any) -> Any:
        self.used.add(name)
        return default if (value := self.keys.get(name)) is None else value

    def content(self) -> Exchanged:
        operations = [*self._before(), *self._stage("", to_lr=False), *self._stage("2", to_lr=True), self._final()]
        self._unused()
        return Exchanged({NESTED: operations}, self.lost)

    def _before(self) -> Iterator[dict[str, Any]]:
        if self.trainer == "basicsr":
            if "Net" not in str(self.keys.get("model_type")) or self.take("gt_usm", False):
                yield {"do": "unsharp"}
        if self.redux and self.take("lq_usm", False):
            yield {"do": "unsharp", "taps": [int(v) for v in self.take("lq_usm_radius_range", [1, 25])]}
        self.used.add("lq_usm_radius_range")
        if self.redux and (chance := self.take("thicklines_prob", 0)):
            yield _with_chance({"do": "thick-lines"}, chance)

    def _stage(self, n: str, *, to_lr: bool) -> Iterator[dict[str, Any]]:
        name = f"blur_prob{n}" if self.redux else "second_blur_prob" if n else None
        chance = 1.0 if name is None else float(self.take(name, 0 if self.redux else 1))
        blur = self._blur(n)
        if chance:
            yield _with_chance(blur, chance)
        filters = self._filters(n)
        ways = dict(zip(WAYS, map(float, self.take(f"resize_prob{n}", [0, 0, 1])), strict=True))
        resized = not self.redux or ways["up"] or ways["down"]  # elsewhere a size that is kept is resized to itself
        resize = {"do": "resize", "factor": _floats(self.take(f"resize_range{n}", [1, 1])), "ways": ways, **filters}
        if to_lr:
            resize["to"] = "lr"
        if self.redux:
            resize["keep"] = "skip"
        elif not to_lr:
            resize |= {"rounding": "floor", "mapping": "factor"}
        if resized:
            yield resize
        yield from self._noise(n)
        if not n:  # the encoder of the second stage stands in the final shuffle
            yield from self._encoder("")

    def _blur(self, n: str) -> dict[str, Any]:
        kinds = self.take(f"kernel_list{n}", list(BLURS))
        weights = self.take(f"kernel_prob{n}", [0.45, 0.25, 0.12, 0.03, 0.12, 0.03])
        size = self._sizes(f"kernel_range{n}")
        blur: dict[str, Any] = {
            "do": "blur", "size": size, "kinds": dict(zip(kinds, map(float, weights), strict=True)),
            "sigma": _floats(self.take(f"blur_sigma{n}", [0.2, 3])),
            "generalized": self._halved(f"betag_range{n}", [0.5, 4]),
            "plateau": self._halved(f"betap_range{n}", [1, 2]),
        }  # fmt: skip
        if sinc := float(self.take(f"sinc_prob{n}", 0)):
            blur |= {"sinc": sinc, "cutoff_large": [0.2, 1.0]}
        return blur

    def _sizes(self, name: str) -> list[int]:
        return [int(v) for v in self.take(name, [5, 17])] if self.redux else [7, 21]

    def _halved(self, name: str, default: list[float]) -> list[float]:
        """Trainers draw half of the exponents below 1, and half above."""
        low, high = _floats(self.take(name, default))
        return sorted([low, 1.0, high])

    def _filters(self, n: str) -> dict[str, Any]:
        modes, weights = _AREA, [1.0] * 3
        if self.redux:
            modes = self.take(f"resize_mode_list{n}", _REDUX_MODES)
            weights = [float(w) for w in self.take(f"resize_mode_prob{n}", [1.0] * len(modes))]
        if len(set(weights)) == 1:
            weights = [1.0] * len(weights)
        return {"filters": dict(zip(modes, weights, strict=True)), **({"antialias": True} if self.redux else {})}

    def _noise(self, n: str) -> Iterator[dict[str, Any]]:
        chance = float(self.take(f"gaussian_noise_prob{n}", 0))
        gray = float(self.take(f"gray_noise_prob{n}", 0))
        sigma = _floats(self.take(f"noise_range{n}", [0, 0]))
        scale = _floats(self.take(f"poisson_scale_range{n}", [0, 0]))
        kinds = [
            (chance, {"do": "gaussian-noise", "sigma": sigma, "gray": gray}, sigma),
            (1 - chance, {"do": "poisson-noise", "scale": scale, "gray": gray}, scale),
        ]
        kinds = [k for k in kinds if k[0] > 0]
        if any(any(strength) for _, _, strength in kinds):
            yield _one_of([round(weight, 12) for weight, _, _ in kinds], [operation for _, operation, _ in kinds])

    def _encoder(self, n: str) -> Iterator[dict[str, Any]]:
        """JPEG of a stage, or WebP."""
        chance = float(self.take(f"jpeg_prob{n}", 1)) if self.redux else 1.0
        qualities = {"jpeg": self.take(f"jpeg_range{n}", [75, 95])}
        names, weights = ["jpeg"], [1.0]
        if self.redux:
            names = self.take(f"compress_algorithms{n}", ["jpeg"])
            weights = [float(w) for w in self.take(f"compress_algorithm_probs{n}", [1.0] * len(names))]
            qualities["webp"] = self.take(f"compress_webp_range{n}", [50, 95])
        for name in set(names) & set(_VIDEO):
            self.lost.append(f"compress_algorithms{n}: {name} has no counterpart; the others share its probability.")
        known = {name: weight for name, weight in zip(names, weights, strict=True) if name in qualities}
        if chance and known:
            each = [{"do": name, "quality": list(map(round, _floats(qualities[name])))} for name in known]
            yield _with_chance(_one_of(list(known.values()), each), chance)

    def _final(self) -> dict[str, Any]:
        resize: dict[str, Any] = {"do": "resize", "to": "lr", **self._filters("3")}
        chance = float(self.take("final_sinc_prob", 0))
        sinc = {"do": "blur", "size": self._sizes("final_kernel_range"), "sinc": 1.0}
        group = [resize, _with_chance(sinc, chance)] if chance else [resize]
        encoders = list(self._encoder("2"))
        first = {"do": "sequence", NESTED: group} if len(group) > 1 else group[0]
        return {"do": "shuffle", NESTED: [first, *encoders]} if encoders else first

    def _unused(self) -> None:
        for name, value in self.keys.items():
            if name in self.used or not isinstance(name, str) or name in _AUGMENT or not _DEGRADES.search(name):
                continue
            switch = next((s for start, s in _OF_OFF.items() if name.startswith(start)), name)
            if name != "queue_size" and not self.keys.get(switch) and (switch != name or value in (0, False, None)):
                continue
            if name in _NOT_USED:
                if value != 21 and not self.redux:
                    self.lost.append(f"{name}: {value} is not used by {self.trainer} either, which draws 7 to 21.")
            elif name.startswith(("compress_", "high_order")):
                continue
            elif name.endswith("gt_usm"):
                self.lost.append(f"{name}: LR images are made of sharpened HR images; HR images stay as they are.")
            else:
                pool = "the pool of pairs; here each image has a draw of its own."
                self.lost.append(f"{name}: {pool if name == 'queue_size' else 'it has no counterpart.'}")


def _one_of(weights: list[float], operations: list[dict[str, Any]]) -> dict[str, Any]:
    return operations[0] if len(operations) == 1 else {"do": "one-of", "weights": weights, NESTED: operations}


def _with_chance(operation: dict[str, Any], chance: float) -> dict[str, Any]:
    return operation if chance == 1 else {"do": operation["do"], "chance": float(chance), **operation}


def _floats(value: Any) -> list[float]:
    low, high = (float(v) for v in value)
    return [low, high]
