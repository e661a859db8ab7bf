/*
 * photo_lift.h: colours that were met are likelier to come again.
 *
 * Pictures that came through another colour space (decoded JPEGs, scans stored as YCC) have few of
 * all colours. For each colour of the three planes this notes how often it was met, and how often
 * the distributions so far expected it: the quotient lifts its probability in the last plane.
 */
#ifndef LICTOR_PHOTO_LIFT_H
#define LICTOR_PHOTO_LIFT_H

#include <stdlib.h>

#include "photo_spread.h"

enum {
    LIFT_DEPTH = 8,             /* most bits of a sample */
    LIFT_VALUES = 1 << LIFT_DEPTH,
    LIFT_PAIRS = LIFT_VALUES * LIFT_VALUES,
    LIFT_PRIOR = 16,            /* met and expected of every colour from the start, of 2^9 */
    LIFT_ONE = 1 << 6,          /* a colour met, in `met` */
    LIFT_MOST = 1 << 16,        /* expected in 1/2^12, then the past is halved */
    LIFT_INVERSES = LIFT_MOST >> 3,
    LIFT_RATE = 6,              /* how slowly trust follows */
    LIFT_LEAST = 200            /* trust, and distrust, of 2^16 */
};

typedef struct {
    uint16_t met[LIFT_VALUES];          /* in 1/2^6 */
    uint16_t expected[LIFT_VALUES];     /* in 1/2^12 */
} LiftRow;                              /* of two values in the first planes */

typedef struct {
    LiftRow *rows;
    size_t count, capacity;
    uint32_t row_of[LIFT_PAIRS];        /* number of the row, and 1; 0: there is none yet */
    uint32_t trust[CONTEXTS / 3];    /* of 2^16: how far to go from the plain distribution */
    uint32_t inverse[LIFT_INVERSES];    /* 2^22 / (expected in 1/2^9 + LIFT_PRIOR) */
} Lift;

static Lift *lift_new(void)
{
    Lift *self = calloc(1, sizeof *self);
    if (self) {
        for (uint32_t i = 0; i < LIFT_INVERSES; i++)
            self->inverse[i] = (1u << 22) / (i + LIFT_PRIOR);
        for (int i = 0; i < CONTEXTS / 3; i++)
            self->trust[i] = 32768;
    }
    return self;
}

static void lift_free(Lift *self)
{
    if (self)
        free(self->rows);
    free(self);
}

/* The row of a pair, or NULL when memory is short. */
static inline LiftRow *lift_row(Lift *self, uint32_t pair)
{
    if (self->row_of[pair] == 0) {
        if (self->count == self->capacity) {
            size_t capacity = self->capacity ? self->capacity * 2 : 64;
            LiftRow *rows = realloc(self->rows, capacity * sizeof *rows);
            if (rows == NULL)
                return NULL;
            self->rows = rows;
            self->capacity = capacity;
        }
        memset(&self->rows[self->count], 0, sizeof *self->rows);
        self->row_of[pair] = (uint32_t)++self->count;
    }
    return &self->rows[self->row_of[pair] - 1];
}

typedef struct {
    int from, to;               /* buckets that can be lifted */
    uint32_t plain[EDGES];      /* mixture_below() */
    uint32_t lifted[EDGES];     /* the same with the lift */
    uint32_t bounds[EDGES];     /* of both, as they are trusted */
    uint32_t *trust;
} Lifted;

/* `row` is moved so that bucket 0 is value 0 of it: only from … to - 1 are touched. */
static inline void lift_mixture(Lift *self, const LiftRow *row, int offset,
                                const Mixture *m, int context, Lifted *l)
{
    l->from = m->first > 0 ? m->first : 0;
    l->to = m->last < WINDOW ? m->last + 1 : WINDOW;
    uint64_t lifted[WINDOW], sum = 0;
    for (int i = l->from; i <= l->to; i++)
        l->plain[i] = mixture_below(m, i);
    for (int i = l->from; i < l->to; i++) {
        uint64_t met = ((uint32_t)row->met[i + offset] << 3) + LIFT_PRIOR;
        lifted[i] = (l->plain[i + 1] - l->plain[i]) * met *
                        self->inverse[row->expected[i + offset] >> 3] >> 18;
        sum += lifted[i];
    }
    uint32_t start = l->plain[l->from], all = l->plain[l->to] - start;
    uint64_t factor = ((uint64_t)(all - (uint32_t)(l->to - l->from)) << 32) / (sum + 1);
    uint64_t part = 0;
    l->trust = &self->trust[context / 3];
    uint32_t trust = *l->trust;
    for (int i = l->from; i < l->to; i++) {
        l->lifted[i] = start + (uint32_t)(i - l->from) + (uint32_t)(part * factor >> 32);
        part += lifted[i];
    }
    l->lifted[l->to] = l->plain[l->to];
    for (int i = l->from; i <= l->to; i++)
        l->bounds[i] = (uint32_t)(((uint64_t)l->plain[i] * (65536 - trust) + (uint64_t)l->lifted[i] * trust) >> 16);
}

/* As mixture_code(), with the lift. */
static inline int lift_code(const Lifted *l, const Mixture *m, const Coder *c, int32_t value)
{
    int at;
    if (c->encoder) {
        at = mixture_bucket(m, value);
    } else {
        uint32_t slot = adaptive_slot(c->decoder);
        if (slot < l->bounds[l->from])
            at = -1;
        else if (slot >= l->bounds[l->to])
            at = WINDOW;
        else
            for (at = l->from; slot >= l->bounds[at + 1]; at++)
                ;
    }
    code_interval(c, at < 0 ? 0 : l->bounds[at == WINDOW ? l->to : at],
                  at < 0         ? l->bounds[l->from]
                  : at == WINDOW ? ADAPTIVE_TOTAL
                                 : l->bounds[at + 1]);
    return at;
}

/* Notes that the distribution was asked, and that bucket `at` came. */
static inline void lift_learn(LiftRow *row, int offset, const Lifted *l, int at)
{
    for (int i = l->from; i < l->to; i++) {
        uint32_t expected = row->expected[i + offset] + ((l->plain[i + 1] - l->plain[i] + 8) >> 4);
        if (expected >= LIFT_MOST) {
            expected >>= 1;
            row->met[i + offset] >>= 1;
        }
        row->expected[i + offset] = (uint16_t)expected;
    }
    if (at >= l->from && at < l->to) {
        uint32_t with = l->lifted[at + 1] - l->lifted[at], without = l->plain[at + 1] - l->plain[at];
        uint64_t yes = (uint64_t)with * *l->trust, no = (uint64_t)without * (65536 - *l->trust);
        int32_t move = ((int32_t)((yes << 16) / (yes + no)) - (int32_t)*l->trust) >> LIFT_RATE;
        int32_t trust = (int32_t)*l->trust + move;
        *l->trust = (uint32_t)(trust < LIFT_LEAST ? LIFT_LEAST
                                : trust > 65536 - LIFT_LEAST ? 65536 - LIFT_LEAST : trust);
        uint32_t met = row->met[at + offset] + LIFT_ONE;
        row->met[at + offset] = (uint16_t)(met > 0xFFFF ? 0xFFFF : met);
    }
}

#endif
