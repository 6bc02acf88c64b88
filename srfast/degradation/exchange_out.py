"""A degradation as the configuration of a trainer, with a list of what that cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from srfast.degradation.exchange import WAYS
from srfast.degradation.operations import BLURS, Operation
from srfast.degradation.plan import Degradation

_ENCODERS = ("jpeg", "webp")


class _Writer:
    """Fills the keys of Real-ESRGAN's two stages with the operations in their order."""

    def __init__(self, degradation: Degradation, trainer: str) -> None:
        self.trainer, self.redux = trainer, trainer == "redux"
        self.top: dict[str, Any] = {}
        self.kernels: dict[str, Any] = {}
        self.lost: list[str] = []
        self.left = list(enumerate(degradation.operations, 1))

    def next(self, *does: str, to: str | None = None) -> Operation | None:
        """Takes the next operation, if it is one of these."""
        if not self.left:
            return None
        _, o = self.left[0]
        kinds = {i.do for i in o.inside} if o.do == "one-of" else {o.do}
        if not kinds <= set(does) or (to is not None and o.settings.get("to") != to):
            return None
        self.left.pop(0)
        if o.repeat > 1:
            self.lost.append(f"{o.do}: repeat = {o.repeat} has no counterpart; it is written once.")
        return o

    def write(self) -> None:
        usm = self.next("unsharp")
        if usm is not None and self.trainer == "neosr":
            self.lost.append("unsharp: neosr sharpens no image; it is left out.")
        elif usm is not None and self.redux:
            self.top |= {"lq_usm": True, "lq_usm_radius_range": self.ends("unsharp", "taps", usm.settings["taps"])}
        elif usm is None and self.trainer == "basicsr":
            self.lost.append(
                "unsharp: RealESRGANModel always sharpens HR first; RealESRNetModel with gt_usm: false does not."
            )
        thick = self.next("thick-lines")
        if thick is not None and self.redux:
            self.top["thicklines_prob"] = thick.chance
        elif thick is not None:
            self.lost.append(f"thick-lines: {self.trainer} has none; they are left out.")
        self.stage("", "image")
        self.stage("2", "lr")
        self.final()
        where = f"it has no place in the two stages of {self.trainer}; it is left out."
        self.lost += [f"operation {i} ({o.do}): {where}" for i, o in self.left]

    def stage(self, n: str, to: str) -> None:
        self.blur(n, self.next("blur"))
        resize = self.next("resize", to=to) if to == "image" or len(self.left) > 1 else None
        if resize is None:
            self.top |= {f"resize_prob{n}": [0, 0, 1], f"resize_range{n}": [1, 1]}
            if self.redux:
                self.modes(n, {"bilinear": 1.0})
        else:
            s, ways = resize.settings, _weights(resize, "ways")
            if "any" in ways:
                self.lost.append(f"resize: a factor of any size has no counterpart; resize_prob{n} splits it at 1.")
                low, high = _pair(s["factor"])
                ways = {"up": max(0.0, high - 1), "down": max(0.0, 1 - low), "keep": 0.0 if low < high else 1.0}
            total = sum(ways.values())
            self.top[f"resize_prob{n}"] = [round(ways.get(w, 0) / total, 6) for w in WAYS]
            self.top[f"resize_range{n}"] = self.ends("resize", "factor", s["factor"])
            self.filters(n, resize)
            self.always("resize", resize)
        self.noise(n, self.next("gaussian-noise", "poisson-noise"))
        if not n:
            self.encoder(n, self.next(*_ENCODERS))

    def blur(self, n: str, o: Operation | None) -> None:
        name = f"blur_prob{n}" if self.redux else "second_blur_prob" if n else None
        if o is None:
            if name is None:
                self.lost.append("blur: the first stage always blurs; blur_sigma is so small that nothing changes.")
            else:
                self.top[name] = 0.0
            sigma = [0.05, 0.06] if name is None else [0.2, 1.5]
            self.kernel(n, {"iso": 1.0}, [7, 21], sigma, [0.5, 4.0], [1.0, 2.0], 0.0)
            return
        if name is not None:
            self.top[name] = o.chance
        else:
            self.always("blur", o)
        s = o.settings
        size, sigma = self.size(s["size"]), self.ends("blur", "sigma", s["sigma"])
        self.kernel(n, _weights(o, "kinds"), size, sigma, _pair(s["generalized"]), _pair(s["plateau"]), s["sinc"])

    def kernel(
        self, n: str, kinds: Mapping[str, float], size: Sequence[Any], sigma: Any, g: Any, p: Any, sinc: float
    ) -> None:
        self.kernels |= {
            f"blur_kernel_size{n}": 12 if self.redux else 21, f"kernel_list{n}": list(BLURS),
            f"kernel_prob{n}": [kinds.get(k, 0) for k in BLURS], f"sinc_prob{n}": sinc, f"blur_sigma{n}": sigma,
            f"betag_range{n}": g, f"betap_range{n}": p, **({f"kernel_range{n}": list(size)} if self.redux else {}),
        }  # fmt: skip

    def filters(self, n: str, o: Operation) -> None:
        modes = _weights(o, "filters")
        if self.redux:
            self.modes(n, modes)
            if not o.settings["antialias"] and set(modes) & {"bilinear", "bicubic"}:
                self.lost.append("resize: redux antialiases bilinear and bicubic.")
            return
        if o.settings["antialias"]:
            self.lost.append(f"resize: antialias has no counterpart in {self.trainer}.")
        if modes != {"area": 1, "bilinear": 1, "bicubic": 1}:
            self.lost.append(f"resize: {self.trainer} draws area, bilinear and bicubic alike, not {', '.join(modes)}.")

    def modes(self, n: str, modes: Mapping[str, float]) -> None:
        total = sum(modes.values())
        self.top |= {f"resize_mode_list{n}": list(modes), f"resize_mode_prob{n}": [v / total for v in modes.values()]}

    def noise(self, n: str, o: Operation | None) -> None:
        kinds = {} if o is None else {i.do: i for i in (o.inside or (o,))}
        weights = dict(zip(kinds, (o.weights if o and o.inside else [1.0]), strict=False))
        total = sum(weights.values()) or 1.0
        gauss, poisson = kinds.get("gaussian-noise"), kinds.get("poisson-noise")
        for i in (*kinds.values(), *([o] if o is not None and o.inside else [])):
            self.always(i.do, i)
        grays = {i.settings["gray"] for i in kinds.values()}
        if len(grays) > 1:
            self.lost.append(f"noise: both kinds have one gray_noise_prob{n}; that of the first is written.")
        share = weights.get("gaussian-noise", 0.0 if poisson else 1.0)
        self.top |= {
            f"gaussian_noise_prob{n}": round(share / total, 6) if gauss else share,
            f"noise_range{n}": self.ends("gaussian-noise", "sigma", gauss.settings["sigma"]) if gauss else [0, 0],
            f"poisson_scale_range{n}": (
                self.ends("poisson-noise", "scale", poisson.settings["scale"]) if poisson else [0, 0]
            ),
            f"gray_noise_prob{n}": next(iter(kinds.values())).settings["gray"] if kinds else 0,
        }

    def encoder(self, n: str, o: Operation | None) -> None:
        parts = () if o is None else (o.inside or (o,))
        jpeg = next((i for i in parts if i.do == "jpeg"), None)
        if jpeg is not None and jpeg.settings["subsampling"] != "420":
            self.lost.append(
                f"jpeg: subsampling = {jpeg.settings['subsampling']} has no counterpart; trainers take 4:2:0."
            )
        quality = self.ends("jpeg", "quality", jpeg.settings["quality"]) if jpeg else [100, 100]
        self.top[f"jpeg_range{n}"] = quality
        if self.redux:
            self.top[f"jpeg_prob{n}"] = 0.0 if o is None else o.chance
            webp = next((i for i in parts if i.do == "webp"), None)
            if o is not None and webp is not None:
                self.top |= {
                    f"compress_algorithms{n}": [i.do for i in parts],
                    f"compress_algorithm_probs{n}": list(o.weights or [1.0]),
                    f"compress_webp_range{n}": self.ends("webp", "quality", webp.settings["quality"]),
                }  # fmt: skip
            return
        if o is None:
            self.lost.append(f"jpeg: {self.trainer} always encodes; jpeg_range{n} is [100, 100].")
            return
        self.always("jpeg", o)
        if jpeg is None or len(parts) > 1:
            self.lost.append(f"webp: {self.trainer} has none; it is left out.")

    def final(self) -> None:
        if self.left and self.left[0][1].do == "shuffle":
            inside = self.left.pop(0)[1].inside
            group = [i for o in inside for i in (o.inside if o.do == "sequence" else (o,))]
        else:
            group, self.left = [o for _, o in self.left], []
            self.lost.append(f"the end: {self.trainer} draws whether it resizes or encodes first.")
        encoder = next((o for o in group if o.do in _ENCODERS or {i.do for i in o.inside} & set(_ENCODERS)), None)
        resize = next((o for o in group if o.do == "resize" and o.settings["to"] == "lr"), None)
        sinc = next((o for o in group if o.do == "blur" and o.settings["sinc"] == 1), None)
        where = f"it has no place at the end of {self.trainer}'s stages; it is left out."
        self.lost += [f"{o.do}: {where}" for o in group if o not in (encoder, resize, sinc)]
        self.encoder("2", encoder)
        if resize is not None:
            self.filters("3", resize)
        self.kernels["final_sinc_prob"] = 0.0 if sinc is None else sinc.chance
        size = self.size([7, 21] if sinc is None else sinc.settings["size"])
        if self.redux:
            self.kernels["final_kernel_range"] = size

    def ends(self, do: str, name: str, value: Any) -> list[float]:
        if isinstance(value, list) and len(value) > 2:
            self.lost.append(f"{do}: {name} has {len(value)} quantiles; its ends are written.")
        return _pair(value)

    def size(self, value: Any) -> list[Any]:
        if not self.redux and _pair(value) != [7, 21]:
            self.lost.append(f"blur: size = {value} has no counterpart; {self.trainer} draws 7 to 21.")
        return _pair(value)

    def always(self, name: str, o: Operation) -> None:
        if o.chance != 1:
            self.lost.append(f"{name}: chance = {o.chance:g} has no counterpart in {self.trainer}; it is always done.")


