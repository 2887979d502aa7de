#pragma once
// The plain functions, which OpenSSL 3 calls deprecated in favour of its providers: those read a configuration file and
// cost a millisecond at the first hash, which a build with nothing to do would notice, and an allocation at each.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
