/*
 * field_predict.h: what is predicted of the passes of a field, and which level of error is expected,
 * from what is known of it. FEATURES.md has the formulas.
 */
#ifndef LICTOR_FIELD_PREDICT_H
#define LICTOR_FIELD_PREDICT_H

#include "field.h"

/* ---- predictions */

/* Sums run over parts that stay in the nearest cache while all taps are added. */
enum { FIELD_BLOCK = 2048 };

/* Sums of one subplane with 32 bits, (inner,). The caller has seen that none leaves them. */
static void field_sum(Field *f, int32_t channel, int sub, const FieldWeights *w, int32_t *sums)
{
    size_t from[FIELD_MAX_TAPS];
    int32_t weights[FIELD_MAX_TAPS];
    for (int32_t t = 0; t < w->count; t++) {
        from[t] = field_at(f, channel - w->taps[t].distance, sub, w->taps[t].place);
        weights[t] = w->taps[t].weight;
    }
    for (size_t at = 0; at < f->inner; at += FIELD_BLOCK) {
        size_t n = f->inner - at < FIELD_BLOCK ? f->inner - at : FIELD_BLOCK;
        int32_t *total = sums + at;
        for (size_t i = 0; i < n; i++)
            total[i] = w->bias;
        if (f->values.wide)
            field_add_all_32(total, f->values.all, from, weights, w->count, n);
        else
            field_add_all_16(total, f->values.all, from, weights, w->count, n);
        for (int32_t t = 0; t < w->count; t++)
            from[t] += n;
    }
}

/* Likewise with 64 bits, which always do: 65 terms below 2^42, and a bias. */
static void field_sum_wide(Field *f, int32_t channel, int sub, const FieldWeights *w)
{
    for (size_t i = 0; i < f->inner; i++)
        f->wide[i] = w->bias;
    for (int32_t t = 0; t < w->count; t++) {
        const FieldTap *tap = w->taps + t;
        size_t from = field_at(f, channel - tap->distance, sub, tap->place);
        if (f->values.wide)
            field_add_wide_32(f->wide, (int32_t *)f->values.all + from, tap->weight, f->inner);
        else
            field_add_wide_16(f->wide, (int16_t *)f->values.all + from, tap->weight, f->inner);
    }
}

/* Whether sums may leave what 32 bits can round. */
static int field_is_wide(const Field *f, const FieldWeights *w)
{
    int64_t bound = w->bias < 0 ? -(int64_t)w->bias : w->bias;
    for (int32_t t = 0; t < w->count; t++)
        bound += (w->taps[t].weight < 0 ? -(int64_t)w->taps[t].weight : w->taps[t].weight)
                 * f->values.most;
    return bound > INT32_MAX - (1 << FIELD_FRACTION);
}

/* Predictions times 2^FRACTION of a pass in the order of coding, where they are not wide. */
static void field_predict_narrow(Field *f, int32_t channel, int pass, const FieldWeights *w,
                                 int32_t *out)
{
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++) {
        int sub = FIELD_SUBS[pass][i];
        if (!field_rows(f, sub) || !field_columns(f, sub))
            continue;
        field_sum(f, channel, sub, w, f->total + (f->map.sum ? (size_t)i * f->inner : 0));
        size_t place = 0;
        FieldRow r = field_first(pass);
        while (!f->map.sum && field_next(f, &r)) {
            if (r.sub == sub)
                field_copy(out + place, f->total + r.at, (size_t)r.columns);
            place += (size_t)r.columns;
        }
    }
    const int32_t *plane = f->total;
    for (int32_t n = 0; f->map.sum && n < f->count; n++, plane += field_plane(f))
        for (int32_t k = f->map.start[pass]; k < f->map.start[pass + 1]; k++)
            *out++ = plane[f->map.sum[k]];
}