def trainer_text(degradation: Degradation, trainer: str, scale: int) -> tuple[str, list[str]]:
    """The part of a trainer's configuration that degrades, as text, and what it cannot say."""
    w = _Writer(degradation, trainer)
    w.write()
    lost = list(dict.fromkeys(w.lost))
    head = ["# srfast degradation", f"# {degradation.title or degradation.name}, for {trainer}"]
    head += [f"# Not expressed here: {line}" for line in lost]
    return "\n".join([*head, *_lines(w, scale)]) + "\n", lost


def _lines(w: _Writer, scale: int) -> Iterator[str]:
    if w.trainer == "neosr":
        yield f"scale = {scale}\n\n[degradations]"
        yield from (f"{k} = {_plain(v, '=')}" for k, v in {**w.top, **w.kernels}.items())
        return
    yield f"scale: {scale}"
    if w.trainer == "basicsr":
        yield "model_type: RealESRGANModel"
        yield "queue_size: 180"
    else:
        yield "high_order_degradation: true"
    yield from (f"{k}: {_plain(v, ':')}" for k, v in w.top.items())
    yield "datasets:\n  train:"
    yield from (f"    {k}: {_plain(v, ':')}" for k, v in w.kernels.items())


def _plain(value: Any, mark: str) -> str:
    """A value as TOML has it, or YAML with its single quotes."""
    rounded = json.loads(json.dumps(value), parse_float=lambda number: round(float(number), 9))
    return json.dumps(rounded) if mark == "=" else json.dumps(rounded).replace('"', "'")


def _weights(o: Operation, name: str) -> dict[str, float]:
    value = o.settings[name]
    return dict(value) if isinstance(value, Mapping) else {value: 1.0}


def _pair(value: Any) -> list[Any]:
    return [value[0], value[-1]] if isinstance(value, list) else [value, value]
