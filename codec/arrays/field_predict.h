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

FIELD_CLONES
static void field_add(int32_t *restrict total, const int32_t *restrict from, int32_t weight,
                      size_t n)
{
    for (size_t i = 0; i < n; i++)
        total[i] += weight * from[i];
}

FIELD_CLONES
static void field_add_four(int32_t *restrict total, const int32_t *const *from,
                           const int32_t *weights, size_t n)
{
    const int32_t *a = from[0], *b = from[1], *c = from[2], *d = from[3];
    int32_t wa = weights[0], wb = weights[1], wc = weights[2], wd = weights[3];
    for (size_t i = 0; i < n; i++)
        total[i] += wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i];
}

/* Sums of one subplane with 32 bits. The caller has seen that none leaves them. */
static void field_sum(Field *f, int32_t channel, int sub, const FieldWeights *w)
{
    const int32_t *from[FIELD_MAX_TAPS];
    int32_t weights[FIELD_MAX_TAPS];
    for (int32_t t = 0; t < w->count; t++) {
        from[t] = field_at(f, f->values, channel - w->taps[t].distance, sub, w->taps[t].place);
        weights[t] = w->taps[t].weight;
    }
    for (size_t at = 0; at < f->inner; at += FIELD_BLOCK) {
        size_t n = f->inner - at < FIELD_BLOCK ? f->inner - at : FIELD_BLOCK;
        int32_t t = 0, *total = f->total + at;
        for (size_t i = 0; i < n; i++)
            total[i] = w->bias;
        for (; t + 4 <= w->count; t += 4) {
            field_add_four(total, from + t, weights + t, n);
            for (int k = 0; k < 4; k++)
                from[t + k] += n;
        }
        for (; t < w->count; t++) {
            field_add(total, from[t], weights[t], n);
            from[t] += n;
        }
    }
}

/* Likewise with 64 bits, which always do: 65 terms below 2^42, and a bias. */
static void field_sum_wide(Field *f, int32_t channel, int sub, const FieldWeights *w)
{
    for (size_t i = 0; i < f->inner; i++)
        f->wide[i] = w->bias;
    for (int32_t t = 0; t < w->count; t++) {
        const FieldTap *tap = w->taps + t;
        const int32_t *from = field_at(f, f->values, channel - tap->distance, sub, tap->place);
        for (size_t i = 0; i < f->inner; i++)
            f->wide[i] += (int64_t)tap->weight * from[i];
    }
}

/* Whether sums may leave what 32 bits can round. */
static int field_is_wide(const Field *f, const FieldWeights *w)
{
    int64_t bound = w->bias < 0 ? -(int64_t)w->bias : w->bias;
    for (int32_t t = 0; t < w->count; t++)
        bound += (w->taps[t].weight < 0 ? -(int64_t)w->taps[t].weight : w->taps[t].weight)
                 * f->most;
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
        field_sum(f, channel, sub, w);
        size_t place = 0;
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            if (r.sub == sub)
                field_copy(out + place, f->total + r.at, (size_t)r.columns);
            place += (size_t)r.columns;
        }
    }
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
    *near = *before = 0;
    for (int k = 0; pass && k < 4; k++)
        if (field_has(f, FIELD_OWN[pass][k]))
            *near += field_at(f, f->errors, channel, sub, FIELD_OWN[pass][k])[at];
    if (channel == 0)
        return;
    *before = 2 * (int64_t)field_at(f, f->errors, channel - distance, sub, FIELD_CENTRE)[at];
    for (int k = 0; k < 4; k++)
        if (field_has(f, FIELD_OWN[2][k]))
            *before += field_at(f, f->errors, channel - distance, sub, FIELD_OWN[2][k])[at];
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

/* Where the two sums of errors of a subplane are taken from; field_terms says what they are. */
typedef struct {
    const int32_t *near[4], *before[4], *centre;
    int nears, befores;
} FieldTerms;

static FieldTerms field_terms_of(const Field *f, int32_t channel, int pass, int sub,
                                 int32_t distance)
{
    FieldTerms t = {{0}, {0}, NULL, 0, 0};
    for (int k = 0; pass && k < 4; k++)
        if (field_has(f, FIELD_OWN[pass][k]))
            t.near[t.nears++] = field_at(f, f->errors, channel, sub, FIELD_OWN[pass][k]);
    if (channel == 0)
        return t;
    t.centre = field_at(f, f->errors, channel - distance, sub, FIELD_CENTRE);
    for (int k = 0; k < 4; k++)
        if (field_has(f, FIELD_OWN[2][k]))
            t.before[t.befores++] =
                field_at(f, f->errors, channel - distance, sub, FIELD_OWN[2][k]);
    return t;
}

