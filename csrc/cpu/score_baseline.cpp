#define SRFAST_ENGINE engine_baseline
#define SRFAST_LANES 4
#include "cpu/score_engine.h"

namespace srfast {

void score_plane_baseline(const Packed& k, const Tables& t, const Scratch& s, const Image& p, const Sink& sink,
                          bool network) {
  engine_baseline::score_plane(k, t, s, p, sink, network);
}

}  // namespace srfast
