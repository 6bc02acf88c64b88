#define SRFAST_LOOPS degrade_loops_baseline
#define SRFAST_LANES 4
#define SRFAST_PARTS 2
#include "cpu/degrade_loops.h"
