// Scores patches from stdin to stdout, for machines that are only emulated: native byte order in, the three scores out.
// In: int32 scale, boundary, n, h, w, channels; float32 w1 b1 w2 b2 w3 b3; uint8 [n, h, w, channels].
// Out: float32 loss [n], bicubic [n], sobel [n] of score_patches, then of score_dense, one window for each patch.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "core/api.h"

using namespace srfast;

namespace {

template <class T>
std::vector<T> taken(int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  if (std::fread(values.data(), sizeof(T), values.size(), stdin) != values.size()) std::exit(2);
  return values;
}

}  // namespace

int main() {
  const auto head = taken<int32_t>(6);
  const int64_t n = head[2], h = head[3], w = head[4], row = w * head[5], bytes = h * row;
  const auto w1 = taken<float>(64 * 81), b1 = taken<float>(64), w2 = taken<float>(32 * 64), b2 = taken<float>(32),
             w3 = taken<float>(32 * 25), b3 = taken<float>(1);
  const auto patches = taken<uint8_t>(n * bytes);
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < n; ++i) offsets.push_back(i * bytes);
  std::vector<float> out(static_cast<size_t>(6 * n));
  float* scores = out.data();
  Scorer* scorer = make_scorer({w1.data(), b1.data(), w2.data(), b2.data(), w3.data(), b3.data()}, head[0]);
  const ScoreOptions options{head[1], kBaseline, false, 1};
  const Image patch{patches.data(), h, w, row, head[5]};
  score_patches_cpu(*scorer, patch, offsets.data(), n, options, scores, scores + n, scores + 2 * n);
  const int32_t origin = 0;
  for (int64_t i = 0; h == w && i < n; ++i)
    score_dense_cpu(*scorer, {patches.data() + i * bytes, h, w, row, head[5]}, options, {&origin, 1, &origin, 1, h},
                    scores + 3 * n + i, scores + 4 * n + i, scores + 5 * n + i);
  free_scorer(scorer);
  return std::fwrite(scores, sizeof(float), out.size(), stdout) == out.size() ? 0 : 1;
}
