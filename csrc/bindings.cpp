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

using Address = std::uintptr_t;

const py::call_guard<py::gil_scoped_release> released;  // Python's other threads go on meanwhile

template <class T>
T* ptr(Address address) {
  return reinterpret_cast<T*>(address);
}

void expect_isa(int isa) {
  expect(isa >= kBaseline && isa <= kAvx512 && (supported_isas() >> isa & 1U), "isa", "one that this machine runs");
}

void expect_options(const ScoreOptions& options) {
  expect_boundary(options.boundary), expect_threads(options.threads), expect_isa(options.isa);
}

struct ScorerHandle {
  std::unique_ptr<Scorer, void (*)(Scorer*)> scorer;
  ScorerHandle(Address w1, Address b1, Address w2, Address b2, Address w3, Address b3, int scale)
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
      [](Address pixels, Address offsets, Address row_strides, int64_t n, int64_t h, int64_t w, int channels, int scale,
         int boundary, int up_type, Address y, Address lr, Address up, Address sums, int device, Address stream) {
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
      "y"_a, "lr"_a, "up"_a, "sums"_a, "device"_a, "stream"_a, released);
  m.def("mse_scratch", &mse_scratch, "n"_a, "length"_a);
  m.def(
      "per_sample_mse_cuda",
      [](Address a, int a_type, Address b, int b_type, int64_t n, int64_t length, Address scratch, Address out,
         int device, Address stream) {
        enter(device);
        check("per_sample_mse", launch_per_sample_mse(ptr<const void>(a), a_type, ptr<const void>(b), b_type, n, length,
                                                      ptr<double>(scratch), ptr<float>(out), ptr<CUstream_st>(stream)));
      },
      "a"_a, "a_type"_a, "b"_a, "b_type"_a, "n"_a, "length"_a, "scratch"_a, "out"_a, "device"_a, "stream"_a, released);
}

#endif

void expect_degradation(const Planes& src, int isa, int threads, Address dst) {
  expect_isa(isa), expect_threads(threads), expect_pointer(ptr<void>(dst), src.n, "dst");
}

void expect_taps(int taps, Address weights, const char* name) {
  expect(taps >= 1 && taps <= 4095 && taps % 2 == 1 && weights, name, "an odd number of taps");
}

