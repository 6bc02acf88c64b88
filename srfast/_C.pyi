"""The compiled kernels. Pointers cross as integers, and what lies there is not checked: use the package's functions."""

version: str
compiler: str
cuda_architectures: str

class Scorer:
    def __init__(self, w1: int, b1: int, w2: int, b2: int, w3: int, b3: int, scale: int) -> None: ...

def supported_isas() -> int: ...
def integer_kernels(isa: int) -> str: ...
def imresize(src: int, h: int, w: int, channels: int, scale: float, boundary: int, dtype: int, dst: int) -> None: ...
def resample(
    src: int, planes: int, h: int, w: int, scale: int, up: bool, boundary: int, threads: int, dst: int
) -> None: ...
def per_sample_mse(a: int, b: int, n: int, length: int, threads: int, out: int) -> None: ...
def score_patches(
    scorer: Scorer, base: int, offsets: int, n: int, row_stride: int, size_h: int, size_w: int, channels: int,
    boundary: int, isa: int, fast: bool, threads: int, loss: int, bicubic: int, sobel: int,
) -> None: ...  # fmt: skip
def score_dense(
    scorer: Scorer, image: int, h: int, w: int, row_stride: int, channels: int, boundary: int, isa: int, fast: bool,
    threads: int, xs: int, nx: int, ys: int, ny: int, size: int, loss: int, bicubic: int, sobel: int,
) -> None: ...  # fmt: skip
def suppress(image: int, x: int, y: int, size: int, n: int, iou: float, keep: int, level: int = 0) -> None: ...
def blockiness(
    image: int, h: int, w: int, row_stride: int, channels: int, xs: int, nx: int, ys: int, ny: int, size: int,
    threads: int, out: int,
) -> None: ...  # fmt: skip
def unfilter(src: int, h: int, w: int, channels: int, dst: int) -> bool: ...
def defects(
    image: int, h: int, w: int, row_stride: int, channels: int, xs: int, nx: int, ys: int, ny: int, size: int,
    weights: int, threads: int, out: int,
) -> None: ...  # fmt: skip
def defect_features(image: int, h: int, w: int, row_stride: int, channels: int, out: int) -> None: ...
def jpeg_trace(image: int, h: int, w: int, row_stride: int, channels: int) -> int: ...

# Of builds with CUDA only.
def probe_cuda(device: int) -> tuple[int, int, str]: ...
def degrade_tiles(h: int, w: int, scale: int) -> int: ...
def degrade_cuda(
    pixels: int, offsets: int, row_strides: int, n: int, h: int, w: int, channels: int, scale: int, boundary: int,
    up_type: int, y: int, lr: int, up: int, sums: int, device: int, stream: int,
) -> None: ...  # fmt: skip
def mse_scratch(n: int, length: int) -> int: ...
def per_sample_mse_cuda(
    a: int, a_type: int, b: int, b_type: int, n: int, length: int, scratch: int, out: int, device: int, stream: int
) -> None: ...
def degrade_kernel(
    kind: int, size: int, sigma_x: float, sigma_y: float, angle: float, shape: float, out: int
) -> None: ...
def degrade_row(kind: int, size: int, parameter: float, out: int) -> None: ...
def degrade_filter(
    src: int, planes: int, h: int, w: int, kernel: int, kh: int, kw: int, isa: int, threads: int, dst: int
) -> None: ...
def degrade_separable(
    src: int, planes: int, h: int, w: int, column: int, kh: int, row: int, kw: int, isa: int, threads: int, dst: int
) -> None: ...
def degrade_resize(
    src: int, planes: int, h: int, w: int, filter: int, antialias: bool, step_y: float, step_x: float, out_h: int,
    out_w: int, isa: int, threads: int, dst: int,
) -> None: ...  # fmt: skip
def degrade_noise(
    image: int, planes: int, h: int, w: int, poisson: bool, strength: float, gray: bool, key: int, slot: int, isa: int,
    threads: int,
) -> None: ...  # fmt: skip
def degrade_unsharp(
    src: int, planes: int, h: int, w: int, row: int, taps: int, amount: float, threshold: float, isa: int,
    threads: int, dst: int,
) -> None: ...  # fmt: skip
def degrade_thick_lines(src: int, planes: int, h: int, w: int, threads: int, dst: int) -> None: ...
def degrade_planes(src: int, h: int, w: int, row_stride: int, channels: int, dst: int) -> None: ...
def degrade_bytes(src: int, h: int, w: int, channels: int, dst: int) -> None: ...
def random_words(key: int, slot: int, groups: int, out: int) -> None: ...
