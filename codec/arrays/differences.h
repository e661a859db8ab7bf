/*
 * differences.h: along an axis, integers to differences and back, modulo 2^32; differences.py says
 * what they are for.
 */
#ifndef LICTOR_DIFFERENCES_H
#define LICTOR_DIFFERENCES_H

#include <stddef.h>
#include <stdint.h>

#include "field.h"

FIELD_CLONES
static void differences_add(uint32_t *restrict to, const uint32_t *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

FIELD_CLONES
static void differences_subtract(uint32_t *restrict from, const uint32_t *restrict what, size_t n)
{
    for (size_t i = 0; i < n; i++)
        from[i] -= what[i];
}

/* Of an array of outer times n times inner integers, along the middle one. */
static void differences_sum(uint32_t *x, size_t outer, size_t n, size_t inner)
{
    for (size_t o = 0; o < outer; o++, x += n * inner) {
        uint32_t sum = 0;
        for (size_t i = 0; inner == 1 && i < n; i++)
            x[i] = sum += x[i];
        for (size_t i = 1; inner > 1 && i < n; i++)
            differences_add(x + i * inner, x + (i - 1) * inner, inner);
    }
}

static void differences_take(uint32_t *x, size_t outer, size_t n, size_t inner)
{
    for (size_t o = 0; o < outer; o++, x += n * inner) {
        uint32_t before = 0;
        for (size_t i = 0; inner == 1 && i < n; i++) {
            uint32_t own = x[i];
            x[i] = own - before;
            before = own;
        }
        for (size_t i = n - 1; inner > 1 && i > 0; i--)
            differences_subtract(x + i * inner, x + (i - 1) * inner, inner);
    }
}

#endif
