#ifndef CODERUNNER_CLOCK_H
#define CODERUNNER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_MS 1000000u

/* Nanoseconds; for CLOCK_MONOTONIC since some point in the past. */
static inline uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time); /* cannot fail for a clock that exists */
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

#endif
