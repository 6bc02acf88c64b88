#pragma once
// SRFAST_HD marks arithmetic shared by the CPU and CUDA code.
#ifdef __CUDACC__
#define SRFAST_HD __host__ __device__ __forceinline__
#else
#define SRFAST_HD inline
#endif
