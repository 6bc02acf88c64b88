#define SRFAST_ENGINE engine_baseline
#define SRFAST_LANES 4
#include "cpu/score_engine.h"

SRFAST_EXPORT_ENGINE(baseline)
