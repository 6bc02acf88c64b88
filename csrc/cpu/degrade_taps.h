#pragma once
// The numbers that degradations are made of: weights of filters, and tables of random values.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cpu/degrade.h"

namespace srfast {

// Rows of a resampling pass: out[i] = sum_k weight[i][k] in[index[i][k]].
struct ResizeTaps {
  struct Row {
    const int32_t* index;
    const float* weights;
    int taps;
  };
  int most = 1;
  std::vector<int64_t> first;  // [out + 1], into the two others
  std::vector<int32_t> index;
  std::vector<float> weight;
  Row of(int64_t i) const {
    const auto at = first[static_cast<size_t>(i)], end = first[static_cast<size_t>(i) + 1];
    return {index.data() + at, weight.data() + at, static_cast<int>(end - at)};
  }
};

// The taps of torch.nn.functional.interpolate; output pixel i stands at step * (i + 1/2) - 1/2.
ResizeTaps resize_taps(int64_t in, int64_t out, double step, int filter, bool antialias);

const NormalTable& normal_table();
const PoissonTable& poisson_table();

}  // namespace srfast
