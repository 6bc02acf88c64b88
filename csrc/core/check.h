#pragma once
// What crosses from Python is judged in 64 bits before a pointer is followed: std::invalid_argument names the argument.
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/api.h"

namespace srfast {

inline void expect(bool right, const char* name, const char* expected) {
  if (!right) throw std::invalid_argument(std::string(name) + ": expected " + expected);
}

// Sides are indexed by int32.
inline void expect_side(int64_t value, const char* name) {
  expect(value >= 1 && value <= std::numeric_limits<int32_t>::max(), name, "1 to 2^31 - 1");
}

inline void expect_channels(int64_t value) { expect(value == 1 || value == 3, "channels", "1 or 3"); }

inline void expect_scale(int value) { expect(value >= 2 && value <= 4, "scale", "2, 3 or 4"); }

inline void expect_boundary(int value) { expect(value == 0 || value == 1, "boundary", "0 or 1"); }

inline void expect_threads(int value) { expect(value >= 1, "threads", "at least 1"); }

// Sizes whose product, in bytes of at most 8 a value, a pointer can span.
inline void expect_span(std::initializer_list<int64_t> sizes, const char* name) {
  int64_t left = std::numeric_limits<int64_t>::max() / 8;
  for (const int64_t size : sizes) {
    expect(size >= 0, name, "sizes that are not negative");
    if (size == 0) return;
    left /= size;
  }
  expect(left >= 1, name, "fewer values than 64 bits count");
}

inline void expect_pointer(const void* pointer, int64_t count, const char* name) {
  expect(count == 0 || pointer != nullptr, name, "an address");
}

inline Image checked(const Image& image) {
  expect_side(image.h, "h"), expect_side(image.w, "w"), expect_channels(image.channels);
  expect(image.row_stride / image.channels >= image.w, "row_stride", "at least a row of the image");
  expect_span({image.h, image.row_stride}, "image"), expect_pointer(image.pixels, 1, "image");
  return image;
}

inline Planes checked(const Planes& planes) {
  expect_side(planes.h, "h"), expect_side(planes.w, "w");
  expect(planes.n >= 0, "planes", "a number that is not negative"), expect_span({planes.n, planes.h, planes.w}, "src");
  expect_pointer(planes.values, planes.n, "src");
  return planes;
}

// Windows of `size` at starts[0] <= ... <= starts[n - 1] inside a side of `side`.
inline void expect_windows(const int32_t* starts, int64_t n, int64_t size, int64_t side, const char* name) {
  expect(n >= 0, name, "a number that is not negative");
  expect_pointer(starts, n, name);
  for (int64_t i = 0; i < n; ++i)
    expect(starts[i] >= (i ? starts[i - 1] : 0) && starts[i] <= side - size, name,
           "ascending windows inside the image");
}

// Windows of at least so many pixels inside an image, of each of which so many values are measured.
inline void expect_inside(const Grid& at, const Image& image, int64_t least, int64_t values) {
  expect(at.size >= least && at.size < 1 << 24, "size", "one from the least to 2^24 - 1");
  expect_span({at.nx, at.ny, values}, "xs");
  expect_windows(at.xs, at.nx, at.size, image.w, "xs"), expect_windows(at.ys, at.ny, at.size, image.h, "ys");
}

}  // namespace srfast
