#pragma once
// Integer weights of the reduced-precision engine. Plain data: shared with a file compiled for AVX-512 VNNI.
//   conv1: 8-bit LR pixels (exact) x int8 weights of conv1 composed with the up-sampler, int32 sums
//   conv2, conv3: int16 activations x int16 weights, int32 sums
// Activations are 0..32767 in units that differ by channel. The rounding errors of a conv1 filter cancel in its sum, so
// that flat areas, whose losses are smallest, see the exact one.
#include <cstdint>

namespace srfast {

constexpr int kBorderClasses = 8;  // four first and four last rows or columns, where conv1's padding replicates

// A class is a phase (0..scale-1, inside), scale + i (row i from the start) or scale + 4 + i (row n - 4 + i).
struct IntWeights {
  int classes;        // scale + 8
  int taps;           // LR rows of a folded filter; columns are padded to 8
  int first[12];      // first LR offset of a class, from the LR pixel under the HR pixel
  const int8_t* w1;   // [classes y][classes x][taps][2][64][4]
  const float* m1;    // [classes y][classes x][64]: int32 sum -> h1 units
  const float* a1;    // [64]
  const int16_t* w2;  // [32 channel pairs][32][2], pairs in the order h1 is stored
  const float* m2;    // [32]: int32 sum -> h2 units
  const float* a2;    // [32]
  const int16_t* w3;  // [25][32], channels in the order h2 is stored
  float m3, a3;       // int32 sum -> grey levels
};

// Storage order of 32 channels after packing two vectors of sixteen: position -> channel.
inline int packed_channel(int position) {
  const int lane = position / 8, word = position % 8;
  return word < 4 ? 4 * lane + word : 16 + 4 * lane + word - 4;
}

}  // namespace srfast
