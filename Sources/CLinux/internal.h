/* Between the C files of this module. */
#pragma once
#include "clinux.h"

/* Runs one step in a child; 0 or -1 (errno). Async-signal-safe. */
int forge_run_step(struct forge_step *steps, size_t index);
