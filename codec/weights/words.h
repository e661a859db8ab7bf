/*
 * words.h: numbers of tensors cut into what the entropy coder takes and what goes beside it, and
 * put together again (WEIGHTS.md, "Planes"). _weights.c wraps it, tests/fuzz drives it alone;
 * slow.py is its twin in numpy.
 *
 * A word is the bytes of one number, little-endian. Its `raw` low bits are the rest, the bits above
 * them the top, which becomes a symbol. With `sign` the word's highest bit is the highest of the
 * rest instead: a float's sign says nothing of its size. All loops are plain, so that compilers
 * make vectors of them; memory is the caller's, and every size is in the arguments.
 */
#ifndef LICTOR_WORDS_H
#define LICTOR_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WORDS_SWAP 1
#else
#define WORDS_SWAP 0
#endif

enum { WORDS_MOST_TOP = 16 };   /* bits of the top: symbols fit an escape of 16 bits */

typedef struct {
    int item;                   /* bytes of a word: 1, 2, 4 or 8 */
    int raw;                    /* bits of the rest */
    int sign;                   /* whether the highest bit goes with the rest */
    int low;                    /* the top that is symbol 1, at least 1 */
} WordLayout;

static int words_layout_is_valid(const WordLayout *l)
{
    int bits = 8 * l->item;
    return (l->item == 1 || l->item == 2 || l->item == 4 || l->item == 8) && l->raw >= l->sign
           && l->raw < bits && bits - l->raw <= WORDS_MOST_TOP && (l->sign == 0 || l->sign == 1)
           && l->low >= 1 && l->low < 1 << WORDS_MOST_TOP;
}

static uint64_t words_load(const uint8_t *p, int item)
{
    uint64_t v = 0;
    for (int i = 0; i < item; i++)
        v |= (uint64_t)p[i] << 8 * i;
    return v;
}

static void words_store(uint8_t *p, int item, uint64_t v)
{
    for (int i = 0; i < item; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

/* 0 stays 0; from `low` on tops are 1, 2, ...; those between are -1, -2, ... below `low`. */
static inline int32_t words_symbol(int32_t top, int32_t low)
{
    int32_t d = top - low;
    d += d >= 0;
    return top ? d : 0;
}

static inline uint32_t words_top(int32_t symbol, int32_t low)
{
    uint32_t d = (uint32_t)symbol + (uint32_t)low - (symbol > 0);
    return symbol ? d : 0;
}

/* planes: (raw + 7) / 8 rows of `count` bytes, the lowest bits of the rest first. */
#define WORDS_DEFINE(NAME, TYPE, ITEM)                                                             \
    static inline TYPE load_##NAME(const uint8_t *p)                                               \
    {                                                                                              \
        TYPE v;                                                                                    \
        if (WORDS_SWAP)                                                                            \
            return (TYPE)words_load(p, ITEM);                                                      \
        memcpy(&v, p, sizeof v);                                                                   \
        return v;                                                                                  \
    }                                                                                              \
    static inline void store_##NAME(uint8_t *p, TYPE v)                                            \
    {                                                                                              \
        if (WORDS_SWAP)                                                                            \
            words_store(p, ITEM, v);                                                               \
        else                                                                                       \
            memcpy(p, &v, sizeof v);                                                               \
    }                                                                                              \
    static void split_##NAME(const WordLayout *l, const uint8_t *restrict words, size_t count,     \
                             int32_t *restrict symbols, uint8_t *restrict planes)                  \
    {                                                                                              \
        const int own = l->raw - l->sign, back = 8 * ITEM - 1 - own;                               \
        const TYPE sign = l->sign ? (TYPE)((TYPE)1 << (8 * ITEM - 1)) : 0;                         \
        const TYPE below = (TYPE)(((TYPE)1 << own) - 1);                                           \
        const int32_t low = l->low;                                                                \
        for (size_t i = 0; i < count; i++) {                                                       \
            TYPE v = load_##NAME(words + i * ITEM);                                                \
            symbols[i] = words_symbol((int32_t)((TYPE)(v & (TYPE)~sign) >> own), low);             \
        }                                                                                          \
        for (int shift = 0; shift < l->raw; shift += 8, planes += count)                           \
            for (size_t i = 0; i < count; i++) {                                                   \
                TYPE v = load_##NAME(words + i * ITEM);                                            \
                TYPE rest = (TYPE)((v & below) | (TYPE)(v & sign) >> back);                        \
                planes[i] = (uint8_t)(rest >> shift);                                              \
            }                                                                                      \
    }                                                                                              \
    static void join_##NAME(const WordLayout *l, const int32_t *restrict symbols,                  \
                            const uint8_t *restrict planes, size_t count,                          \
                            uint8_t *restrict words)                                               \
    {                                                                                              \
        const int own = l->raw - l->sign, back = 8 * ITEM - 1 - own;                               \
        const TYPE sign = l->sign ? (TYPE)((TYPE)1 << own) : 0;                                    \
        const TYPE below = (TYPE)(((TYPE)1 << own) - 1);                                           \
        const uint32_t tops = ((uint32_t)1 << (8 * ITEM - l->raw)) - 1;                            \
        const int32_t low = l->low;                                                                \
        if (l->raw)                                                                                \
            for (size_t i = 0; i < count; i++) {                                                   \
                TYPE rest = planes[i], top = (TYPE)(words_top(symbols[i], low) & tops);             \
                TYPE v = (TYPE)((TYPE)(top << own) | (rest & below) | (TYPE)(rest & sign) << back);\
                store_##NAME(words + i * ITEM, v);                                                 \
            }                                                                                      \
        else                                                                                       \
            for (size_t i = 0; i < count; i++)                                                     \
                store_##NAME(words + i * ITEM, (TYPE)(words_top(symbols[i], low) & tops));         \
        for (int shift = 8; shift < l->raw; shift += 8) {                                          \
            planes += count;                                                                       \
            for (size_t i = 0; i < count; i++) {                                                   \
                TYPE rest = (TYPE)((TYPE)planes[i] << shift);                                      \
                TYPE v = load_##NAME(words + i * ITEM);                                            \
                v = (TYPE)(v | (rest & below) | (TYPE)(rest & sign) << back);                      \
                store_##NAME(words + i * ITEM, v);                                                 \
            }                                                                                      \
        }                                                                                          \
    }

