#pragma once
#include <git2.h>
#include <git2/odb_backend.h>
#include <git2/sys/repository.h>

/* Initialisers are macros that Swift does not import. */
static inline int forge_git_status_options(git_status_options *options) {
    return git_status_options_init(options, GIT_STATUS_OPTIONS_VERSION);
}

static inline int forge_git_fetch_options(git_fetch_options *options) {
    return git_fetch_options_init(options, GIT_FETCH_OPTIONS_VERSION);
}

/* Swift calls no variadic functions. Every object that is read is hashed and compared with its id. */
static inline int forge_git_verify_objects(void) {
    return git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
}

/* Certificates to trust; either may be null. */
static inline int forge_git_certificates(const char *file, const char *directory) {
    return git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, file, directory);
}
