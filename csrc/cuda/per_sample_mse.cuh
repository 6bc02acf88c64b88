#pragma once
// Mean squared error of each sample. One block sums one chunk of one sample; a second kernel adds the chunks in order.
// No atomics, so the result depends on nothing but the values.
#include <cstdint>

#include "cuda/device.cuh"

namespace srfast {

constexpr int64_t kMseChunk = 1 << 15;  // values a block sums: 256 threads x 32 loads of 4

SRFAST_HD int64_t mse_chunks(int64_t length) { return (length + kMseChunk - 1) / kMseChunk; }

template <class T>
struct alignas(4 * sizeof(T)) Four {
  T value[4];
};

// Block c + chunks * i sums chunk c of sample i of a and b [n, length] into sums[i * chunks + c].
// fours: length is a multiple of 4 and both arrays are aligned to four values.
// Differences and runs of four squares are fp32 (relative error under 2^-22 of a positive sum), the rest float64.
template <class A, class B>
SRFAST_DEVICE void mse_block(const A* a, const B* b, int64_t length, int64_t chunks, bool fours, double* sums,
                             double* scratch) {
  const int64_t sample = blockIdx.x / chunks;
  const int64_t begin = (blockIdx.x % chunks) * kMseChunk;
  const int64_t end = begin + kMseChunk < length ? begin + kMseChunk : length;
  a += sample * length;
  b += sample * length;
  double sum = 0;
  if (fours) {
    const int64_t step = 4 * static_cast<int64_t>(blockDim.x);
    SRFAST_UNROLL_4
    for (int64_t i = begin + 4 * static_cast<int64_t>(threadIdx.x); i < end; i += step) {
      const Four<A> p = *reinterpret_cast<const Four<A>*>(a + i);
      const Four<B> q = *reinterpret_cast<const Four<B>*>(b + i);
      float run = 0;
      SRFAST_UNROLL
      for (int k = 0; k < 4; ++k) {
        const float d = widen(p.value[k]) - widen(q.value[k]);
        run += d * d;
      }
      sum += static_cast<double>(run);
    }
  } else {
    for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
      const float d = widen(a[i]) - widen(b[i]);
      sum += static_cast<double>(d * d);
    }
  }
  const double total = block_sum(sum, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

// One thread a sample: out[i] = sum of sums[i, 0 .. chunks - 1] / length.
SRFAST_DEVICE void mse_finish(const double* sums, int64_t n, int64_t length, int64_t chunks, float* out) {
  const int64_t i = blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x;
  if (i >= n) return;
  double total = 0;
  for (int64_t c = 0; c < chunks; ++c) total += sums[i * chunks + c];
  out[i] = static_cast<float>(total / static_cast<double>(length));
}

}  // namespace srfast