/* Likewise of any size, int64. -1: no memory. */
static int field_predict(Field *f, int32_t channel, int pass, const FieldWeights *w, int64_t *out)
{
    if (!f->wide)
        f->wide = malloc((f->inner + 1) * sizeof *f->wide);
    if (!f->wide)
        return -1;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++) {
        int sub = FIELD_SUBS[pass][i];
        if (!field_rows(f, sub) || !field_columns(f, sub))
            continue;
        field_sum_wide(f, channel, sub, w);
        size_t place = 0;
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            if (r.sub == sub)
                memcpy(out + place, f->wide + r.at, (size_t)r.columns * sizeof *out);
            place += (size_t)r.columns;
        }
    }
    return 0;
}

static inline int32_t field_rounded(int64_t prediction)
{
    int64_t half = prediction + (1 << (FIELD_FRACTION - 1)), whole = half >> FIELD_FRACTION;
    return whole < -FIELD_MAX_SYMBOL ? -FIELD_MAX_SYMBOL
           : whole > FIELD_MAX_SYMBOL ? FIELD_MAX_SYMBOL : (int32_t)whole;
}

FIELD_CLONES
static void field_round_narrow(int32_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (p[i] + (1 << (FIELD_FRACTION - 1))) >> FIELD_FRACTION;
}

/* Rounded predictions of a pass in the order of coding. -1: no memory. */
static int field_predict_rounded(Field *f, int32_t channel, int pass, const FieldWeights *w,
                                 int32_t *out)
{
    size_t n = field_pass(f, pass);
    if (!field_is_wide(f, w)) {
        field_predict_narrow(f, channel, pass, w, out);
        field_round_narrow(out, n);
        return 0;
    }
    int64_t *wide = malloc((n + 1) * sizeof *wide);
    int error = !wide || field_predict(f, channel, pass, w, wide);
    for (size_t i = 0; !error && i < n; i++)
        out[i] = field_rounded(wide[i]);
    free(wide);
    return error ? -1 : 0;
}

/* ---- levels */

/* How many of the 63 bounds are at or below an expected error. */
static inline int field_level(int64_t expected)
{
    if (expected < 8)
        return 0;
    int m = 3;
    while (m < 60 && expected >> (m + 1))
        m++;
    int64_t second = (int64_t)20 << (m - 3) >> 1, third = (int64_t)25 << (m - 3) >> 1;
    int level = 3 * (m - 3) + 1 + (expected >= second) + (expected >= third);
    return level < FIELD_LEVELS - 1 ? level : FIELD_LEVELS - 1;
}

/* The sums of errors around the values of a subplane: `near` of the channel itself, `before` of an
   earlier one. Errors are below 2^30, so that 32 bits without a sign hold 4 of one or 6 of another
   only where they are small; the caller looks. */
static void field_terms(const Field *f, int32_t channel, int pass, int sub, int32_t distance,
                        size_t at, int64_t *near, int64_t *before)
{
    const FieldNumbers *errors = &f->errors;
    *near = *before = 0;
    for (int k = 0; pass && k < 4; k++)
        if (field_has(f, FIELD_OWN[pass][k]))
            *near += field_number(errors, field_at(f, channel, sub, FIELD_OWN[pass][k]) + at);
    if (channel == 0)
        return;
    int32_t other = channel - distance;
    *before = 2 * (int64_t)field_number(errors, field_at(f, other, sub, FIELD_CENTRE) + at);
    for (int k = 0; k < 4; k++)
        if (field_has(f, FIELD_OWN[2][k]))
            *before += field_number(errors, field_at(f, other, sub, FIELD_OWN[2][k]) + at);
}

static int32_t field_distance(const FieldWeights *w)
{
    for (int32_t t = 0; t < w->count; t++)
        if (w->taps[t].distance > 0)
            return w->taps[t].distance;
    return 1;
}

/* Levels of small expected errors by the bits of a float, which has them exactly: exponent and
   four bits behind it tell apart all bounds. */
enum { FIELD_SMALL = 1 << 24, FIELD_STEPS = 26 * 16 };

typedef struct {
    uint8_t of[FIELD_LEVELS];       /* what a level becomes */
    uint8_t small[FIELD_STEPS];
} FieldContexts;

static void field_contexts(FieldContexts *c, const uint8_t *of)
{
    memcpy(c->of, of, FIELD_LEVELS);
    for (unsigned k = 0; k < FIELD_STEPS; k++) {
        /* The least whole number of this step; where there is none it is never asked for. */
        int64_t least = (int64_t)(16 + k % 16) << (k / 16), whole = (least + 15) >> 4;
        c->small[k] = of[field_level(whole)];
    }
}

