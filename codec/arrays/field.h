/*
 * field.h: the integers of an array as FEATURES.md sees them, channels of planes, with the
 * predictions and levels of their passes. context.py is the same, slowly; _field.c wraps it,
 * tests/fuzz drives it alone.
 *
 * Each plane is kept as four subplanes, of even and odd rows and columns, with an edge of mirrored
 * values. A pass is then one or two subplanes, and each tap of it a subplane at a constant
 * distance, so that all loops run along memory. What is computed in the edges is never looked at.
 * No subplane needs edges on all sides: odd rows have one above, and one below where the plane ends
 * in an odd row; even ones one below where it does not. So one row more than the planes' own is
 * between two planes, as that above the one or below the other; columns likewise.
 *
 * Numbers are kept in 16 bits until one does not fit, then in 32.
 */
#ifndef LICTOR_FIELD_H
#define LICTOR_FIELD_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "field_map.h"
#include "levels.h"

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__)
#define FIELD_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define FIELD_CLONES
#endif

enum {
    FIELD_FRACTION = 8,
    FIELD_PASSES = 3,
    FIELD_LEVELS = 64,
    FIELD_MAX_TAPS = 64,
    FIELD_MAX_WEIGHT = 1 << 14,
    FIELD_CENTRE = 4,
    FIELD_MAX_SYMBOL = 1 << 28,
    FIELD_ALIGN = 16,
    FIELD_MAPPED = 3 << 19, /* bytes that are had from the system itself, */
    FIELD_HUGE = 1 << 22,   /* and that large pages are asked for */
    FIELD_RUN = 2       /* numbers that an encoder looks at side by side */
};

/* Numbers of all places, (channels, subs, each). */
typedef struct {
    void *all;      /* int16_t, or int32_t if `wide` */
    int wide;
    int64_t most;   /* none is further from 0 */
} FieldNumbers;

typedef struct {
    int32_t channels, count, height, width;
    int32_t rows, stride;       /* of a subplane, edges and all */
    size_t subs;                /* subplanes that there are: 4, or fewer of planes of one row or column */
    size_t inner;               /* values of all planes' subplanes of one kind */
    size_t margin, each;        /* before and behind them, and with that */
    FieldNumbers values, errors;
    int32_t *total;             /* (inner,) sums of a subplane, */
    uint8_t *levels;            /* and its levels; with a map (2, inner,), of a pass */
    int64_t *wide;              /* likewise sums where 32 bits may not do; NULL until then */
    FieldMap map;               /* empty where rows are long */
} Field;

typedef struct {
    int32_t distance, place, weight;
} FieldTap;

typedef struct {
    const FieldTap *taps;
    int32_t count, bias;
    int32_t spread[3];
} FieldWeights;

static size_t field_bytes(const Field *f, int wide)
{
    return (size_t)f->channels * f->subs * f->each * (wide ? sizeof(int32_t) : sizeof(int16_t));
}

/* Many go back to the system as soon as they are dropped: what lies between other things would stay
   with the process. Few are not worth a fault for each page. */
static void *field_zeros(size_t bytes)
{
#if defined(MAP_ANONYMOUS)
    if (bytes < FIELD_MAPPED)
        return calloc(bytes, 1);
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED)
        return NULL;
#if defined(MADV_HUGEPAGE)
    if (bytes >= FIELD_HUGE)
        (void)madvise(found, bytes, MADV_HUGEPAGE);     /* or each page is another fault */
#endif
    return found;
#else
    return calloc(bytes, 1);
#endif
}

/* What was freed goes back to the system, too, where the allocator would keep it. */
static void field_trim(void)
{
#if defined(__GLIBC__)
    (void)malloc_trim(0);
#endif
}

static void field_drop(const Field *f, FieldNumbers *of)
{
#if defined(MAP_ANONYMOUS)
    size_t bytes = field_bytes(f, of->wide);
    if (of->all && bytes >= FIELD_MAPPED) {
        (void)munmap(of->all, bytes);
        of->all = NULL;
    }
#else
    (void)f;
#endif
    free(of->all);
    of->all = NULL;
}

static void field_free(Field *f)
{
    field_drop(f, &f->values);
    field_drop(f, &f->errors);
    free(f->total);
    free(f->levels);
    free(f->wide);
    map_free(&f->map);
    memset(f, 0, sizeof *f);
}

static int field_chart(Field *f);

