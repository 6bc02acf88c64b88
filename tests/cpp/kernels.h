#pragma once
// The kernel bodies of csrc/cuda behind C functions that run them on the CPU; pointers and types as in cuda/launch.h.
#include <cstdint>

extern "C" {
int64_t host_degrade_tiles(int64_t h, int64_t w, int scale);
void host_degrade(const uint8_t* pixels, const int64_t* offsets, const int64_t* row_strides, int64_t n, int64_t h,
                  int64_t w, int channels, int scale, int boundary, int up_type, uint8_t* y, uint8_t* lr, void* up,
                  double* sums, int threads);
void host_per_sample_mse(const void* a, int a_type, const void* b, int b_type, int64_t n, int64_t length, float* out,
                         int threads);
}
