#pragma once
// What both kernels need from the device: nvcc provides the intrinsics, tests/cpp/host_cuda.h provides them on the CPU.
#include <cstdint>

#include "core/hd.h"

#ifdef __CUDACC__
#define SRFAST_DEVICE __device__ __forceinline__
#define SRFAST_UNROLL _Pragma("unroll")
#define SRFAST_UNROLL_1 _Pragma("unroll 1")
#define SRFAST_UNROLL_4 _Pragma("unroll 4")
#else
#define SRFAST_DEVICE inline
#define SRFAST_UNROLL
#define SRFAST_UNROLL_1
#define SRFAST_UNROLL_4
#endif

namespace srfast {

constexpr int kThreads = 256;  // of a block, at most
constexpr int kWarp = 32;

// A byte that no thread of the grid writes.
SRFAST_DEVICE uint8_t read_only(const uint8_t* p) {
#ifdef __CUDACC__
  return __ldg(p);
#else
  return *p;
#endif
}

// float -> T, rounded to nearest even.
template <class T>
SRFAST_DEVICE T narrow(float value);

// T -> float, exact.
template <class T>
SRFAST_DEVICE float widen(T value);

// The sum of `value` over the block, in an order that depends on nothing but the block's size; valid in thread 0.
// scratch: [kThreads / kWarp] in shared memory. blockDim.x must be a multiple of kWarp.
SRFAST_DEVICE double block_sum(double value, double* scratch) {
  SRFAST_UNROLL
  for (int lane = kWarp / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  if (threadIdx.x % kWarp == 0) scratch[threadIdx.x / kWarp] = value;
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0)
    for (unsigned warp = 0; warp < blockDim.x / kWarp; ++warp) total += scratch[warp];
  __syncthreads();
  return total;
}

}  // namespace srfast