/* Of a shape whose values fit memory; -1 if they do not. */
static int field_init(Field *f, int32_t channels, int32_t count, int32_t height, int32_t width)
{
    memset(f, 0, sizeof *f);
    f->channels = channels;
    f->count = count;
    f->height = height;
    f->width = width;
    f->rows = height > 1 ? (height + 3) / 2 : 1;
    f->stride = width > 1 ? (width + 3) / 2 : 1;
    f->subs = (height > 1 ? 2u : 1u) * (width > 1 ? 2u : 1u);
    f->inner = (size_t)count * (size_t)f->rows * (size_t)f->stride;
    f->margin = ((size_t)f->stride + 2 + FIELD_ALIGN - 1) / FIELD_ALIGN * FIELD_ALIGN;
    f->each = (f->inner + 2 * f->margin + FIELD_ALIGN - 1) / FIELD_ALIGN * FIELD_ALIGN;
    if (f->each > SIZE_MAX / 16 / (size_t)channels)
        return -1;
    f->values.all = field_zeros(field_bytes(f, 0));
    f->errors.all = field_zeros(field_bytes(f, 0));
    int mapped = width <= MAP_COLUMNS && (int64_t)height * width <= MAP_PLACES
                 && f->each <= INT32_MAX / 4;
    f->total = malloc((f->inner + 1) * (mapped ? 2 : 1) * sizeof *f->total);
    f->levels = malloc((f->inner + 1) * (mapped ? 2 : 1));
    if (f->values.all && f->errors.all && f->total && f->levels && !(mapped && field_chart(f)))
        return 0;
    field_free(f);
    return -1;
}

/* Where the numbers of a subplane begin. */
static inline size_t field_sub(const Field *f, int32_t channel, int sub)
{
    return ((size_t)channel * f->subs + (size_t)(sub >> (f->width == 1))) * f->each + f->margin;
}

/* From a plane to the next one. */
static inline size_t field_plane(const Field *f)
{
    return (size_t)f->rows * (size_t)f->stride;
}

/* Which subplanes a pass has: 2 * (odd row) + (odd column). */
static const int8_t FIELD_SUBS[FIELD_PASSES][2] = {{0, -1}, {3, -1}, {1, 2}};
/* For each pass, the places that are coded before in the same channel. */
static const int8_t FIELD_OWN[FIELD_PASSES][4] = {{-1, -1, -1, -1}, {0, 2, 6, 8}, {1, 3, 5, 7}};

static inline int field_has(const Field *f, int place)
{
    return (f->height > 1 || place / 3 == 1) && (f->width > 1 || place % 3 == 1);
}

static inline int field_rows(const Field *f, int sub)
{
    return (f->height + 1 - sub / 2) / 2;
}

static inline int field_columns(const Field *f, int sub)
{
    return (f->width + 1 - sub % 2) / 2;
}

/* How many values of a channel a pass has. */
static size_t field_pass(const Field *f, int pass)
{
    size_t found = 0;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++)
        found += (size_t)field_rows(f, FIELD_SUBS[pass][i])
                 * (size_t)field_columns(f, FIELD_SUBS[pass][i]);
    return found * (size_t)f->count;
}

/* Where a tap takes the first of what it takes for the values of a subplane. */
static size_t field_at(const Field *f, int32_t channel, int sub, int place)
{
    int y = sub / 2 + place / 3 - 1, x = sub % 2 + place % 3 - 1;
    ptrdiff_t down = y < 0 ? -1 : y / 2, right = x < 0 ? -1 : x / 2;
    return field_sub(f, channel, (y & 1) * 2 + (x & 1)) + (size_t)(down * f->stride + right);
}

/* The rows of a pass in order: of subplane `sub`, values from `at` on, in all subplanes alike. */
typedef struct {
    int32_t plane, row;
    int pass, sub, columns;
    size_t at;
} FieldRow;

static int field_next(const Field *f, FieldRow *r)
{
    do {
        r->row += r->pass == 2 ? 1 : 2;
        if (r->row >= f->height) {
            r->row = r->pass == 1;
            if (++r->plane >= f->count || r->row >= f->height)
                return 0;
        }
        r->sub = r->pass == 0 ? 0 : r->pass == 1 ? 3 : r->row & 1 ? 2 : 1;
        r->columns = field_columns(f, r->sub);
    } while (!r->columns);
    r->at = ((size_t)r->plane * (size_t)f->rows + (size_t)(r->row / 2)) * (size_t)f->stride;
    return 1;
}

/* Before the first row of a pass. */
static FieldRow field_first(int pass)
{
    FieldRow r = {0, (pass == 1) - (pass == 2 ? 1 : 2), pass, 0, 0, 0};
    return r;
}

