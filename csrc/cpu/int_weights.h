#pragma once
// SRCNN in integers, the arithmetic of reduced precision. Its sums are exact, so that every instruction set gives the
// same bits:
//   h1[c] = max(0, (bias1 + sum_t w1[t] * LR[t]) >> shift1)    int8 weights of conv1 composed with the
//                                                              up-sampler, 8-bit LR pixels; one filter for each class
//                                                              of rows and columns
//   h2[c] = max(0, (bias2 + sum_i w2[i] * h1[i]) >> shift2)    int16 weights
//   sr    = unit * (bias3 + sum_tc w3[t][c] * h2[c])           int16 weights, float32 at last
// Sums are int32, activations 0..32767. Weights, shifts and units are chosen so that no 8-bit image can leave either
// range (pack_int.cpp). Plain data: shared with files compiled for one instruction set.
#include <cstdint>

namespace srfast {

constexpr int kBorderClasses = 8;  // four first and four last rows or columns, where conv1's padding replicates
constexpr int kTapColumns = 8;     // columns of a filter, those at its end zero

// How one instruction set wants its weights. A sum is a lane of 32 bits.
struct IntLayout {
  int lanes;           // of a vector
  int block1, block2;  // channels of conv1 and of conv2 whose sums a tile keeps in registers
  int group;           // products of conv1 added to a lane at once: 4 of int8 weights, 2 of int16 ones
  bool minus_128;      // pixels are LR - 128, for instructions that take signed ones
  bool halves;         // conv2: the first weights of the pairs of a vector stand before the second ones
};

extern const IntLayout int_layout_avx2, int_layout_avxvnni, int_layout_avx512, int_layout_dotprod;

// A class is a phase (0..scale-1, inside), scale + i (row i from the start) or scale + 4 + i (row n - 4 + i).
struct IntWeights {
  int classes;           // scale + kBorderClasses
  int taps;              // LR rows of a folded filter
  int first[12];         // first LR offset of a class, from the LR pixel under the HR pixel
  const void* w1;        // [classes y][classes x][64 / block1][taps][8 / group][block1][group]
  const int32_t* bias1;  // [classes y][classes x][64]
  const int32_t* shift1;
  // [32 / block2][32 pairs][block2][2], halves: [..][block2 / lanes][2][lanes]; pairs as h1 is stored
  const int16_t* w2;
  const int32_t* bias2;
  const int32_t* shift2;  // [32]
  const int16_t* w3;      // [25][32], channels in the order h2 is stored
  int32_t bias3;
  float unit;  // grey levels of one of the last sum
};

// Storage order of activations after packing two vectors of sums: position -> channel.
inline int packed_channel(int position, int lanes) {
  const int quad = position % (2 * lanes) / 8, word = position % 8;
  return position / (2 * lanes) * 2 * lanes + (word < 4 ? 0 : lanes) + 4 * quad + word % 4;
}

}  // namespace srfast
