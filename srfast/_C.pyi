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