/* Where in a plane of the array the first value of a row is; the others are two apart. */
static inline size_t field_row(const Field *f, const FieldRow *r)
{
    return ((size_t)r->plane * (size_t)f->height + (size_t)r->row) * (size_t)f->width
           + (size_t)(r->sub % 2);
}

/* Rows are short: 4 values in planes of 7 columns. */
static inline void field_copy(int32_t *restrict to, const int32_t *restrict from, size_t n)
{
    if (n > 16)
        memcpy(to, from, n * sizeof *to);
    else
        for (size_t k = 0; k < n; k++)
            to[k] = from[k];
}

/* ---- what becomes known */

FIELD_CLONES
static void field_widen(const int16_t *restrict from, size_t n, int32_t *restrict to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

FIELD_CLONES
static int64_t field_largest(const int32_t *values, size_t n)
{
    int32_t low = 0, high = 0;
    for (size_t i = 0; i < n; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    return high > -(int64_t)low ? high : -(int64_t)low;
}

/* Where the two sums of errors of a subplane are taken from; field_terms says what they are. The
   centre is behind the others of `before`. */
typedef struct {
    size_t near[4], before[5];
    int nears, befores;
} FieldTerms;

/* How far from 0 any of n integers is. */
static inline int64_t levels_largest(const Levels *l, size_t n)
{
    int32_t room[LEVELS_BLOCK];
    int64_t most = 0;
    for (size_t at = 0; at < n; at += LEVELS_BLOCK) {
        size_t m = n - at < LEVELS_BLOCK ? n - at : LEVELS_BLOCK;
        int64_t own = field_largest(levels_get(l, at, m, room), m);
        most = own > most ? own : most;
    }
    return most;
}

#define FIELD_NUMBER int16_t
#define FIELD_OF(name) name##_16
#include "field_numbers.h"
#undef FIELD_NUMBER
#undef FIELD_OF
#define FIELD_NUMBER int32_t
#define FIELD_OF(name) name##_32
#include "field_numbers.h"
#undef FIELD_NUMBER
#undef FIELD_OF

/* Makes the map of a field. The edges are found by mirroring places in place of numbers. -1: no
   memory. */
static int field_chart(Field *f)
{
    Field one = *f;
    one.count = 1;
    one.inner = (size_t)f->rows * (size_t)f->stride;
    one.each = (one.inner + 2 * f->margin + FIELD_ALIGN - 1) / FIELD_ALIGN * FIELD_ALIGN;
    size_t places = (size_t)f->height * (size_t)f->width, all = f->subs * one.each, edges = 0, k = 0;
    FieldMap *map = &f->map;
    int32_t *numbers = malloc(all * sizeof *numbers);
    map->number = malloc(3 * places * sizeof *map->number);
    map->to = malloc(2 * all * sizeof *map->to);
    if (!numbers || !map->number || !map->to) {
        free(numbers);
        return -1;
    }
    map->sum = map->number + places;
    map->value = map->sum + places;
    map->from = map->to + all;
    for (size_t i = 0; i < all; i++)
        numbers[i] = (int32_t)i;
    for (int pass = 0; pass < FIELD_PASSES; pass++) {
        map->start[pass] = (int32_t)k;
        map->edges[pass] = (int32_t)edges;
        FieldRow r = field_first(pass);
        while (field_next(&one, &r))
            for (int i = 0; i < r.columns; i++, k++) {
                size_t at = r.at + (size_t)i;
                map->number[k] = (int32_t)((size_t)(r.sub >> (f->width == 1)) * f->each + at);
                map->sum[k] = (int32_t)((r.sub == 2) * f->inner + at);
                map->value[k] = (int32_t)(field_row(&one, &r) + 2 * (size_t)i);
            }
        field_mirror_pass_32(&one, numbers, 0, pass);
        for (size_t i = 0; i < all; i++)
            if (numbers[i] != (int32_t)i) {
                /* From the margin of one subplane's numbers to those of the field. */
                size_t sub = i / one.each, own = (size_t)numbers[i] % one.each;
                map->to[edges] = (int32_t)(sub * f->each + i % one.each) - (int32_t)f->margin;
                map->from[edges++] = (int32_t)(sub * f->each + own) - (int32_t)f->margin;
                numbers[i] = (int32_t)i;
            }
    }
    map->start[FIELD_PASSES] = (int32_t)k;
    map->edges[FIELD_PASSES] = (int32_t)edges;
    free(numbers);
    return 0;
}

static inline int32_t field_number(const FieldNumbers *of, size_t at)
{
    return of->wide ? ((const int32_t *)of->all)[at] : ((const int16_t *)of->all)[at];
}

/* Has room for numbers that are no further from 0 than `most`; -1: no memory. */
static int field_reach(const Field *f, FieldNumbers *of, int64_t most)
{
    of->most = most > of->most ? most : of->most;
    if (of->wide || most <= INT16_MAX)
        return 0;
    size_t n = (size_t)f->channels * f->subs * f->each;
    int32_t *wide = field_zeros(field_bytes(f, 1));
    if (!wide)
        return -1;
    field_widen(of->all, n, wide);
    field_drop(f, of);
    of->all = wide;
    of->wide = 1;
    return 0;
}

/* Takes the numbers of a pass in, in the order of coding; -1: no memory. */
static int field_put(const Field *f, FieldNumbers *of, int32_t channel, int pass,
                     const int32_t *numbers)
{
    if (field_reach(f, of, field_largest(numbers, field_pass(f, pass))))
        return -1;
    if (of->wide)
        field_put_32(f, of->all, channel, pass, numbers);
    else
        field_put_16(f, of->all, channel, pass, numbers);
    return 0;
}

static int field_store(Field *f, int32_t channel, int pass, const int32_t *values)
{
    return field_put(f, &f->values, channel, pass, values);
}

/* Likewise the errors, 0 or more. */
static int field_store_errors(Field *f, int32_t channel, int pass, const int32_t *errors)
{
    return field_put(f, &f->errors, channel, pass, errors);
}

/* Takes all values of a channel in, as its plane is in the array; there is room. */
static void field_store_plane(Field *f, int32_t channel, const Levels *plane)
{
    if (f->values.wide)
        field_put_plane_32(f, f->values.all, channel, plane);
    else
        field_put_plane_16(f, f->values.all, channel, plane);
}

/* A plane as it is in the array to passes in order. */
static void field_order(const Field *f, const Levels *plane, const Levels *out)
{
    size_t place = 0;
    for (int pass = 0; pass < FIELD_PASSES; pass++) {
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            size_t from = field_row(f, &r);
            if (out->wide)
                for (int k = 0; k < r.columns; k++)
                    ((int32_t *)out->all)[place++] = ((const int32_t *)plane->all)[from + 2 * (size_t)k];
            else
                for (int k = 0; k < r.columns; k++)
                    ((int16_t *)out->all)[place++] = ((const int16_t *)plane->all)[from + 2 * (size_t)k];
        }
    }
}

/* All values of a channel, in the order of coding; they fit. */
static void field_take_ordered(const Field *f, int32_t channel, const Levels *out)
{
    size_t place = 0;
    for (int pass = 0; pass < FIELD_PASSES; pass++) {
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            size_t from = field_sub(f, channel, r.sub) + r.at;
            for (int k = 0; k < r.columns; k++, place++) {
                int32_t value = field_number(&f->values, from + (size_t)k);
                levels_put_apart(out, place, 1, 1, &value, 1);
            }
        }
    }
}

