#pragma once
#include <curl/curl.h>

/* Swift calls no variadic functions. The parentheses keep curl's type-checking macros out: the callers below are
   typed by their own signatures. */

static inline CURLcode curl_easy_setopt_long(CURL *easy, CURLoption option, long value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode curl_easy_setopt_off(CURL *easy, CURLoption option, curl_off_t value) {
    return (curl_easy_setopt)(easy, option, value);
}

static inline CURLcode curl_easy_setopt_ptr(CURL *easy, CURLoption option, const void *value) {
    return (curl_easy_setopt)(easy, option, value);
}

/* Strings are copied by libcurl. */
static inline CURLcode curl_easy_setopt_text(CURL *easy, CURLoption option, const char *value) {
    return (curl_easy_setopt)(easy, option, value);
}

/* The form of CURLOPT_WRITEFUNCTION: bytes, 1, count, the value of CURLOPT_WRITEDATA. */
typedef size_t (*forge_curl_write)(char *bytes, size_t one, size_t count, void *context);

static inline CURLcode curl_easy_setopt_func(CURL *easy, CURLoption option, forge_curl_write function) {
    return (curl_easy_setopt)(easy, option, function);
}

static inline long curl_easy_getinfo_long(CURL *easy, CURLINFO what) {
    long value = 0;
    return (curl_easy_getinfo)(easy, what, &value) == CURLE_OK ? value : 0;
}

static inline curl_off_t curl_easy_getinfo_off(CURL *easy, CURLINFO what) {
    curl_off_t value = 0;
    return (curl_easy_getinfo)(easy, what, &value) == CURLE_OK ? value : 0;
}

/* Owned by the handle; null if there is none. */
static inline const char *curl_easy_getinfo_text(CURL *easy, CURLINFO what) {
    char *value = NULL;
    return (curl_easy_getinfo)(easy, what, &value) == CURLE_OK ? value : NULL;
}

static inline CURLMcode curl_multi_setopt_long(CURLM *multi, CURLMoption option, long value) {
    return (curl_multi_setopt)(multi, option, value);
}

/* The next finished transfer and its result; null if there is none. CURLMsg has a union, which is awkward in Swift. */
static inline CURL *curl_multi_next_done(CURLM *multi, CURLcode *result) {
    int left = 0;
    for (CURLMsg *message; (message = curl_multi_info_read(multi, &left));) {
        if (message->msg != CURLMSG_DONE) continue;
        *result = message->data.result;
        return message->easy_handle;
    }
    return NULL;
}

/* The value of a header of the last response; null if there is none. Valid until the handle's next use. */
static inline const char *curl_easy_header_value(CURL *easy, const char *name) {
    struct curl_header *header = NULL;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}
