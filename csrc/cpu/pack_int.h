#pragma once
#include <vector>

#include "core/api.h"
#include "cpu/int_weights.h"

namespace srfast {

struct IntWeightsStorage {
  std::vector<int8_t> w1;
  std::vector<float> m1, a1, m2, a2;
  std::vector<int16_t> w2, w3;
  IntWeights weights{};
};

void pack_int_weights(const SrcnnWeights& weights, int scale, IntWeightsStorage& out);

}  // namespace srfast
