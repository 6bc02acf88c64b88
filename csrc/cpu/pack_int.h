#pragma once
#include <vector>

#include "core/api.h"
#include "cpu/int_weights.h"

namespace srfast {

// The integers of int_weights.h in plain order.
struct IntNetwork {
  int classes = 0, taps = 0, first[12] = {};
  std::vector<int8_t> w1;              // [classes y][classes x][64][taps][kTapColumns]
  std::vector<int32_t> bias1, shift1;  // [classes y][classes x][64]
  std::vector<int16_t> w2;             // [32][64]
  std::vector<int32_t> bias2, shift2;  // [32]
  std::vector<int16_t> w3;             // [25][32]
  int32_t bias3 = 0;
  float unit = 0;
};

IntNetwork quantize(const SrcnnWeights& weights, int scale);

// Owns the storage that IntWeights points to.
struct IntWeightsStorage {
  std::vector<int8_t> w1;
  std::vector<int16_t> wide1, w2, w3;
  std::vector<int32_t> bias1, shift1, bias2, shift2;
  IntWeights weights{};
};

void lay_out(const IntNetwork& network, const IntLayout& layout, IntWeightsStorage& out);

}  // namespace srfast
