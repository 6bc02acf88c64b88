#pragma once
// What the files of the panel of defects share: tiles of 8 x 8 pixels, aligned to the image's corner, and what
// is measured in each. tests/ops/defects_reference.py is the definition of every number.
#include <cstdint>

#include "core/api.h"
#include "core/luma.h"

namespace srfast {

constexpr int64_t kTile = 8;
constexpr int64_t kFeatures = kDefectFeatures;
constexpr int64_t kChunk = 256;  // columns that are worked on together: what they need stays in the first cache

// Of one row of tiles of at most kChunk columns.
struct TileRow {
  alignas(64) int16_t y[kTile][kChunk + 32];  // luma
  alignas(64) int16_t c[kTile][kChunk + 32];  // 2 G - R - B
  alignas(64) float features[kFeatures][kChunk / kTile];
  alignas(64) int32_t clipped[kChunk / kTile];  // saturated pixels
  alignas(64) int32_t banded[kChunk / kTile];   // 1: a smooth ramp with lost levels
};

// Fills y, c and clipped from `columns` pixels of 8 rows at (row, column), columns a multiple of 8.
void load_tile_row(const Image& image, int64_t row, int64_t column, int64_t columns, TileRow& t);

// Fills features and banded from y and c.
void measure_tile_row(int64_t columns, TileRow& t);

}  // namespace srfast
