// The only file that knows Python. Pointers cross as integers; the caller checks shapes and types and words what is
// wrong with them, and what it missed is refused here before a pointer is followed.
#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "core/api.h"
#include "core/check.h"
#ifdef SRFAST_CUDA_BUILD
#include <stdexcept>
#include <string>

#include "cuda/launch.h"
#endif

namespace py = pybind11;
using namespace srfast;
using namespace py::literals;

namespace {

template <class T>
T* ptr(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

void expect_isa(int isa) {
  expect(isa >= kBaseline && isa <= kAvx512 && (supported_isas() >> isa & 1U), "isa", "one that this machine runs");
}

void expect_options(int boundary, int isa, int threads) {
  expect_boundary(boundary), expect_threads(threads), expect_isa(isa);
}

struct ScorerHandle {
  std::unique_ptr<Scorer, void (*)(Scorer*)> scorer;
  ScorerHandle(std::uintptr_t w1, std::uintptr_t b1, std::uintptr_t w2, std::uintptr_t b2, std::uintptr_t w3,
               std::uintptr_t b3, int scale)
      : scorer((expect_scale(scale), expect(w1 && b1 && w2 && b2 && w3 && b3, "weights", "addresses"),
                make_scorer({ptr<const float>(w1), ptr<const float>(b1), ptr<const float>(w2), ptr<const float>(b2),
                             ptr<const float>(w3), ptr<const float>(b3)},
                            scale)),
               free_scorer) {}
};

#ifdef SRFAST_CUDA_BUILD

// The static CUDA runtime keeps its own current device; the caller's guard has set the caller's.
void enter(int device) {
  if (const cudaError_t status = cudaSetDevice(device); status != cudaSuccess)
    throw std::runtime_error(std::string("cudaSetDevice: ") + cudaGetErrorName(status));
}

void check(const char* op, cudaError_t status) {
  if (status != cudaSuccess)
    throw std::runtime_error(std::string(op) + ": " + cudaGetErrorName(status) + " (" + cudaGetErrorString(status) +
                             ")");
}

// What the driver runs and the build needs, as 1000 * major + 10 * minor; the name of the error when a kernel is loaded
// for a device. Nothing is launched.
py::tuple probe_cuda(int device) {
  int driver = 0, runtime = 0;
  cudaError_t status = cudaDriverGetVersion(&driver);
  if (status == cudaSuccess) status = cudaRuntimeGetVersion(&runtime);
  if (status == cudaSuccess) status = cudaSetDevice(device);
  if (status == cudaSuccess) status = load_degrade();
  cudaGetLastError();  // the next launch does not report this one
  return py::make_tuple(driver, runtime, status == cudaSuccess ? "" : cudaGetErrorName(status));
}

void bind_cuda(py::module_& m) {
  m.def("probe_cuda", &probe_cuda, "device"_a);
  m.def("degrade_tiles", &degrade_tiles, "h"_a, "w"_a, "scale"_a);
  m.def(
      "degrade_cuda",
      [](std::uintptr_t pixels, std::uintptr_t offsets, std::uintptr_t row_strides, int64_t n, int64_t h, int64_t w,
         int channels, int scale, int boundary, int up_type, std::uintptr_t y, std::uintptr_t lr, std::uintptr_t up,
         std::uintptr_t sums, int device, std::uintptr_t stream) {
        enter(device);
        const Windows windows{ptr<const uint8_t>(pixels),
                              ptr<const int64_t>(offsets),
                              ptr<const int64_t>(row_strides),
                              n,
                              h,
                              w,
                              channels};
        check("degrade", launch_degrade(windows, scale, boundary, up_type, ptr<uint8_t>(y), ptr<uint8_t>(lr),
                                        ptr<void>(up), ptr<double>(sums), ptr<CUstream_st>(stream)));
      },
      "pixels"_a, "offsets"_a, "row_strides"_a, "n"_a, "h"_a, "w"_a, "channels"_a, "scale"_a, "boundary"_a, "up_type"_a,
      "y"_a, "lr"_a, "up"_a, "sums"_a, "device"_a, "stream"_a, py::call_guard<py::gil_scoped_release>());
  m.def("mse_scratch", &mse_scratch, "n"_a, "length"_a);
  m.def(
      "per_sample_mse_cuda",
      [](std::uintptr_t a, int a_type, std::uintptr_t b, int b_type, int64_t n, int64_t length, std::uintptr_t scratch,
         std::uintptr_t out, int device, std::uintptr_t stream) {
        enter(device);
        check("per_sample_mse", launch_per_sample_mse(ptr<const void>(a), a_type, ptr<const void>(b), b_type, n, length,
                                                      ptr<double>(scratch), ptr<float>(out), ptr<CUstream_st>(stream)));
      },
      "a"_a, "a_type"_a, "b"_a, "b_type"_a, "n"_a, "length"_a, "scratch"_a, "out"_a, "device"_a, "stream"_a,
      py::call_guard<py::gil_scoped_release>());
}

#endif

// Planes of a degradation, and where they go.
void expect_planes(std::uintptr_t src, int64_t planes, int64_t h, int64_t w, int threads, std::uintptr_t dst) {
  expect_side(h, "h"), expect_side(w, "w"), expect_threads(threads);
  expect(planes >= 0, "planes", "a number that is not negative"), expect_span({planes, h, w}, "src");
  expect_pointer(ptr<void>(src), planes, "src"), expect_pointer(ptr<void>(dst), planes, "dst");
}

void expect_taps(int taps, std::uintptr_t weights, const char* name) {
  expect(taps >= 1 && taps <= 4095 && taps % 2 == 1 && weights, name, "an odd number of taps");
}

void bind_degrade(py::module_& m) {
  using Address = std::uintptr_t;
  const auto released = py::call_guard<py::gil_scoped_release>();
  m.def(
      "degrade_kernel",
      [](int kind, int size, double sigma_x, double sigma_y, double angle, double shape, Address out) {
        expect(kind >= kGaussian && kind <= kSinc, "kind", "0 to 3"), expect_taps(size, out, "size");
        degrade_kernel_cpu(kind, size, sigma_x, sigma_y, angle, shape, ptr<double>(out));
      },
      "kind"_a, "size"_a, "sigma_x"_a, "sigma_y"_a, "angle"_a, "shape"_a, "out"_a);
  m.def(
      "degrade_row",
      [](int kind, int size, double parameter, Address out) {
        expect(kind == kGaussian || kind == kLanczos, "kind", "0 or 4"), expect_taps(size, out, "size");
        degrade_row_cpu(kind, size, parameter, ptr<double>(out));
      },
      "kind"_a, "size"_a, "parameter"_a, "out"_a);
  m.def(
      "degrade_filter",
      [](Address src, int64_t planes, int64_t h, int64_t w, Address kernel, int kh, int kw, int isa, int threads,
         Address dst) {
        expect_planes(src, planes, h, w, threads, dst), expect_isa(isa);
        expect_taps(kh, kernel, "kernel"), expect_taps(kw, kernel, "kernel");
        degrade_filter_cpu(ptr<const float>(src), planes, h, w, ptr<const float>(kernel), kh, kw, isa, threads,
                           ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "kernel"_a, "kh"_a, "kw"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_separable",
      [](Address src, int64_t planes, int64_t h, int64_t w, Address column, int kh, Address row, int kw, int isa,
         int threads, Address dst) {
        expect_planes(src, planes, h, w, threads, dst), expect_isa(isa);
        expect_taps(kh, column, "column"), expect_taps(kw, row, "row");
        degrade_separable_cpu(ptr<const float>(src), planes, h, w, ptr<const float>(column), kh, ptr<const float>(row),
                              kw, isa, threads, ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "column"_a, "kh"_a, "row"_a, "kw"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_resize",
      [](Address src, int64_t planes, int64_t h, int64_t w, int filter, bool antialias, double step_y, double step_x,
         int64_t out_h, int64_t out_w, int isa, int threads, Address dst) {
        expect_planes(src, planes, h, w, threads, dst), expect_isa(isa);
        expect_side(out_h, "out_h"), expect_side(out_w, "out_w"), expect_span({planes, out_h, out_w}, "dst");
        expect(filter >= kArea && filter <= kNearestExact, "filter", "0 to 3");
        expect(step_y > 0 && step_y <= 0x1p20 && step_x > 0 && step_x <= 0x1p20, "step", "above 0 and at most 2^20");
        degrade_resize_cpu(ptr<const float>(src), planes, h, w, filter, antialias, step_y, step_x, out_h, out_w, isa,
                           threads, ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "filter"_a, "antialias"_a, "step_y"_a, "step_x"_a, "out_h"_a, "out_w"_a,
      "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_noise",
      [](Address image, int64_t planes, int64_t h, int64_t w, bool poisson, float strength, bool gray, Address key,
         uint32_t slot, int isa, int threads) {
        expect_planes(image, planes, h, w, threads, image), expect_isa(isa), expect_pointer(ptr<void>(key), 1, "key");
        degrade_noise_cpu(ptr<float>(image), planes, h, w, poisson, strength, gray, ptr<const uint32_t>(key), slot, isa,
                          threads);
      },
      "image"_a, "planes"_a, "h"_a, "w"_a, "poisson"_a, "strength"_a, "gray"_a, "key"_a, "slot"_a, "isa"_a, "threads"_a,
      released);
  m.def(
      "degrade_unsharp",
      [](Address src, int64_t planes, int64_t h, int64_t w, Address row, int taps, float amount, float threshold,
         int isa, int threads, Address dst) {
        expect_planes(src, planes, h, w, threads, dst), expect_isa(isa), expect_taps(taps, row, "row");
        degrade_unsharp_cpu(ptr<const float>(src), planes, h, w, ptr<const float>(row), taps, amount, threshold, isa,
                            threads, ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "row"_a, "taps"_a, "amount"_a, "threshold"_a, "isa"_a, "threads"_a, "dst"_a,
      released);
  m.def(
      "degrade_thick_lines",
      [](Address src, int64_t planes, int64_t h, int64_t w, int threads, Address dst) {
        expect_planes(src, planes, h, w, threads, dst);
        degrade_thick_lines_cpu(ptr<const float>(src), planes, h, w, threads, ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_planes",
      [](Address src, int64_t h, int64_t w, int64_t row_stride, int channels, Address dst) {
        expect_channels(channels), expect_planes(src, channels, h, w, 1, dst), expect_span({h, row_stride}, "src");
        expect(row_stride / channels >= w, "row_stride", "at least a row of the image");
        degrade_planes_cpu(ptr<const uint8_t>(src), h, w, row_stride, channels, ptr<float>(dst));
      },
      "src"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, "dst"_a, released);
  m.def(
      "degrade_bytes",
      [](Address src, int64_t h, int64_t w, int channels, Address dst) {
        expect_channels(channels), expect_planes(src, channels, h, w, 1, dst);
        degrade_bytes_cpu(ptr<const float>(src), h, w, channels, ptr<uint8_t>(dst));
      },
      "src"_a, "h"_a, "w"_a, "channels"_a, "dst"_a, released);
  m.def(
      "random_words",
      [](Address key, uint32_t slot, int64_t groups, Address out) {
        expect(groups >= 0 && groups < int64_t{1} << 28, "groups", "0 to 2^28 - 1");
        expect_pointer(ptr<void>(key), 1, "key"), expect_pointer(ptr<void>(out), groups, "out");
        random_words_cpu(ptr<const uint32_t>(key), slot, groups, ptr<uint32_t>(out));
      },
      "key"_a, "slot"_a, "groups"_a, "out"_a);
}

}  // namespace

// Free-threaded Pythons need no lock for it: nothing here is shared but Scorer, which any number of threads may use,
// and tables that are made once (csrc/cpu/defects_jpeg.cpp) or once a thread (defects_tiles.cpp).
PYBIND11_MODULE(_C, m, py::mod_gil_not_used()) {
  m.doc() = "srfast's compiled kernels; use the functions of the package instead.";
  m.attr("version") = SRFAST_VERSION;
#ifdef __VERSION__
  m.attr("compiler") = __VERSION__;
#endif
  m.def(
      "imresize",
      [](std::uintptr_t src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype,
         std::uintptr_t dst) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels), expect_boundary(boundary);
        expect(scale >= 0x1p-16 && scale <= 0x1p16, "scale", "2^-16 to 2^16");
        expect(dtype >= kUInt8 && dtype <= kUInt16, "dtype", "0 to 3");
        const int64_t rows = resized(h, scale), columns = resized(w, scale);
        expect_side(rows, "h"), expect_side(columns, "w");
        expect_span({std::max(h, rows), std::max(w, columns), channels}, "img");
        expect_pointer(ptr<void>(src), 1, "src"), expect_pointer(ptr<void>(dst), 1, "dst");
        imresize_cpu(ptr<const void>(src), h, w, channels, scale, boundary, dtype, ptr<void>(dst));
      },
      "src"_a, "h"_a, "w"_a, "channels"_a, "scale"_a, "boundary"_a, "dtype"_a, "dst"_a,
      py::call_guard<py::gil_scoped_release>());
  m.def(
      "resample",
      [](std::uintptr_t src, int64_t planes, int64_t h, int64_t w, int scale, bool up, int boundary, int threads,
         std::uintptr_t dst) {
        expect_side(h, "h"), expect_side(w, "w"), expect_scale(scale), expect_boundary(boundary);
        expect_threads(threads);
        expect_side(h * scale, "h"), expect_side(w * scale, "w"), expect_span({planes, h * scale, w * scale}, "x");
        expect_pointer(ptr<void>(src), planes, "src"), expect_pointer(ptr<void>(dst), planes, "dst");
        resample_cpu(ptr<const float>(src), planes, h, w, scale, up, boundary, threads, ptr<float>(dst));
      },
      "src"_a, "planes"_a, "h"_a, "w"_a, "scale"_a, "up"_a, "boundary"_a, "threads"_a, "dst"_a,
      py::call_guard<py::gil_scoped_release>());
  m.def(
      "per_sample_mse",
      [](std::uintptr_t a, std::uintptr_t b, int64_t n, int64_t length, int threads, std::uintptr_t out) {
        expect_span({n, length}, "a"), expect(n == 0 || length >= 1, "length", "at least 1"), expect_threads(threads);
        for (const auto& [name, pointer] : {std::pair("a", a), std::pair("b", b), std::pair("out", out)})
          expect_pointer(ptr<void>(pointer), n, name);
        per_sample_mse_cpu(ptr<const float>(a), ptr<const float>(b), n, length, threads, ptr<float>(out));
      },
      "a"_a, "b"_a, "n"_a, "length"_a, "threads"_a, "out"_a, py::call_guard<py::gil_scoped_release>());
  m.def(
      "defects",
      [](std::uintptr_t image, int64_t h, int64_t w, int64_t row_stride, int channels, std::uintptr_t xs, int64_t nx,
         std::uintptr_t ys, int64_t ny, int64_t size, std::uintptr_t weights, int threads, std::uintptr_t out) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels), expect_threads(threads);
        expect(row_stride / channels >= w, "row_stride", "at least a row of the image");
        expect(size >= 15 && size < 1 << 24, "size", "15 to 2^24 - 1");
        expect_span({h, row_stride}, "image"), expect_span({nx, ny, kDefectColumns}, "xs");
        expect_windows(ptr<const int32_t>(xs), nx, size, w, "xs");
        expect_windows(ptr<const int32_t>(ys), ny, size, h, "ys");
        const int64_t n = nx && ny ? 1 : 0;
        expect_pointer(ptr<void>(image), n, "image"), expect_pointer(ptr<void>(weights), n, "weights");
        expect_pointer(ptr<void>(out), n, "out");
        defects_cpu(ptr<const uint8_t>(image), h, w, row_stride, channels, ptr<const int32_t>(xs), nx,
                    ptr<const int32_t>(ys), ny, size, ptr<const float>(weights), threads, ptr<float>(out));
      },
      "image"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, "xs"_a, "nx"_a, "ys"_a, "ny"_a, "size"_a, "weights"_a,
      "threads"_a, "out"_a, py::call_guard<py::gil_scoped_release>());
  m.def(
      "defect_features",
      [](std::uintptr_t image, int64_t h, int64_t w, int64_t row_stride, int channels, std::uintptr_t out) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels);
        expect(row_stride / channels >= w, "row_stride", "at least a row of the image");
        expect_span({h, row_stride, kDefectFeatures}, "image"), expect_pointer(ptr<void>(image), 1, "image");
        expect_pointer(ptr<void>(out), (h / 8) * (w / 8), "out");
        defect_features_cpu(ptr<const uint8_t>(image), h, w, row_stride, channels, ptr<float>(out));
      },
      "image"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, "out"_a, py::call_guard<py::gil_scoped_release>());
  m.def(
      "jpeg_trace",
      [](std::uintptr_t image, int64_t h, int64_t w, int64_t row_stride, int channels) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels);
        expect(row_stride / channels >= w, "row_stride", "at least a row of the image");
        expect_span({h, row_stride}, "image"), expect_pointer(ptr<void>(image), 1, "image");
        return jpeg_trace_cpu(ptr<const uint8_t>(image), h, w, row_stride, channels);
      },
      "image"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, py::call_guard<py::gil_scoped_release>());

  m.def("supported_isas", &supported_isas);
  m.def("integer_kernels", &integer_kernels, "isa"_a);
  py::class_<ScorerHandle>(m, "Scorer")
      .def(py::init<std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t,
                    int>(),
           "w1"_a, "b1"_a, "w2"_a, "b2"_a, "w3"_a, "b3"_a, "scale"_a);
  m.def(
      "score_patches",
      [](const ScorerHandle& scorer, std::uintptr_t base, std::uintptr_t offsets, int64_t n, int64_t row_stride,
         int64_t size_h, int64_t size_w, int channels, int boundary, int isa, bool fast, int threads,
         std::uintptr_t loss, std::uintptr_t bicubic, std::uintptr_t sobel) {
        expect_side(size_h, "size_h"), expect_side(size_w, "size_w"), expect_channels(channels);
        expect_options(boundary, isa, threads);
        expect(row_stride / channels >= size_w, "row_stride", "at least a row of a patch");
        expect_span({n, size_h, row_stride}, "patches");
        expect_pointer(ptr<void>(base), n, "base"), expect_pointer(ptr<void>(offsets), n, "offsets");
        score_patches_cpu(*scorer.scorer, ptr<const uint8_t>(base), ptr<const int64_t>(offsets), n, row_stride, size_h,
                          size_w, channels, {boundary, isa, fast, threads}, ptr<float>(loss), ptr<float>(bicubic),
                          ptr<float>(sobel));
      },
      "scorer"_a, "base"_a, "offsets"_a, "n"_a, "row_stride"_a, "size_h"_a, "size_w"_a, "channels"_a, "boundary"_a,
      "isa"_a, "fast"_a, "threads"_a, "loss"_a, "bicubic"_a, "sobel"_a, py::call_guard<py::gil_scoped_release>());
  m.def(
      "score_dense",
      [](const ScorerHandle& scorer, std::uintptr_t image, int64_t h, int64_t w, int64_t row_stride, int channels,
         int boundary, int isa, bool fast, int threads, std::uintptr_t xs, int64_t nx, std::uintptr_t ys, int64_t ny,
         int64_t size, std::uintptr_t loss, std::uintptr_t bicubic, std::uintptr_t sobel) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels), expect_options(boundary, isa, threads);
        expect(row_stride / channels >= w, "row_stride", "at least a row of the image");
        expect_span({h, row_stride}, "image"), expect_span({nx, ny}, "xs"),
            expect_pointer(ptr<void>(image), 1, "image");
        expect_windows(ptr<const int32_t>(xs), nx, size, w, "xs"),
            expect_windows(ptr<const int32_t>(ys), ny, size, h, "ys");
        score_dense_cpu(*scorer.scorer, ptr<const uint8_t>(image), h, w, row_stride, channels,
                        {boundary, isa, fast, threads}, ptr<const int32_t>(xs), nx, ptr<const int32_t>(ys), ny, size,
                        ptr<float>(loss), ptr<float>(bicubic), ptr<float>(sobel));
      },
      "scorer"_a, "image"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, "boundary"_a, "isa"_a, "fast"_a, "threads"_a,
      "xs"_a, "nx"_a, "ys"_a, "ny"_a, "size"_a, "loss"_a, "bicubic"_a, "sobel"_a,
      py::call_guard<py::gil_scoped_release>());
  m.def(
      "suppress",
      [](std::uintptr_t image, std::uintptr_t x, std::uintptr_t y, std::uintptr_t size, int64_t n, double iou,
         std::uintptr_t keep, std::uintptr_t level) {
        expect_span({n}, "n"), expect(iou >= 0 && iou < 1, "iou", "0 <= iou < 1");
        for (const auto& [name, pointer] :
             {std::pair("image", image), std::pair("x", x), std::pair("y", y), std::pair("size", size)}) {
          expect_pointer(ptr<void>(pointer), n, name);
          for (int64_t i = 0; i < n; ++i) expect(ptr<const int32_t>(pointer)[i] >= 0, name, "no negative number");
        }
        expect_pointer(ptr<void>(keep), n, "keep");
        suppress_cpu(ptr<const int32_t>(image), ptr<const int32_t>(x), ptr<const int32_t>(y), ptr<const int32_t>(size),
                     n, iou, ptr<uint8_t>(keep), ptr<const int32_t>(level));
      },
      "image"_a, "x"_a, "y"_a, "size"_a, "n"_a, "iou"_a, "keep"_a, "level"_a = 0,
      py::call_guard<py::gil_scoped_release>());
  m.def(
      "blockiness",
      [](std::uintptr_t image, int64_t h, int64_t w, int64_t row_stride, int channels, std::uintptr_t xs, int64_t nx,
         std::uintptr_t ys, int64_t ny, int64_t size, int threads, std::uintptr_t out) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels), expect_threads(threads);
        expect(size >= 9 && size < 1 << 24, "size", "9 to 2^24 - 1");
        expect_span({nx, ny}, "xs");
        expect_windows(ptr<const int32_t>(xs), nx, size, w, "xs"),
            expect_windows(ptr<const int32_t>(ys), ny, size, h, "ys");
        const int64_t n = nx && ny ? 1 : 0;
        expect_pointer(ptr<void>(image), n, "image"), expect_pointer(ptr<void>(out), n, "out");
        blockiness_cpu(ptr<const uint8_t>(image), row_stride, channels, ptr<const int32_t>(xs), nx,
                       ptr<const int32_t>(ys), ny, size, threads, ptr<float>(out));
      },
      "image"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a, "xs"_a, "nx"_a, "ys"_a, "ny"_a, "size"_a, "threads"_a,
      "out"_a, py::call_guard<py::gil_scoped_release>());

  m.def(
      "unfilter",
      [](std::uintptr_t src, int64_t h, int64_t w, int channels, std::uintptr_t dst) {
        expect_side(h, "h"), expect_side(w, "w"), expect_span({h, w, channels + 1}, "src");
        expect(channels == 1 || channels == 3 || channels == 4, "channels", "1, 3 or 4");
        expect_pointer(ptr<void>(src), 1, "src"), expect_pointer(ptr<void>(dst), 1, "dst");
        return unfilter_cpu(ptr<const uint8_t>(src), h, w * channels, channels, ptr<uint8_t>(dst));
      },
      "src"_a, "h"_a, "w"_a, "channels"_a, "dst"_a, py::call_guard<py::gil_scoped_release>());

  bind_degrade(m);

#ifdef SRFAST_CUDA_BUILD
  m.attr("cuda_architectures") = SRFAST_CUDA_ARCHITECTURES;
  bind_cuda(m);
#else
  m.attr("cuda_architectures") = "";
#endif
}