static FieldTerms field_terms_of(const Field *f, int32_t channel, int pass, int sub,
                                 int32_t distance)
{
    FieldTerms t = {{0}, {0}, 0, 0};
    for (int k = 0; pass && k < 4; k++)
        if (field_has(f, FIELD_OWN[pass][k]))
            t.near[t.nears++] = field_at(f, channel, sub, FIELD_OWN[pass][k]);
    if (channel == 0)
        return t;
    for (int k = 0; k < 4; k++)
        if (field_has(f, FIELD_OWN[2][k]))
            t.before[t.befores++] = field_at(f, channel - distance, sub, FIELD_OWN[2][k]);
    t.before[t.befores++] = field_at(f, channel - distance, sub, FIELD_CENTRE);
    return t;
}

/* Small numbers as steps of FieldContexts. */
FIELD_CLONES
static void field_steps(const int32_t *restrict numbers, size_t n, uint16_t *restrict out)
{
    for (size_t i = 0; i < n; i++) {
        float x = (float)(numbers[i] < 1 ? 1 : numbers[i]);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        out[i] = (uint16_t)((bits >> 19) - (127u << 4));
    }
}

/* The contexts of a subplane of small errors. */
static void field_small_levels(const Field *f, FieldTerms t, const FieldWeights *w,
                               const FieldContexts *c, uint8_t *levels)
{
    int32_t expected[FIELD_BLOCK];
    uint16_t steps[FIELD_BLOCK];
    for (size_t at = 0; at < f->inner; at += FIELD_BLOCK) {
        size_t n = f->inner - at < FIELD_BLOCK ? f->inner - at : FIELD_BLOCK;
        for (size_t i = 0; i < n; i++)
            expected[i] = w->spread[0];
        if (f->errors.wide)
            field_expect_32(expected, f->errors.all, &t, w->spread, n);
        else
            field_expect_16(expected, f->errors.all, &t, w->spread, n);
        field_steps(expected, n, steps);
        for (size_t i = 0; i < n; i++)
            levels[at + i] = c->small[steps[i]];
        for (int k = 0; k < t.nears; k++)
            t.near[k] += n;
        for (int k = 0; k < t.befores; k++)
            t.before[k] += n;
    }
}

/* The contexts of the values of a pass, in the order of coding. */
static void field_levels(Field *f, int32_t channel, int pass, const FieldWeights *w,
                         const FieldContexts *c, uint8_t *out)
{
    int32_t distance = field_distance(w);
    int64_t bound = w->spread[0] + (4 * (int64_t)w->spread[1] + 6 * (int64_t)w->spread[2])
                                       * f->errors.most;
    int small = bound < FIELD_SMALL && 6 * f->errors.most < FIELD_SMALL;
    int mapped = small && f->map.sum;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++) {
        int sub = FIELD_SUBS[pass][i];
        if (!field_rows(f, sub) || !field_columns(f, sub))
            continue;
        if (small)
            field_small_levels(f, field_terms_of(f, channel, pass, sub, distance), w, c,
                               f->levels + (mapped ? (size_t)i * f->inner : 0));
        size_t place = 0;
        FieldRow r = field_first(pass);
        while (!mapped && field_next(f, &r)) {
            size_t n = (size_t)r.columns;
            if (r.sub == sub && small)
                memcpy(out + place, f->levels + r.at, n);
            for (size_t k = 0; r.sub == sub && !small && k < n; k++) {
                int64_t near, before;
                field_terms(f, channel, pass, sub, distance, r.at + k, &near, &before);
                out[place + k] = c->of[field_level(w->spread[0] + w->spread[1] * near
                                                   + w->spread[2] * before)];
            }
            place += n;
        }
    }
    const uint8_t *plane = f->levels;
    for (int32_t n = 0; mapped && n < f->count; n++, plane += field_plane(f))
        for (int32_t k = f->map.start[pass]; k < f->map.start[pass + 1]; k++)
            *out++ = plane[f->map.sum[k]];
}

#endif
