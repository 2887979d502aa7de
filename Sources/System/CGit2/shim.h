#pragma once
#include <git2.h>

/* Initialisers are macros that Swift does not import. */
static inline int forge_git_status_options(git_status_options *options) {
    return git_status_options_init(options, GIT_STATUS_OPTIONS_VERSION);
}
