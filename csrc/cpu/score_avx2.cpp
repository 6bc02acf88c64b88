#define SRFAST_ENGINE engine_avx2
#define SRFAST_LANES 8
#include "cpu/score_engine.h"

SRFAST_EXPORT_ENGINE(avx2)
