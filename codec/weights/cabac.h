/*
 * cabac.h: levels of weights as binary decisions, each by a context that adapts (WEIGHTS.md,
 * "Cabac"), and a choice of levels that minds what they cost. _cabac.c wraps it; slow_cabac.py is
 * its twin in Python.
 *
 * The decisions and their contexts: S. Wiedemann et al., "DeepCABAC: A universal compression
 * algorithm for deep neural networks", IEEE JSTSP 14(4), 2020, section IV. Two rates of adaptation
 * for each context as in ISO/IEC 15938-17. The coder beneath is entropy/adaptive.h.
 */
#ifndef LICTOR_CABAC_H
#define LICTOR_CABAC_H

#include <math.h>

#include "../../entropy/adaptive.h"

enum {
    CABAC_FLAGS = 10,                   /* "is it larger than 1 … 10?" */
    CABAC_PREFIX = 24,                  /* decisions of the remainder's logarithm */
    CABAC_MOST = 1 << CABAC_PREFIX,     /* the largest magnitude of a level */
    CABAC_SIGN = 3,                     /* where contexts of signs begin, and so on */
    CABAC_LARGER = 6,
    CABAC_LOG = CABAC_LARGER + 2 * CABAC_FLAGS,
    CABAC_CONTEXTS = CABAC_LOG + CABAC_PREFIX,
    CABAC_DECISIONS = 2 + CABAC_FLAGS + CABAC_PREFIX,
    CABAC_FAST = 4, CABAC_SLOW = 7,     /* logarithms of how many symbols a context remembers */
    CABAC_SURE = 32,                    /* of 2^16: no decision is taken to be rarer */
    CABAC_COSTS = 4096
};

typedef struct {
    uint16_t fast, slow;                /* how likely a 1 is, of 2^16 */
} CabacContext;

typedef struct {
    uint8_t context, bit;
} CabacDecision;

static void cabac_reset(CabacContext *contexts)
{
    for (int i = 0; i < CABAC_CONTEXTS; i++)
        contexts[i].fast = contexts[i].slow = 1 << 15;
}

/* The interval of a 1, from 0 on. */
static inline uint32_t cabac_one(const CabacContext *c)
{
    uint32_t one = ((uint32_t)c->fast + c->slow) >> 1;
    return one < CABAC_SURE                    ? CABAC_SURE
           : one > ADAPTIVE_TOTAL - CABAC_SURE ? ADAPTIVE_TOTAL - CABAC_SURE
                                               : one;
}

static inline void cabac_adapt(CabacContext *c, int bit)
{
    if (bit) {
        c->fast = (uint16_t)(c->fast + ((65535 - c->fast) >> CABAC_FAST));
        c->slow = (uint16_t)(c->slow + ((65535 - c->slow) >> CABAC_SLOW));
    } else {
        c->fast = (uint16_t)(c->fast - (c->fast >> CABAC_FAST));
        c->slow = (uint16_t)(c->slow - (c->slow >> CABAC_SLOW));
    }
}

/* 0, 1 or 2: nothing, more, or less than nothing. */
static inline int cabac_kind(int32_t level)
{
    return level > 0 ? 1 : level < 0 ? 2 : 0;
}

static inline uint32_t cabac_size(int32_t level)
{
    return level < 0 ? (uint32_t)-level : (uint32_t)level;
}

static inline int cabac_log(uint32_t value)
{
    int log = 0;
    while (value >> 1) {
        value >>= 1;
        log++;
    }
    return log;
}

/* The decisions of a level, whose number is given back. before: the kind of the level before it.
   *raw bits of its remainder follow as they are. */
static int cabac_decisions(int before, int32_t level, CabacDecision *d, int *raw)
{
    int count = 0, negative = level < 0;
    uint32_t size = cabac_size(level);
    *raw = 0;
    d[count++] = (CabacDecision){(uint8_t)before, level != 0};
    if (level == 0)
        return count;
    d[count++] = (CabacDecision){(uint8_t)(CABAC_SIGN + before), (uint8_t)negative};
    for (uint32_t i = 0; i < CABAC_FLAGS; i++) {
        int larger = size > i + 1;
        d[count++] = (CabacDecision){
            (uint8_t)(CABAC_LARGER + 2 * (int)i + negative), (uint8_t)larger};
        if (!larger)
            return count;
    }
    *raw = cabac_log(size - CABAC_FLAGS);
    for (int i = 0; i < CABAC_PREFIX; i++) {
        d[count++] = (CabacDecision){(uint8_t)(CABAC_LOG + i), i < *raw};
        if (i >= *raw)
            break;
    }
    return count;
}

static void cabac_put_raw(AdaptiveEncoder *encoder, uint32_t value, int bits)
{
    for (int done = 0; done < bits; done += 12) {
        int some = bits - done < 12 ? bits - done : 12;
        adaptive_put_bits(encoder, value >> done & ((1u << some) - 1), some);
    }
}

static uint32_t cabac_take_raw(AdaptiveDecoder *decoder, int bits)
{
    uint32_t value = 0;
    for (int done = 0; done < bits; done += 12)
        value |= adaptive_take_bits(decoder, bits - done < 12 ? bits - done : 12) << done;
    return value;
}

/* The stream of levels, none beyond CABAC_MOST, to be freed; NULL when memory is short.
   columns: values of a row. at: where in its row the first is. */
