#include <climits>

#include "cuda/launch.h"
#include "cuda/numbers.cuh"
#include "cuda/per_sample_mse.cuh"

namespace srfast {
namespace {

template <class A, class B>
__global__ void __launch_bounds__(kThreads)
    mse_kernel(const A* a, const B* b, int64_t length, int64_t chunks, bool fours, double* sums) {
  __shared__ double scratch[kThreads / kWarp];
  mse_block(a, b, length, chunks, fours, sums, scratch);
}

__global__ void __launch_bounds__(kThreads)
    mse_finish_kernel(const double* sums, int64_t n, int64_t length, int64_t chunks, float* out) {
  mse_finish(sums, n, length, chunks, out);
}

template <class A, class B>
cudaError_t launch(const void* a, const void* b, int64_t n, int64_t length, double* sums, float* out,
                   cudaStream_t stream) {
  const int64_t chunks = mse_chunks(length);
  if (n * chunks > INT_MAX) return cudaErrorInvalidConfiguration;
  const bool fours = length % 4 == 0 && reinterpret_cast<uintptr_t>(a) % (4 * sizeof(A)) == 0 &&
                     reinterpret_cast<uintptr_t>(b) % (4 * sizeof(B)) == 0;
  mse_kernel<A, B><<<static_cast<unsigned>(n * chunks), kThreads, 0, stream>>>(
      static_cast<const A*>(a), static_cast<const B*>(b), length, chunks, fours, sums);
  const cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) return status;
  mse_finish_kernel<<<static_cast<unsigned>((n + kThreads - 1) / kThreads), kThreads, 0, stream>>>(sums, n, length,
                                                                                                   chunks, out);
  return cudaGetLastError();
}

}  // namespace

int64_t mse_scratch(int64_t n, int64_t length) { return n * mse_chunks(length); }

cudaError_t launch_per_sample_mse(const void* a, int a_type, const void* b, int b_type, int64_t n, int64_t length,
                                  double* scratch, float* out, cudaStream_t stream) {
  if (n == 0) return cudaSuccess;
  if (length <= 0) return cudaErrorInvalidValue;
  if (a_type == kFloat32 && b_type == kFloat32) return launch<float, float>(a, b, n, length, scratch, out, stream);
  if (b_type != kUInt8) return cudaErrorInvalidValue;
  switch (a_type) {
    case kFloat32:
      return launch<float, uint8_t>(a, b, n, length, scratch, out, stream);
    case kFloat16:
      return launch<__half, uint8_t>(a, b, n, length, scratch, out, stream);
    case kBFloat16:
      return launch<__nv_bfloat16, uint8_t>(a, b, n, length, scratch, out, stream);
    default:
      return cudaErrorInvalidValue;
  }
}

}  // namespace srfast
