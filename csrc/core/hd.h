#pragma once
// SRFAST_HD marks arithmetic shared by the CPU and CUDA code. Always inlined: the CPU's engines are compiled for
// several instruction sets, and the linker must not hand one's copy of a function to another.
#if defined(__CUDACC__)
#define SRFAST_HD __host__ __device__ __forceinline__
#else
#define SRFAST_HD inline __attribute__((always_inline))
#endif