static uint8_t *cabac_encode(const int32_t *levels, size_t count, size_t columns, size_t at,
                             size_t *length)
{
    CabacContext contexts[CABAC_CONTEXTS];
    CabacDecision d[CABAC_DECISIONS];
    AdaptiveEncoder encoder = {0};
    int before = 0, raw;
    cabac_reset(contexts);
    for (size_t i = 0; i < count; i++, at++) {
        if (at == columns)
            at = 0;
        int number = cabac_decisions(at ? before : 0, levels[i], d, &raw);
        for (int j = 0; j < number; j++) {
            CabacContext *c = &contexts[d[j].context];
            uint32_t one = cabac_one(c);
            adaptive_put(&encoder, d[j].bit ? 0 : one, d[j].bit ? one : ADAPTIVE_TOTAL - one);
            cabac_adapt(c, d[j].bit);
        }
        cabac_put_raw(&encoder, cabac_size(levels[i]) - CABAC_FLAGS - (1u << raw), raw);
        before = cabac_kind(levels[i]);
    }
    uint8_t *stream = adaptive_finish(&encoder, length);
    adaptive_encoder_free(&encoder);
    return stream;
}

static inline int cabac_take(AdaptiveDecoder *decoder, CabacContext *c)
{
    uint32_t one = cabac_one(c);
    int bit = adaptive_slot(decoder) < one;
    adaptive_take(decoder, bit ? 0 : one, bit ? one : ADAPTIVE_TOTAL - one);
    cabac_adapt(c, bit);
    return bit;
}

static int32_t cabac_level(AdaptiveDecoder *decoder, CabacContext *contexts, int before)
{
    if (!cabac_take(decoder, &contexts[before]))
        return 0;
    int negative = cabac_take(decoder, &contexts[CABAC_SIGN + before]), raw = 0;
    uint32_t size = 1;
    while (size <= CABAC_FLAGS
           && cabac_take(decoder, &contexts[CABAC_LARGER + 2 * (int)(size - 1) + negative]))
        size++;
    if (size > CABAC_FLAGS) {
        while (raw < CABAC_PREFIX && cabac_take(decoder, &contexts[CABAC_LOG + raw]))
            raw++;
        size = CABAC_FLAGS + (1u << raw) + cabac_take_raw(decoder, raw);
    }
    return negative ? -(int32_t)size : (int32_t)size;
}

/* What cabac_encode was given, into `levels`; -1 if the stream is damaged. */
static int cabac_decode(const uint8_t *stream, size_t length, size_t count, size_t columns,
                        size_t at, int32_t *levels)
{
    CabacContext contexts[CABAC_CONTEXTS];
    AdaptiveDecoder decoder;
    int before = 0;
    cabac_reset(contexts);
    adaptive_start(&decoder, stream, length);
    for (size_t i = 0; i < count && !decoder.failed; i++, at++) {
        if (at == columns)
            at = 0;
        levels[i] = cabac_level(&decoder, contexts, at ? before : 0);
        before = cabac_kind(levels[i]);
    }
    return adaptive_ended(&decoder) ? 0 : -1;
}

/* ---- which level: an encoder's choice, so that floats may decide */

static float cabac_cost(const CabacContext *contexts, const float *costs, int before, int32_t level)
{
    CabacDecision d[CABAC_DECISIONS];
    int raw, number = cabac_decisions(before, level, d, &raw);
    float bits = (float)raw;
    for (int j = 0; j < number; j++) {
        uint32_t one = cabac_one(&contexts[d[j].context]);
        bits += costs[(d[j].bit ? one : ADAPTIVE_TOTAL - one) >> 4];
    }
    return bits;
}

/* Levels of values in steps: the least of the error in half steps, squared, and slope · bits, each
   value after the other. Tried: the nearest, the two next towards 0, and 0. */
static void cabac_choose(const float *x, size_t count, size_t columns, float slope, int32_t *levels)
{
    CabacContext contexts[CABAC_CONTEXTS];
    CabacDecision d[CABAC_DECISIONS];
    float costs[CABAC_COSTS];
    int before = 0, raw;
    cabac_reset(contexts);
    for (int i = 0; i < CABAC_COSTS; i++)
        costs[i] = -log2f(((float)i + 0.5f) / CABAC_COSTS);
    for (size_t i = 0; i < count; i++) {
        before = i % columns ? before : 0;
        float size = fabsf(x[i]), least = INFINITY;
        size = size < CABAC_MOST / 2 ? size : CABAC_MOST / 2;
        int32_t near = (int32_t)floorf(size + 0.5f), best = 0;
        for (int j = 0; j < 4; j++) {
            int32_t level = j < 3 ? near - j : 0;
            if (level < 0 || (j == 3 && near < 3))
                continue;
            int32_t own = x[i] < 0 ? -level : level;
            float off = 2 * (size - (float)level);
            float spent = off * off + slope * cabac_cost(contexts, costs, before, own);
            if (spent < least) {
                least = spent;
                best = own;
            }
        }
        int number = cabac_decisions(before, best, d, &raw);
        for (int j = 0; j < number; j++)
            cabac_adapt(&contexts[d[j].context], d[j].bit);
        levels[i] = best;
        before = cabac_kind(best);
    }
}

#endif
