#pragma once
// A weight set ready for every engine of this machine.
#include <memory>
#include <mutex>
#include <vector>

#include "core/api.h"
#include "cpu/pack.h"
#include "cpu/pack_int.h"

namespace srfast {

struct Engine {
  ScorePlane* score_plane;
  const IntLayout* layout;  // null where it computes in float32
};

// The engine that the options name, one of supported_isas().
Engine engine(const ScoreOptions& options);

struct Scorer {
  Scorer(const SrcnnWeights& weights, int scale);
  // With the integers of an engine that has such; they are made when one first asks.
  const Packed& packed(const Engine& engine) const;

 private:
  struct Integers {
    const IntLayout* layout;
    IntWeightsStorage storage;
    Packed packed;
  };
  PackedStorage storage_;
  std::vector<float> weights_[6];
  mutable std::mutex mutex_;
  mutable IntNetwork network_;
  mutable std::vector<std::unique_ptr<Integers>> integers_;
};

}  // namespace srfast