/* Values of a pass in order to their places in a plane; they fit. */
static void field_scatter(const Field *f, int pass, const int32_t *in, const Levels *plane)
{
    const int32_t *to = f->map.value;
    size_t each = (size_t)f->height * (size_t)f->width, at = 0;
    for (int32_t n = 0; to && n < f->count; n++, at += each)
        for (int32_t k = f->map.start[pass]; k < f->map.start[pass + 1]; k++)
            levels_put_apart(plane, at + (size_t)to[k], 1, 1, in++, 1);
    if (to)
        return;
    FieldRow r = field_first(pass);
    while (field_next(f, &r)) {
        levels_put_apart(plane, field_row(f, &r), 2, (size_t)r.columns, in, 1);
        in += r.columns;
    }
}

/* Rounded predictions of a pass become its values, and residuals their errors; -1 where one is out
   of range. */
FIELD_CLONES
static int field_values(int32_t *restrict rounded, int32_t *restrict residuals, size_t n)
{
    uint32_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        /* Unsigned, as a hostile sum leaves 32 bits. With both parts in range it does not. */
        uint32_t residual = (uint32_t)residuals[i], value = residual + (uint32_t)rounded[i];
        uint32_t size = residuals[i] < 0 ? 0u - residual : residual;
        wrong |= (value + FIELD_MAX_SYMBOL > 2u * FIELD_MAX_SYMBOL)
                 | (size > 2u * FIELD_MAX_SYMBOL);
        rounded[i] = (int32_t)value;
        residuals[i] = (int32_t)size;
    }
    return wrong ? -1 : 0;
}

#endif
