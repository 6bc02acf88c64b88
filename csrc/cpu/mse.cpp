#include "core/api.h"
#include "cpu/threads.h"

namespace srfast {

void per_sample_mse_cpu(const float* a, const float* b, int64_t n, int64_t length, int threads, float* out) {
  parallel_ranges(n, threads, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float* x = a + i * length;
      const float* y = b + i * length;
      // Eight partial sums: the order is fixed, so the result does not depend on the number of threads.
      double sum[8] = {};
      int64_t j = 0;
      for (; j + 8 <= length; j += 8)
        for (int k = 0; k < 8; ++k) {
          const double d = static_cast<double>(x[j + k]) - static_cast<double>(y[j + k]);
          sum[k] += d * d;
        }
      for (int k = 0; j < length; ++j, ++k) {
        const double d = static_cast<double>(x[j]) - static_cast<double>(y[j]);
        sum[k] += d * d;
      }
      double total = 0;
      for (double s : sum) total += s;
      out[i] = static_cast<float>(total / static_cast<double>(length));
    }
  });
}

}  // namespace srfast