void bind_degrade(py::module_& m) {
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
      [](const Planes& src, Address kernel, int kh, int kw, int isa, int threads, Address dst) {
        expect_degradation(src, isa, threads, dst), expect_taps(kh, kernel, "kernel"),
            expect_taps(kw, kernel, "kernel");
        degrade_filter_cpu(src, ptr<const float>(kernel), kh, kw, isa, threads, ptr<float>(dst));
      },
      "src"_a, "kernel"_a, "kh"_a, "kw"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_separable",
      [](const Planes& src, Address column, int kh, Address row, int kw, int isa, int threads, Address dst) {
        expect_degradation(src, isa, threads, dst), expect_taps(kh, column, "column"), expect_taps(kw, row, "row");
        degrade_separable_cpu(src, ptr<const float>(column), kh, ptr<const float>(row), kw, isa, threads,
                              ptr<float>(dst));
      },
      "src"_a, "column"_a, "kh"_a, "row"_a, "kw"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_resize",
      [](const Planes& src, int filter, bool antialias, double step_y, double step_x, int64_t out_h, int64_t out_w,
         int isa, int threads, Address dst) {
        expect_degradation(src, isa, threads, dst);
        expect_side(out_h, "out_h"), expect_side(out_w, "out_w"), expect_span({src.n, out_h, out_w}, "dst");
        expect(filter >= kArea && filter <= kNearestExact, "filter", "0 to 3");
        expect(step_y > 0 && step_y <= 0x1p20 && step_x > 0 && step_x <= 0x1p20, "step", "above 0 and at most 2^20");
        degrade_resize_cpu(src, filter, antialias, step_y, step_x, out_h, out_w, isa, threads, ptr<float>(dst));
      },
      "src"_a, "filter"_a, "antialias"_a, "step_y"_a, "step_x"_a, "out_h"_a, "out_w"_a, "isa"_a, "threads"_a, "dst"_a,
      released);
  m.def(
      "degrade_noise",
      [](const Planes& src, bool poisson, float strength, bool gray, Address key, uint32_t slot, int isa, int threads,
         Address dst) {
        expect_degradation(src, isa, threads, dst), expect_pointer(ptr<void>(key), 1, "key");
        degrade_noise_cpu(src, poisson, strength, gray, ptr<const uint32_t>(key), slot, isa, threads, ptr<float>(dst));
      },
      "src"_a, "poisson"_a, "strength"_a, "gray"_a, "key"_a, "slot"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_unsharp",
      [](const Planes& src, Address row, int taps, float amount, float threshold, int isa, int threads, Address dst) {
        expect_degradation(src, isa, threads, dst), expect_taps(taps, row, "row");
        degrade_unsharp_cpu(src, ptr<const float>(row), taps, amount, threshold, isa, threads, ptr<float>(dst));
      },
      "src"_a, "row"_a, "taps"_a, "amount"_a, "threshold"_a, "isa"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_thick_lines",
      [](const Planes& src, int threads, Address dst) {
        expect_degradation(src, kBaseline, threads, dst);
        degrade_thick_lines_cpu(src, threads, ptr<float>(dst));
      },
      "src"_a, "threads"_a, "dst"_a, released);
  m.def(
      "degrade_planes",
      [](const Image& src, Address dst) {
        expect_pointer(ptr<void>(dst), 1, "dst");
        degrade_planes_cpu(src, ptr<float>(dst));
      },
      "src"_a, "dst"_a, released);
  m.def(
      "degrade_bytes",
      [](const Planes& src, Address dst) {
        expect_pointer(ptr<void>(dst), src.n, "dst");
        degrade_bytes_cpu(src, ptr<uint8_t>(dst));
      },
      "src"_a, "dst"_a, released);
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
  py::class_<Image>(m, "Image")
      .def(py::init([](Address pixels, int64_t h, int64_t w, int64_t row_stride, int channels) {
             return checked(Image{ptr<const uint8_t>(pixels), h, w, row_stride, channels});
           }),
           "pixels"_a, "h"_a, "w"_a, "row_stride"_a, "channels"_a);
  py::class_<Planes>(m, "Planes")
      .def(py::init([](Address values, int64_t n, int64_t h, int64_t w) {
             return checked(Planes{ptr<const float>(values), n, h, w});
           }),
           "values"_a, "n"_a, "h"_a, "w"_a);
  py::class_<Grid>(m, "Grid").def(py::init([](Address xs, int64_t nx, Address ys, int64_t ny, int64_t size) {
                                    return Grid{ptr<const int32_t>(xs), nx, ptr<const int32_t>(ys), ny, size};
                                  }),
                                  "xs"_a, "nx"_a, "ys"_a, "ny"_a, "size"_a);
  m.def(
      "imresize",
      [](Address src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype, Address dst) {
        expect_side(h, "h"), expect_side(w, "w"), expect_channels(channels), expect_boundary(boundary);
        expect(scale >= 0x1p-16 && scale <= 0x1p16, "scale", "2^-16 to 2^16");
        expect(dtype >= kUInt8 && dtype <= kUInt16, "dtype", "0 to 3");
        const int64_t rows = resized(h, scale), columns = resized(w, scale);
        expect_side(rows, "h"), expect_side(columns, "w");
        expect_span({std::max(h, rows), std::max(w, columns), channels}, "img");
        expect_pointer(ptr<void>(src), 1, "src"), expect_pointer(ptr<void>(dst), 1, "dst");
        imresize_cpu(ptr<const void>(src), h, w, channels, scale, boundary, dtype, ptr<void>(dst));
      },
      "src"_a, "h"_a, "w"_a, "channels"_a, "scale"_a, "boundary"_a, "dtype"_a, "dst"_a, released);
  m.def(
      "resample",
      [](const Planes& src, int scale, bool up, int boundary, int threads, Address dst) {
        expect_scale(scale), expect_boundary(boundary), expect_threads(threads);
        const int64_t h = src.h * scale, w = src.w * scale;
        expect_side(h, "h"), expect_side(w, "w"), expect_span({src.n, h, w}, "src");
        expect_pointer(ptr<void>(dst), src.n, "dst");
        resample_cpu(src, scale, up, boundary, threads, ptr<float>(dst));
      },
      "src"_a, "scale"_a, "up"_a, "boundary"_a, "threads"_a, "dst"_a, released);
  m.def(
      "per_sample_mse",
      [](Address a, Address b, int64_t n, int64_t length, int threads, Address out) {
        expect_span({n, length}, "a"), expect(n == 0 || length >= 1, "length", "at least 1"), expect_threads(threads);
        for (const auto& [name, pointer] : {std::pair("a", a), std::pair("b", b), std::pair("out", out)})
          expect_pointer(ptr<void>(pointer), n, name);
        per_sample_mse_cpu(ptr<const float>(a), ptr<const float>(b), n, length, threads, ptr<float>(out));
      },
      "a"_a, "b"_a, "n"_a, "length"_a, "threads"_a, "out"_a, released);
  m.def(
      "defects",
      [](const Image& image, const Grid& windows, Address weights, int threads, Address out) {
        expect_inside(windows, image, 15, kDefectColumns), expect_threads(threads);
        expect_pointer(ptr<void>(weights), 1, "weights"), expect_pointer(ptr<void>(out), 1, "out");
        defects_cpu(image, windows, ptr<const float>(weights), threads, ptr<float>(out));
      },
      "image"_a, "windows"_a, "weights"_a, "threads"_a, "out"_a, released);
  m.def(
      "defect_features",
      [](const Image& image, Address out) {
        expect_pointer(ptr<void>(out), (image.h / 8) * (image.w / 8), "out");
        defect_features_cpu(image, ptr<float>(out));
      },
      "image"_a, "out"_a, released);
  m.def("jpeg_trace", &jpeg_trace_cpu, "image"_a, released);

  m.def("supported_isas", &supported_isas);
  m.def("integer_kernels", &integer_kernels, "isa"_a);
  py::class_<ScorerHandle>(m, "Scorer")
      .def(py::init<Address, Address, Address, Address, Address, Address, int>(), "w1"_a, "b1"_a, "w2"_a, "b2"_a,
           "w3"_a, "b3"_a, "scale"_a);
  m.def(
      "score_patches",
      [](const ScorerHandle& scorer, const Image& patch, Address offsets, int64_t n, int boundary, int isa, bool fast,
         int threads, Address loss, Address bicubic, Address sobel) {
        const ScoreOptions options{boundary, isa, fast, threads};
        expect_options(options), expect_span({n, patch.h, patch.row_stride}, "n");
        expect_pointer(ptr<void>(offsets), n, "offsets");
        score_patches_cpu(*scorer.scorer, patch, ptr<const int64_t>(offsets), n, options, ptr<float>(loss),
                          ptr<float>(bicubic), ptr<float>(sobel));
      },
      "scorer"_a, "patch"_a, "offsets"_a, "n"_a, "boundary"_a, "isa"_a, "fast"_a, "threads"_a, "loss"_a, "bicubic"_a,
      "sobel"_a, released);
  m.def(
      "score_dense",
      [](const ScorerHandle& scorer, const Image& image, const Grid& windows, int boundary, int isa, bool fast,
         int threads, Address loss, Address bicubic, Address sobel) {
        const ScoreOptions options{boundary, isa, fast, threads};
        expect_options(options), expect_inside(windows, image, 1, 1);
        score_dense_cpu(*scorer.scorer, image, options, windows, ptr<float>(loss), ptr<float>(bicubic),
                        ptr<float>(sobel));
      },
      "scorer"_a, "image"_a, "windows"_a, "boundary"_a, "isa"_a, "fast"_a, "threads"_a, "loss"_a, "bicubic"_a,
      "sobel"_a, released);
  m.def(
      "suppress",
      [](Address image, Address x, Address y, Address size, int64_t n, double iou, Address keep, Address level) {
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
      "image"_a, "x"_a, "y"_a, "size"_a, "n"_a, "iou"_a, "keep"_a, "level"_a = 0, released);
  m.def(
      "blockiness",
      [](const Image& image, const Grid& windows, int threads, Address out) {
        expect_inside(windows, image, 9, 1), expect_threads(threads), expect_pointer(ptr<void>(out), 1, "out");
        blockiness_cpu(image, windows, threads, ptr<float>(out));
      },
      "image"_a, "windows"_a, "threads"_a, "out"_a, released);

  m.def(
      "unfilter",
      [](Address src, int64_t h, int64_t w, int channels, Address dst) {
        expect_side(h, "h"), expect_side(w, "w"), expect_span({h, w, channels + 1}, "src");
        expect(channels == 1 || channels == 3 || channels == 4, "channels", "1, 3 or 4");
        expect_pointer(ptr<void>(src), 1, "src"), expect_pointer(ptr<void>(dst), 1, "dst");
        return unfilter_cpu(ptr<const uint8_t>(src), h, w * channels, channels, ptr<uint8_t>(dst));
      },
      "src"_a, "h"_a, "w"_a, "channels"_a, "dst"_a, released);

  bind_degrade(m);

#ifdef SRFAST_CUDA_BUILD
  m.attr("cuda_architectures") = SRFAST_CUDA_ARCHITECTURES;
  bind_cuda(m);
#else
  m.attr("cuda_architectures") = "";
#endif
}
