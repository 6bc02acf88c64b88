#pragma once
// A weight set ready for every engine of this machine.
#include "core/api.h"
#include "cpu/pack.h"
#include "cpu/pack_int.h"

namespace srfast {

struct Scorer {
  PackedStorage storage;
  IntWeightsStorage integer;
};

// The engine that the options name; throws where this machine does not run it.
ScorePlane engine(const ScoreOptions& options);

}  // namespace srfast
