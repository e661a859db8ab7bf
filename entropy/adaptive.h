/*
 * adaptive.h: rANS for models that change with every symbol.
 *
 * rans.h codes with tables that stand still; here each symbol brings its own interval
 * [start, start + freq) of 2^16. The state has 64 bits and the words 32, so that 16-bit
 * frequencies cost nothing to rounding. Symbols are decoded in the order in which they were put;
 * rANS is last in, first out, so the encoder notes intervals and codes them backwards at the end.
 *
 * A stream: the state, 8 bytes, then words in the order of reading; all little-endian. The state
 * at the end is 2^32, and no byte is left. rANS: J. Duda, 2013 (arXiv:1311.2540), section 3.
 */
#ifndef LICTOR_ADAPTIVE_H
#define LICTOR_ADAPTIVE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

enum { ADAPTIVE_BITS = 16, ADAPTIVE_TOTAL = 1 << ADAPTIVE_BITS, ADAPTIVE_STATE_BYTES = 8 };
#define ADAPTIVE_LOW ((uint64_t)1 << 32)    /* a state is never below this between symbols */

typedef struct {
    uint32_t *intervals;        /* start << 16 | freq, in the order of putting */
    size_t count, capacity;
    int no_memory;
} AdaptiveEncoder;

static void adaptive_encoder_free(AdaptiveEncoder *self)
{
    free(self->intervals);
    self->intervals = NULL;
}

static int adaptive_grow(AdaptiveEncoder *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : 1024;
    uint32_t *intervals = self->no_memory || capacity > SIZE_MAX / sizeof *intervals
                              ? NULL
                              : realloc(self->intervals, capacity * sizeof *intervals);
    if (intervals == NULL) {
        self->no_memory = 1;
        return -1;
    }
    self->intervals = intervals;
    self->capacity = capacity;
    return 0;
}

/* Notes down a symbol with `freq` of 2^16; one that has them all takes no bits. */
static inline void adaptive_put(AdaptiveEncoder *self, uint32_t start, uint32_t freq)
{
    if (freq == ADAPTIVE_TOTAL || (self->count == self->capacity && adaptive_grow(self)))
        return;
    self->intervals[self->count++] = start << 16 | freq;
}

/* Notes down `bits` (0 to 15) bits, all values of which are as likely. */
static inline void adaptive_put_bits(AdaptiveEncoder *self, uint32_t value, int bits)
{
    adaptive_put(self, value << (ADAPTIVE_BITS - bits), ADAPTIVE_TOTAL >> bits);
}

/* The stream, of *length bytes, to be freed by the caller; NULL when memory is short. */
static uint8_t *adaptive_finish(const AdaptiveEncoder *self, size_t *length)
{
    size_t room = ADAPTIVE_STATE_BYTES + 4 * (self->count / 2 + 1);  /* 16 bits each at most */
    uint8_t *bytes = self->no_memory ? NULL : malloc(room);
    if (bytes == NULL)
        return NULL;
    size_t at = room;           /* from the end to the front */
    uint64_t state = ADAPTIVE_LOW;
    for (size_t i = self->count; i-- > 0;) {
        uint32_t start = self->intervals[i] >> 16, freq = self->intervals[i] & 0xFFFF;
        if (state >= (uint64_t)freq << 48) {
            for (int shift = 24; shift >= 0; shift -= 8)
                bytes[--at] = (uint8_t)(state >> shift);
            state >>= 32;
        }
        state = (state / freq << ADAPTIVE_BITS) + start + state % freq;
    }
    for (int i = 0; i < ADAPTIVE_STATE_BYTES; i++)
        bytes[i] = (uint8_t)(state >> 8 * i);
    *length = room - at + ADAPTIVE_STATE_BYTES;
    for (size_t i = ADAPTIVE_STATE_BYTES; i < *length; i++)
        bytes[i] = bytes[at++];
    return bytes;
}

typedef struct {
    const uint8_t *next, *end;
    uint64_t state;
    int failed;                 /* whether a word was missing; zeros are read from then on */
} AdaptiveDecoder;

static void adaptive_start(AdaptiveDecoder *self, const uint8_t *bytes, size_t length)
{
    self->failed = length < ADAPTIVE_STATE_BYTES;
    self->state = self->failed ? ADAPTIVE_LOW : 0;
    for (int i = 0; i < ADAPTIVE_STATE_BYTES && !self->failed; i++)
        self->state |= (uint64_t)bytes[i] << 8 * i;
    self->next = self->failed ? bytes + length : bytes + ADAPTIVE_STATE_BYTES;
    self->end = bytes + length;
    if (self->state < ADAPTIVE_LOW)
        self->failed = 1;
}

/* The number, below 2^16, that lies in the interval of the next symbol. */
static inline uint32_t adaptive_slot(const AdaptiveDecoder *self)
{
    return (uint32_t)self->state & (ADAPTIVE_TOTAL - 1);
}

/* Leaves the symbol whose interval the slot is in behind. */
static inline void adaptive_take(AdaptiveDecoder *self, uint32_t start, uint32_t freq)
{
    uint64_t state = freq * (self->state >> ADAPTIVE_BITS) + adaptive_slot(self) - start;
    if (state < ADAPTIVE_LOW) {
        uint64_t word = 0;
        if (self->end - self->next >= 4) {
            for (int i = 0; i < 4; i++)
                word |= (uint64_t)self->next[i] << 8 * i;
            self->next += 4;
        } else {
            self->failed = 1;
        }
        state = state << 32 | word;
    }
    self->state = state;
}

static inline uint32_t adaptive_take_bits(AdaptiveDecoder *self, int bits)
{
    uint32_t value = adaptive_slot(self) >> (ADAPTIVE_BITS - bits);
    adaptive_take(self, value << (ADAPTIVE_BITS - bits), ADAPTIVE_TOTAL >> bits);
    return value;
}

/* Whether the stream ended as an encoder ends it. */
static int adaptive_ended(const AdaptiveDecoder *self)
{
    return !self->failed && self->state == ADAPTIVE_LOW && self->next == self->end;
}

#endif
