/*
 * levels.h: integers of an array in 16 bits, where these suffice for all of them, or in 32.
 */
#ifndef LICTOR_LEVELS_H
#define LICTOR_LEVELS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { LEVELS_BLOCK = 2048 };

typedef struct {
    void *all;
    int wide;   /* int32_t, else int16_t */
} Levels;

static inline Levels levels_from(const Levels *l, size_t at)
{
    return (Levels){(char *)l->all + at * (l->wide ? 4 : 2), l->wide};
}

/* n integers from `at` on; room: for those that have to be made wide. */
static inline const int32_t *levels_get(const Levels *l, size_t at, size_t n, int32_t *restrict room)
{
    if (l->wide)
        return (const int32_t *)l->all + at;
    const int16_t *from = (const int16_t *)l->all + at;
    for (size_t i = 0; i < n; i++)
        room[i] = from[i];
    return room;
}

/* The other way; they fit. */
static inline void levels_put(const Levels *l, size_t at, size_t n, const int32_t *restrict from)
{
    if (l->wide) {
        memcpy((int32_t *)l->all + at, from, n * sizeof *from);
        return;
    }
    int16_t *restrict to = (int16_t *)l->all + at;
    for (size_t i = 0; i < n; i++)
        to[i] = (int16_t)from[i];
}

/* Integers that lie `apart`, both ways; those of `own` lie `each`. */
static inline void levels_put_apart(const Levels *l, size_t at, size_t apart, size_t n,
                                    const int32_t *own, size_t each)
{
    if (l->wide)
        for (size_t i = 0; i < n; i++)
            ((int32_t *)l->all)[at + i * apart] = own[i * each];
    else
        for (size_t i = 0; i < n; i++)
            ((int16_t *)l->all)[at + i * apart] = (int16_t)own[i * each];
}

static inline void levels_get_apart(const Levels *l, size_t at, size_t apart, size_t n, int32_t *own,
                                    size_t each)
{
    if (l->wide)
        for (size_t i = 0; i < n; i++)
            own[i * each] = ((const int32_t *)l->all)[at + i * apart];
    else
        for (size_t i = 0; i < n; i++)
            own[i * each] = ((const int16_t *)l->all)[at + i * apart];
}

#endif
