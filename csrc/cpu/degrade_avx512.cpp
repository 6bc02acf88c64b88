#define SRFAST_LOOPS degrade_loops_avx512
#define SRFAST_LANES 16
#define SRFAST_PARTS 4
#include "cpu/degrade_loops.h"
