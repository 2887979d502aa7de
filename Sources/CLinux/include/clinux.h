/* What Swift can't see of the kernel's and glibc's interfaces: macros, variadics, and code that must run between
   clone and exec, where no Swift may run. */
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include "clinux_store.h"

uint32_t forge_major(uint64_t device);
uint32_t forge_minor(uint64_t device);
