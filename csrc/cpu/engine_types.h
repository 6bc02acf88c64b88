#pragma once
// What the scoring engines share: packed weights, resampling tables, scratch memory, and the row sink.
// Plain data only: this header is compiled once per instruction set, so it must not instantiate library templates.
#include <cstdint>

#include "core/api.h"

namespace srfast {

constexpr int kC1 = 64;     // channels after conv1
constexpr int kC2 = 32;     // channels after conv2
constexpr int kR1 = 4;      // radius of conv1 (9 x 9)
constexpr int kR3 = 2;      // radius of conv3 (5 x 5)
constexpr int kSlack = 32;  // floats a tile may read or write past the end of a row
constexpr int kUpPad = 4;   // LR pixels of border around the padded LR plane
constexpr int kEdge = 16;   // floats of a row of Scratch::edges, of which 12 are used

// Weights packed for one scale. The 1/255 of the input and the 255 of the output are folded in.
struct Packed {
  int scale;
  const float* w1;  // [81, 64], for planes of fewer than eight rows or columns
  const float* b1;  // [64]
  const float* w2;  // [64, 32]
  const float* b2;  // [32]
  const float* w3;  // [25, 32]
  float b3;
  // conv1 composed with the bicubic up-sampler, one filter for each class of rows or columns: a phase (0..scale-1,
  // inside), scale + i (row i from the start) or scale + 4 + i (row n - 4 + i), where conv1's padding replicates.
  int fold_taps;       // LR rows or columns of a filter: 8, 7, 6 for x2, x3, x4
  int fold_first[12];  // first LR offset of a class, from the LR pixel under the HR pixel (base_of)
  const float* fold;   // [classes, scale, taps, taps, 64]: on the LR grid, for a class of rows and a phase of columns
  const float* half;   // [classes, taps, 9, 64]: on LR rows whose columns are up-sampled
  // Up-sampling: HR pixel scale * i + p = sum_j up[p][j] * LR[i + up_first[p] + j].
  int up_first[4];
  float up[4][4];
  const struct IntWeights* integer;  // null where an engine computes in float32
};

// Border-resolved indices for planes of h x w pixels (HR) at one scale and boundary rule. Rows top..bottom-1 and
// columns left..right-1 of the maps go to the sink; the rest is halo.
struct Tables {
  int64_t h, w, lh, lw;
  int64_t top, bottom, left, right;
  const int32_t* down_rows;  // [lh, taps] HR row of each tap of Filter<scale>
  const int32_t* down_cols;  // [w + 2 reach] HR column of padded position i - reach
  const int32_t* lr_rows;    // [lh + 2 kUpPad] LR row of padded row
  const int32_t* lr_cols;    // [lw + 2 kUpPad] LR column of padded column
};

enum RowKind : int { kLossRow = 0, kBicubicRow = 1, kSobelRow = 2 };

// Receives the rows of the three maps, top to bottom for each kind; `values` is the row from column `left` on.
struct Sink {
  void (*row)(void* context, int kind, int64_t y, const float* values, int64_t w);
  void* context;
  bool wants[3];
};

// Scratch of one thread.
struct Scratch {
  uint8_t* y;      // [h, w] luma
  uint8_t* mid;    // [w + 2 reach] vertically filtered row with its border
  uint8_t* lr;     // [lh, lw]
  float* lr_pad;   // [lh + 2 kUpPad, lw + 2 kUpPad + slack] LR with its border
  void* lr_int;    // the same as integers of at most 16 bits
  float* edges;    // [lh + 2 kUpPad, 2, 16] up-sampled columns -4 .. 7 and w - 8 .. w + 3 of lr_pad, replicated outside
  float* up_mid;   // [lw + 2 kUpPad + slack]
  float* up_ring;  // [9, 4 + w + 4 + slack]
  float* h1;       // [16 px, 64]
  float* h2_ring;  // [5, 2 + w + 2 + slack, 32]
  int16_t* h1_int;  // [16 px, 64]
  int16_t* h2_int;  // [5, 2 + w + 2 + slack, 32]
  float* out;       // [w + slack] row handed to the sink
  float* sr;        // [w + slack] reconstructed row
  int64_t lr_stride, up_stride, h2_stride;
};

using ScorePlane = void(const Packed&, const Tables&, const Scratch&, const Image&, const Sink&, bool network);

ScorePlane score_plane_baseline, score_plane_avx2, score_plane_avx512, score_plane_int_avx2, score_plane_int_avxvnni,
    score_plane_int_avx512, score_plane_int_dotprod;

}  // namespace srfast