/* Small expected errors of a part of a subplane, from `at` on, as steps of FieldContexts. */
FIELD_CLONES
static void field_steps(const FieldTerms *t, const int32_t *spread, size_t at, size_t n,
                        uint16_t *restrict out)
{
    int32_t sum[FIELD_BLOCK];
    int32_t s0 = spread[0], s1 = spread[1], s2 = spread[2];
    for (size_t i = 0; i < n; i++)
        sum[i] = s0;
    if (t->nears == 4) {
        const int32_t *a = t->near[0] + at, *b = t->near[1] + at, *c = t->near[2] + at,
                      *d = t->near[3] + at;
        for (size_t i = 0; i < n; i++)
            sum[i] += s1 * (a[i] + b[i] + c[i] + d[i]);
    } else {
        for (int k = 0; k < t->nears; k++)
            for (size_t i = 0; i < n; i++)
                sum[i] += s1 * t->near[k][at + i];
    }
    if (t->befores == 4) {
        const int32_t *a = t->before[0] + at, *b = t->before[1] + at, *c = t->before[2] + at,
                      *d = t->before[3] + at, *e = t->centre + at;
        for (size_t i = 0; i < n; i++)
            sum[i] += s2 * (a[i] + b[i] + c[i] + d[i] + 2 * e[i]);
    } else if (t->centre) {
        for (size_t i = 0; i < n; i++)
            sum[i] += 2 * s2 * t->centre[at + i];
        for (int k = 0; k < t->befores; k++)
            for (size_t i = 0; i < n; i++)
                sum[i] += s2 * t->before[k][at + i];
    }
    for (size_t i = 0; i < n; i++) {
        float x = (float)(sum[i] < 1 ? 1 : sum[i]);
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        out[i] = (uint16_t)((bits >> 19) - (127u << 4));
    }
}

/* The contexts of a subplane of small errors, in the place of `spread`. */
static const uint8_t *field_small_levels(Field *f, const FieldTerms *t, const FieldWeights *w,
                                         const FieldContexts *c)
{
    uint8_t *out = (uint8_t *)f->spread;
    uint16_t steps[FIELD_BLOCK];
    for (size_t at = 0; at < f->inner; at += FIELD_BLOCK) {
        size_t n = f->inner - at < FIELD_BLOCK ? f->inner - at : FIELD_BLOCK;
        field_steps(t, w->spread, at, n, steps);
        for (size_t i = 0; i < n; i++)
            out[at + i] = c->small[steps[i]];
    }
    return out;
}

/* The contexts of the values of a pass, in the order of coding. */
static void field_levels(Field *f, int32_t channel, int pass, const FieldWeights *w,
                         const FieldContexts *c, uint8_t *out)
{
    int32_t distance = field_distance(w);
    int64_t bound = w->spread[0] + (4 * (int64_t)w->spread[1] + 6 * (int64_t)w->spread[2])
                                       * f->most_error;
    int small = bound < FIELD_SMALL && 6 * f->most_error < FIELD_SMALL;
    for (int i = 0; i < 2 && FIELD_SUBS[pass][i] >= 0; i++) {
        int sub = FIELD_SUBS[pass][i];
        const uint8_t *levels = NULL;
        if (!field_rows(f, sub) || !field_columns(f, sub))
            continue;
        if (small) {
            FieldTerms terms = field_terms_of(f, channel, pass, sub, distance);
            levels = field_small_levels(f, &terms, w, c);
        }
        size_t place = 0;
        FieldRow r = field_first(pass);
        while (field_next(f, &r)) {
            size_t n = (size_t)r.columns;
            if (r.sub == sub && small)
                memcpy(out + place, levels + r.at, n);
            for (size_t k = 0; r.sub == sub && !small && k < n; k++) {
                int64_t near, before;
                field_terms(f, channel, pass, sub, distance, r.at + k, &near, &before);
                out[place + k] = c->of[field_level(w->spread[0] + w->spread[1] * near
                                                   + w->spread[2] * before)];
            }
            place += n;
        }
    }
}

#endif