WORDS_DEFINE(u8, uint8_t, 1)
WORDS_DEFINE(u16, uint16_t, 2)
WORDS_DEFINE(u32, uint32_t, 4)
WORDS_DEFINE(u64, uint64_t, 8)

static void words_split(const WordLayout *l, const uint8_t *words, size_t count, int32_t *symbols,
                        uint8_t *planes)
{
    switch (l->item) {
    case 1: split_u8(l, words, count, symbols, planes); break;
    case 2: split_u16(l, words, count, symbols, planes); break;
    case 4: split_u32(l, words, count, symbols, planes); break;
    default: split_u64(l, words, count, symbols, planes);
    }
}

static void words_join(const WordLayout *l, const int32_t *symbols, const uint8_t *planes,
                       size_t count, uint8_t *words)
{
    switch (l->item) {
    case 1: join_u8(l, symbols, planes, count, words); break;
    case 2: join_u16(l, symbols, planes, count, words); break;
    case 4: join_u32(l, symbols, planes, count, words); break;
    default: join_u64(l, symbols, planes, count, words);
    }
}

/* ------------------------------------------------- bytes of fewer than 8 bits */

/* Bytes that `count` fields of `width` bits take: eight of them are `width` bytes. */
static size_t words_packed(size_t count, int width)
{
    return (count + 7) / 8 * (size_t)width;
}

/* Eight bytes as a number, the first lowest, with their `width` low bits close together. */
static inline uint64_t words_fold(uint64_t x, int width)
{
    const uint64_t fields = 0x0101010101010101u * (uint64_t)((1 << width) - 1);
    x &= fields;
    x = (x & 0x00FF00FF00FF00FFu) | (x >> 8 & 0x00FF00FF00FF00FFu) << width;
    x = (x & 0x0000FFFF0000FFFFu) | (x >> 16 & 0x0000FFFF0000FFFFu) << 2 * width;
    return (x & 0x00000000FFFFFFFFu) | x >> 32 << 4 * width;
}

