#pragma once
// CPU entry points. Raw pointers and sizes; outputs are allocated by the caller; no Python, no torch.
#include <cstdint>

#include "core/hd.h"

namespace srfast {

// An image [h, w, channels] uint8, 3 channels (RGB) or 1 (Y), whose rows are row_stride bytes apart.
struct Image {
  const uint8_t* pixels;
  int64_t h, w, row_stride;
  int channels;
  SRFAST_INLINE const uint8_t* at(int64_t y, int64_t x) const { return pixels + y * row_stride + x * channels; }
};

// Windows of `size` x `size` pixels at (xs[j], ys[i]) inside an image, both ascending. What is measured of them stands
// at index i * nx + j.
struct Grid {
  const int32_t* xs;
  int64_t nx;
  const int32_t* ys;
  int64_t ny, size;
};

// Planes [n, h, w] float32, one after another.
struct Planes {
  const float* values;
  int64_t n, h, w;
};

enum DType : int { kUInt8 = 0, kFloat32 = 1, kFloat64 = 2, kUInt16 = 3 };

// ceil(scale * n), the output size of MATLAB's imresize.
int64_t resized(int64_t n, double scale);

// src [h, w, channels] -> dst [resized(h), resized(w), channels], both of `dtype`, C-contiguous.
// uint8 and uint16 are rounded half up and clamped after each of the two passes; floats are computed in float64, never
// rounded. The filter is widened when scale < 1 (MATLAB's default).
void imresize_cpu(const void* src, int64_t h, int64_t w, int64_t channels, double scale, int boundary, int dtype,
                  void* dst);

// src [n, h, w] -> dst float32, sums in float64: [n, scale * h, scale * w] where `up`, else [n, ceil(h / scale),
// ceil(w / scale)]. scale is 2, 3 or 4.
void resample_cpu(const Planes& src, int scale, bool up, int boundary, int threads, float* dst);

// out[i] = mean((a[i] - b[i])^2) over `length` values, summed in float64.
void per_sample_mse_cpu(const float* a, const float* b, int64_t n, int64_t length, int threads, float* out);

// Weights of a 9-1-5 SRCNN, float32, C-contiguous: w1 [64, 9, 9], b1 [64], w2 [32, 64], b2 [32], w3 [32, 5, 5], b3 [1].
struct SrcnnWeights {
  const float *w1, *b1, *w2, *b2, *w3, *b3;
};

enum Isa : int { kBaseline = 0, kAvx2 = 1, kAvx512 = 2 };

// Bit i is set when this machine and this build can run Isa i.
unsigned supported_isas();

// The instructions that reduced precision takes on this machine where `isa` is chosen; empty where it has none that are
// faster than float32.
const char* integer_kernels(int isa);

// A weight set packed for one scale. Built once, used by any number of threads.
struct Scorer;
Scorer* make_scorer(const SrcnnWeights& weights, int scale);
void free_scorer(Scorer* scorer);

struct ScoreOptions {
  int boundary;  // of the down- and up-sampling
  int isa;       // Isa
  bool fast;     // reduced precision, where there are integer_kernels(isa)
  int threads;   // >= 1
};

// Patch mode. Patch i is `patch`, offsets[i] bytes on. loss, bicubic, sobel: [n] float32; each may be null.
void score_patches_cpu(const Scorer& scorer, const Image& patch, const int64_t* offsets, int64_t n,
                       const ScoreOptions& options, float* loss, float* bicubic, float* sobel);

// Dense mode. The image is degraded and reconstructed once; a window gets the mean of its part of each map. Large
// images are worked on in tiles, on several threads as well; the scores do not depend on either.
void score_dense_cpu(const Scorer& scorer, const Image& image, const ScoreOptions& options, const Grid& windows,
                     float* loss, float* bicubic, float* sobel);

// Greedy non-maximum suppression of squares: keep[i] = 1 unless square i, of `size[i]` pixels at (x[i], y[i]), overlaps
// an earlier kept one of its image (0 <= image[i]) by an intersection over union of more than iou, 0 <= iou < 1; of
// another level, where levels are given, also by more than half of the smaller of the two.
void suppress_cpu(const int32_t* image, const int32_t* x, const int32_t* y, const int32_t* size, int64_t n, double iou,
                  uint8_t* keep, const int32_t* level = nullptr);

// Block artefacts of windows of 9 pixels and more. Differences of neighbours in Y are summed as integers, those across
// the image's grid of 8 pixels (b) and the others (a), in both directions: out = 100 max(b - a, 0) / (b + a + 1), of
// means.
void blockiness_cpu(const Image& image, const Grid& windows, int threads, float* out);

// Takes back the filters of the rows of a PNG image (ISO 15948, section 9): src [h, 1 + row], each row led by the
// number of its filter, dst [h, row]; pixels of 1, 3 or 4 bytes. False where there is no such filter.
bool unfilter_cpu(const uint8_t* src, int64_t h, int64_t row, int pixel, uint8_t* dst);

// The panel of defects (srfast/ops/defects.py): columns of a window, in this order.
enum DefectColumn : int { kNoise, kBlur, kUpscaled, kOverlay, kBanding, kClipped, kBorder, kHalo, kDefectColumns };

constexpr int64_t kDefectFeatures = 24, kDefectHidden = 32, kDefectHeads = 7;
constexpr int64_t kMarkHidden = 32, kMarkChannels = 16;  // of the layers that find text
constexpr int64_t kMarkRows = 3, kMarkColumns = 5;       // neighbours of a tile by which it is told whether it has ink
constexpr float kLeastMarked = 1e-6f;                    // added to a sum of tiles, so that its logarithm is finite
constexpr float kLeastTextured = 0.2f;  // share of a window's tiles from which its sharpness can be known
constexpr float kMostClipped = 0.9f;    // share of a window's pixels up to which its noise can be known
constexpr float kMostLetters = 0.75f;   // ... and its halos: black letters on white paper cannot overshoot

// Rows and columns of tiles of 8 pixels that fit into a window wherever it lies: those from the first one that begins
// inside it on.
constexpr int64_t defect_tiles(int64_t size) { return (size - 7) / 8; }

// out [ny, nx, kDefectColumns] of windows of 15 pixels and more. NaN: cannot be known. weights: the layers of the
// networks, each [out, in] and its bias: [32, 24], [32, 32], [32, 32], [7, 32], and for overlay [32, 24], [16, 32],
// [16, 15], [16, 16], [1, 16], [1, 1]. The result does not depend on the threads.
void defects_cpu(const Image& image, const Grid& windows, const float* weights, int threads, float* out);

// What the network sees of each tile: out [h / 8, w / 8, kDefectFeatures].
void defect_features_cpu(const Image& image, float* out);

// The lowest quality (1 to 100, libjpeg's scale) of which the pixels bear a trace, on the grid of 8 pixels or off it;
// 0: none.
int jpeg_trace_cpu(const Image& image);

// Degradations (srfast/ops/degrade.py) of planes in grey levels, 0 to 255, into dst; positions outside are mirrored at
// the centres of the edge pixels. Results depend neither on the threads nor on `isa`, a supported Isa.
enum DegradeKernel : int { kGaussian, kGeneralized, kPlateau, kSinc, kLanczos };
enum DegradeFilter : int { kArea, kBilinear, kBicubic, kNearestExact };

// out [size, size], sum 1: exp(-q/2), exp(-q^shape / 2) or 1 / (1 + q^shape), where q is the squared distance in units
// of sigma_x along the angle (radians) and of sigma_y across it; or a circular low-pass of cutoff `shape` (radians).
void degrade_kernel_cpu(int kind, int size, double sigma_x, double sigma_y, double angle, double shape, double* out);

// out [size], sum 1: a Gaussian of standard deviation `parameter`, or Lanczos with three lobes at distances k
// parameter.
void degrade_row_cpu(int kind, int size, double parameter, double* out);

// dst = src correlated with kernel [kh, kw], both odd.
void degrade_filter_cpu(const Planes& src, const float* kernel, int kh, int kw, int isa, int threads, float* dst);

// dst = src correlated with column [kh], then with row [kw].
void degrade_separable_cpu(const Planes& src, const float* column, int kh, const float* row, int kw, int isa,
                           int threads, float* dst);

// dst [n, out_h, out_w], first along columns, then along rows. Output pixel i stands at step (i + 1/2) - 1/2.
void degrade_resize_cpu(const Planes& src, int filter, bool antialias, double step_y, double step_x, int64_t out_h,
                        int64_t out_w, int isa, int threads, float* dst);

// dst = src + strength times normal values, or strength times (Poisson(256 v / 255) 255 / 256 - v) of levels v rounded
// to 0..255, clamped to 0..255; dst may be where src lies. gray: the same for all planes, of the luma of three.
// key [4]: two words of Philox's key, two of its counter.
void degrade_noise_cpu(const Planes& src, bool poisson, float strength, bool gray, const uint32_t* key, uint32_t slot,
                       int isa, int threads, float* dst);

// s = clamp(src + amount (src - blurred)) where a mask, the blurred |src - blurred| > threshold, is 1, src where it is
// 0.
void degrade_unsharp_cpu(const Planes& src, const float* row, int taps, float amount, float threshold, int isa,
                         int threads, float* dst);

// dst = 3/4 src + 1/4 least value of the 3 x 3 pixels around.
void degrade_thick_lines_cpu(const Planes& src, int threads, float* dst);

// An image as planes, one a channel, and back, [h, w, n], clamped and rounded half up.
void degrade_planes_cpu(const Image& src, float* dst);
void degrade_bytes_cpu(const Planes& src, uint8_t* dst);

// out [groups, 4, 16]: words 0 to 3 of the blocks 16 g to 16 g + 15 of Philox4x32-10, counter (block, slot, key[2],
// key[3]) and key (key[0], key[1]).
void random_words_cpu(const uint32_t* key, uint32_t slot, int64_t groups, uint32_t* out);

}  // namespace srfast
