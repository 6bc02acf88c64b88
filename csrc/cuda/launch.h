#pragma once
// CUDA launchers. Raw device pointers, sizes and a stream in, the launch's status out. They neither allocate nor wait.
#include <cuda_runtime_api.h>

#include <cstdint>

#include "core/api.h"

namespace srfast {

// Element types beyond core/api.h's DType.
enum HalfType : int { kFloat16 = 3, kBFloat16 = 4 };

// n images of h x w pixels in one buffer: image i begins at offsets[i], its rows are row_strides[i] bytes apart. Both
// null: [n, h, w, channels], one after another. channels 3 (RGB) or 1 (Y); h * w * channels < 2^31.
struct Windows {
  const uint8_t* pixels;
  const int64_t *offsets, *row_strides;
  int64_t n, h, w;
  int channels;
};

// Tiles of one h x w image in launch_degrade, for the size of `sums`.
int64_t degrade_tiles(int64_t h, int64_t w, int scale);

// y [n, h, w] uint8; lr [n, h / scale, w / scale] uint8; h and w multiples of scale (2, 3, 4). up [n, h, w] of up_type
// (kFloat32, kFloat16, kBFloat16) or null; sums [n, degrade_tiles, 2] or null: the sums of (up - Y)^2, before up is
// narrowed, and of 0.5 |Gx| + 0.5 |Gy|.
cudaError_t launch_degrade(const Windows& windows, int scale, int boundary, int up_type, uint8_t* y, uint8_t* lr,
                           void* up, double* sums, cudaStream_t stream);

// Loads a kernel for the current device without running it: cudaErrorNoKernelImageForDevice where this build holds no
// machine code and no PTX for it, cudaErrorUnsupportedPtxVersion where the driver is too old for the PTX.
cudaError_t load_degrade();

// Doubles that launch_per_sample_mse needs as scratch.
int64_t mse_scratch(int64_t n, int64_t length);

// out[i] = mean((a[i] - b[i])^2) over `length` values. Types of (a, b): (kFloat32, kFloat32) or any float with kUInt8.
cudaError_t launch_per_sample_mse(const void* a, int a_type, const void* b, int b_type, int64_t n, int64_t length,
                                  double* scratch, float* out, cudaStream_t stream);

}  // namespace srfast
