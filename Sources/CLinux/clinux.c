#define _GNU_SOURCE
#include "clinux.h"
#include <sys/sysmacros.h>

uint32_t forge_major(uint64_t device) { return gnu_dev_major(device); }
uint32_t forge_minor(uint64_t device) { return gnu_dev_minor(device); }