static inline uint64_t words_unfold(uint64_t x, int width)
{
    const uint64_t one = ((uint64_t)1 << width) - 1, two = ((uint64_t)1 << 2 * width) - 1;
    const uint64_t four = ((uint64_t)1 << 4 * width) - 1;
    x = (x & four) | (x >> 4 * width & four) << 32;
    x = (x & (two | two << 32)) | (x >> 2 * width & (two | two << 32)) << 16;
    const uint64_t ones = one * 0x0001000100010001u;
    return (x & ones) | (x >> width & ones) << 8;
}

/* packed: words_packed(count, width) bytes; the fields beyond the last are 0. width: 1 to 7. */
static void words_pack(const uint8_t *bytes, size_t count, int width, uint8_t *packed)
{
    const size_t whole = count / 8;
    for (size_t i = 0; i < whole; i++, packed += width)
        words_store(packed, width, words_fold(load_u64(bytes + 8 * i), width));
    if (count % 8) {
        uint8_t last[8] = {0};
        memcpy(last, bytes + 8 * whole, count % 8);
        words_store(packed, width, words_fold(load_u64(last), width));
    }
}

static void words_unpack(const uint8_t *packed, size_t count, int width, uint8_t *bytes)
{
    const size_t whole = count / 8, size = words_packed(count, width);
    size_t i = 0;
    for (; i < whole && i * (size_t)width + 8 <= size; i++)
        store_u64(bytes + 8 * i, words_unfold(load_u64(packed + i * (size_t)width), width));
    for (; i < whole; i++)
        store_u64(bytes + 8 * i,
                  words_unfold(words_load(packed + i * (size_t)width, width), width));
    if (count % 8) {
        uint8_t last[8];
        store_u64(last, words_unfold(words_load(packed + whole * (size_t)width, width), width));
        memcpy(bytes + 8 * whole, last, count % 8);
    }
}

/* ---------------------------------------------------------------- contexts */

/*
 * The context of each of `count` values from value `start` of a tensor on, whose rows have `width`
 * values: the level of its row and that of its column together, held within least and most, less
 * least. Both levels are sent.
 */
static void words_contexts(const uint8_t *rows, const uint8_t *columns, size_t width, size_t start,
                           size_t count, uint8_t least, uint8_t most, uint8_t *contexts)
{
    size_t row = start / width, column = start % width;
    while (count) {
        size_t here = width - column < count ? width - column : count;
        const uint8_t level = rows[row], *of = columns + column;
        for (size_t i = 0; i < here; i++) {
            uint8_t sum = (uint8_t)(level + of[i]);
            sum = sum < least ? least : sum;
            contexts[i] = (uint8_t)((sum > most ? most : sum) - least);
        }
        contexts += here;
        count -= here;
        column = 0;
        row++;
    }
}

/* -------------------------------------------- what only an encoder asks for */

/* Counts symbols 0 to `width` - 2 of each context, all others as the last of its `width`. */
static void words_tally(const int32_t *symbols, const uint8_t *contexts, size_t count, size_t width,
                        int64_t *counts)
{
    const uint32_t last = (uint32_t)width - 1;
    for (size_t i = 0; i < count; i++) {
        uint32_t s = (uint32_t)symbols[i];
        counts[(contexts ? contexts[i] * width : 0) + (s < last ? s : last)]++;
    }
}

/* Adds symbols, their bits of `mask`, to the sums of their rows and columns; negative ones are 0. */
static void words_sums(const int32_t *symbols, int32_t mask, size_t width, size_t start,
                       size_t count, int64_t *rows, int64_t *columns)
{
    size_t row = start / width, column = start % width;
    while (count) {
        size_t here = width - column < count ? width - column : count;
        int64_t sum = 0;
        for (size_t i = 0; i < here; i++) {
            int32_t s = symbols[i] < 0 ? 0 : symbols[i] & mask;
            sum += s;
            columns[column + i] += s;
        }
        rows[row] += sum;
        symbols += here;
        count -= here;
        column = 0;
        row++;
    }
}

#endif
