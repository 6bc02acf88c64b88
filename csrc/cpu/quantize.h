#pragma once
#include <vector>

#include "core/api.h"
#include "cpu/quantized.h"

namespace srfast {

struct QuantizedStorage {
  std::vector<int8_t> w1;
  std::vector<float> m1, a1, m2, a2;
  std::vector<int16_t> w2, w3;
  Quantized quantized{};
};

void quantize(const SrcnnWeights& weights, int scale, QuantizedStorage& out);

}  // namespace srfast
