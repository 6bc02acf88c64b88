#pragma once
// SRFAST_INLINE: always inlined. The CPU's engines are compiled for several instruction sets, and the linker must not
// hand one's copy of a function to another. SRFAST_HD: the same, of arithmetic that CUDA code shares.
#define SRFAST_INLINE inline __attribute__((always_inline))
#if defined(__CUDACC__)
#define SRFAST_HD __host__ __device__ __forceinline__
#else
#define SRFAST_HD SRFAST_INLINE
#endif
