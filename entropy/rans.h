/*
 * rans.h: the coder of STREAM.md in C, without Python. _rans.c wraps it, tests/fuzz drives it
 * alone.
 *
 * The work is cut so that only a few loops have several versions ("paths": scalar here, the others
 * in rans_x86.h and rans_neon.h): classifying symbols into table entries, sifting certain ones out
 * and back in, coding entries in 32 lanes, and decoding 32 lanes. Everything with raw bits, with
 * fewer lanes, or at the ragged ends of a group of lanes is done once, here, so that paths cannot
 * differ in it.
 *
 * Argument checks that need words live in coder.py; here is only what keeps memory safe. A stream
 * is untrusted: see "Bounded reads" at the decoder.
 *
 * rANS with 32-bit states and 16-bit words: J. Duda, "Asymmetric numeral systems", 2013
 * (arXiv:1311.2540), section 3; interleaving: F. Giesen, "Interleaved entropy coders", 2014
 * (arXiv:1402.3392); division by multiplication: R. Alverson, "Integer division using
 * reciprocals", 1991.
 */
#ifndef LICTOR_RANS_H
#define LICTOR_RANS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#if defined(__GNUC__) || defined(__clang__)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define UNROLL _Pragma("GCC unroll 8")
#else
#define ALWAYS_INLINE static inline
#define NOINLINE static
#define UNLIKELY(x) (x)
#define UNROLL
#endif

enum {
    PRECISION = 14,             /* bits of a frequency */
    TOTAL = 1 << PRECISION,     /* frequencies of a table add up to this */
    STATE_LOW = 1 << 16,        /* a state is never below this between symbols */
    RENORM_SHIFT = 32 - PRECISION,
    MAX_TABLES = 256,
    MAX_ENTRIES = 256,          /* of one table, escape included */
    MAX_SHIFT = 16,
    MAX_OFFSET = 1 << 30,
    MAX_LANES = 32,
    JOIN_UNIT = 32,             /* lanes join before a multiple of so many symbols */
    JOIN_MOST = 8192,           /* and, if the encoder is ours, little more before the last */
    GUIDE_BITS = 8,             /* buckets of the decoder's guide, 2^8 for a table */
    GUIDE_SHIFT = PRECISION - GUIDE_BITS,
    ESCAPE_BITS = 16,
    ESCAPE_LONG = 0xFFFF,       /* in place of a zigzag value that needs 32 bits */
    RECIPROCAL_BITS = 46,
    BLOCK = 256,                /* symbols between two looks at the end of the stream */
    CACHED = 16 * BLOCK,        /* symbols that are still in the cache for the checksum */
    SLACK = 64                  /* bytes that a vector may read or write beyond what it needs */
};

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE_ENDIAN_HOST 1
#else
#define LITTLE_ENDIAN_HOST 0
#endif

/* Words are little-endian. Where the host is, too, each of these is a single move. */
ALWAYS_INLINE uint32_t load_word(const uint8_t *p)
{
    return (uint32_t)p[1] << 8 | p[0];
}

ALWAYS_INLINE void store_word(uint8_t *p, uint32_t word)
{
    uint16_t low = (uint16_t)word;
    if (LITTLE_ENDIAN_HOST) {
        memcpy(p, &low, sizeof low);
    } else {
        p[0] = (uint8_t)word;
        p[1] = (uint8_t)(word >> 8);
    }
}

ALWAYS_INLINE void store_u64(uint8_t *p, uint64_t value)
{
    if (LITTLE_ENDIAN_HOST)
        memcpy(p, &value, sizeof value);
    else
        for (int i = 0; i < 8; i++)
            p[i] = (uint8_t)(value >> 8 * i);
}

/* ---------------------------------------------------------------- tables */

typedef struct {                /* how a table turns symbols into entries */
    int32_t offset;             /* shifted symbol of its first entry */
    uint16_t base;              /* its first entry */
    uint16_t count;             /* symbols, escape not counted */
    uint8_t shift;              /* low bits that go raw */
    uint8_t escapes;            /* whether the escape has a frequency */
    uint8_t present;            /* whether the table exists */
} Symbols;

typedef struct {                /* one entry for the scalar encoder */
    uint64_t reciprocal;        /* ceil(2^RECIPROCAL_BITS / freq) */
    uint16_t freq;
    uint16_t complement;        /* TOTAL - freq */
    uint16_t start;
} EncodeEntry;

/*
 * "Narrow" tables have no shift, and symbols inside int16. Their symbols other than escapes are
 * `entry + relation` in 16 bits, which vectors compute for all symbols of a block; entries of other
 * tables are marked RAW like escapes and resolved one by one, with relation 0.
 */
typedef struct {
    unsigned count;                     /* of tables */
    Symbols symbols[MAX_TABLES];
    uint16_t relation[MAX_TABLES];      /* offset - base, or 0 */
    uint32_t row[MAX_TABLES];           /* relation << 16 | number of the row in `guide` */
    uint32_t range[MAX_TABLES];         /* offset << 16 | symbols of narrow tables, else 0 */
    /* Some of that in bytes, low and high, to be looked up with permutations. */
    uint8_t relation_bytes[2][MAX_TABLES], offset_bytes[2][MAX_TABLES];
    uint8_t narrow_byte[MAX_TABLES], row_byte[MAX_TABLES];
    int some_certain;                   /* whether any table has one symbol only */
    uint8_t certain_byte[MAX_TABLES];   /* 0xFF for those that have one, else 0 */
    uint8_t certain_bits[MAX_TABLES / 8];
    int32_t only[MAX_TABLES];           /* that symbol */
    EncodeEntry *encode;                /* per entry; tables that are equal share them */
    uint32_t *code;                     /* per entry: start | raw << 15 | freq << 16 */
    uint32_t *guide;                    /* per row 256 buckets: first entry | next start << 16 */
    uint64_t *pair;                     /* per row 256 buckets: two entries; see pair_of */
} RansTables;

#define CODE_RAW 0x8000u
#define CODE_FREQ(code) ((code) >> 16)
#define CODE_START(code) ((code) & (TOTAL - 1))

#define PAIR_RAW 0x80000000u
#define PAIR_FREQ(high) ((high) >> 16 & (TOTAL - 1))

static void rans_tables_free(RansTables *self)
{
    free(self->encode);
    free(self->code);
    free(self->guide);
    free(self->pair);
}

/*
 * What a bucket says of two entries in a row, those that own most of its slots, so that one look is
 * enough for nearly every slot: the code of the one; above it that one's number, the frequency of
 * the other << 16 (below TOTAL, since there are two), and PAIR_RAW for the other.
 * `entry` owns the bucket's first slot; `end` is one past its table's last.
 */
static uint64_t pair_of(const uint32_t *code, uint32_t entry, uint32_t end, uint32_t bucket)
{
    const uint32_t from = bucket << GUIDE_SHIFT, to = from + (1u << GUIDE_SHIFT);
    uint32_t one = entry, most = 0;
    for (uint32_t start = CODE_START(code[entry]); start < to && entry < end; entry++) {
        uint32_t next = start + CODE_FREQ(code[entry]);
        uint32_t last = next + (entry + 1 < end ? CODE_FREQ(code[entry + 1]) : 0);
        uint32_t owned = (last < to ? last : to) - (start > from ? start : from);
        if (owned > most) {
            most = owned;
            one = entry;
        }
        start = next;
    }
    uint32_t other = one + 1 < end ? code[one + 1] : 0;
    uint32_t high = one | PAIR_FREQ(other) << 16 | (other & CODE_RAW ? PAIR_RAW : 0);
    return (uint64_t)high << 32 | code[one];
}

/* Fills the entries [base, base + length) and guide row of one distinct table. */
static void compile_row(RansTables *self, const uint16_t *freqs, int length, int base, int row,
                        int narrow)
{
    uint32_t start = 0;
    for (int i = 0; i < length; i++) {
        uint32_t freq = freqs[i];
        EncodeEntry *e = &self->encode[base + i];
        memset(e, 0, sizeof *e);
        if (freq > 0) {
            e->reciprocal = (((uint64_t)1 << RECIPROCAL_BITS) + freq - 1) / freq;
            e->freq = (uint16_t)freq;
            e->complement = (uint16_t)(TOTAL - freq);
            e->start = (uint16_t)start;
        }
        /* A start of TOTAL only belongs to an escape without a frequency, which is never met. */
        self->code[base + i] = CODE_START(start) | freq << 16 |
                               (!narrow || i == length - 1 ? CODE_RAW : 0);
        start += freq;
    }
    uint32_t *guide = &self->guide[row << GUIDE_BITS];
    uint64_t *pair = &self->pair[row << GUIDE_BITS];
    int entry = 0;
    uint32_t next = freqs[0];
    for (uint32_t bucket = 0; bucket < 1u << GUIDE_BITS; bucket++) {
        while (next <= bucket << GUIDE_SHIFT)
            next += freqs[++entry];
        guide[bucket] = (uint32_t)(base + entry) | next << 16;
        pair[bucket] = pair_of(self->code, (uint32_t)(base + entry), (uint32_t)(base + length),
                               bucket);
    }
}

/* Whether `length` frequencies are a table; every symbol needs one, the last (escape) may be 0. */
static int row_is_valid(const uint16_t *freqs, int length)
{
    uint32_t sum = 0;
    for (int i = 0; i < length; i++) {
        if (freqs[i] == 0 && i < length - 1)
            return 0;
        sum += freqs[i];
    }
    return sum == TOTAL;
}

static int range_is_valid(int64_t offset, int count, int shift)
{
    if (shift > MAX_SHIFT || offset < -MAX_OFFSET || offset > MAX_OFFSET)
        return 0;
    int64_t unit = (int64_t)1 << shift;
    int64_t bias = unit >> 1;
    return offset * unit - bias > INT32_MIN && (offset + count) * unit - bias <= INT32_MAX;
}

static int is_narrow(int32_t offset, int count, int shift)
{
    return shift == 0 && offset > INT16_MIN && offset + count < INT16_MAX;
}

static void describe_table(RansTables *self, int t, int row, int narrow)
{
    const Symbols *s = &self->symbols[t];
    uint16_t relation = (uint16_t)(narrow ? (uint32_t)s->offset - s->base : 0);
    uint16_t offset = (uint16_t)(narrow ? s->offset : 0);
    self->relation[t] = relation;
    self->row[t] = (uint32_t)relation << 16 | (uint32_t)row;
    self->range[t] = (uint32_t)offset << 16 | (narrow ? s->count : 0u);
    self->relation_bytes[0][t] = (uint8_t)relation;
    self->relation_bytes[1][t] = (uint8_t)(relation >> 8);
    self->offset_bytes[0][t] = (uint8_t)offset;
    self->offset_bytes[1][t] = (uint8_t)(offset >> 8);
    self->narrow_byte[t] = (uint8_t)self->range[t];
    self->row_byte[t] = (uint8_t)row;
}

/* Notes down a table with one symbol and no raw bits: such symbols are not in the stream. */
static void describe_certain(RansTables *self, int t, uint32_t first_freq)
{
    const Symbols *s = &self->symbols[t];
    if (first_freq != TOTAL || s->shift != 0)
        return;
    self->some_certain = 1;
    self->certain_byte[t] = 0xFF;
    self->certain_bits[t / 8] |= (uint8_t)(1 << t % 8);
    self->only[t] = s->offset;
}

/*
 * Fills zeroed tables from the arrays of lictor.entropy.Tables. 0, -1 if the arrays are no tables,
 * -2 if memory is short. rans_tables_free() in any case.
 */
static int rans_tables_fill(RansTables *self, const uint16_t *freqs, size_t freq_count,
                            const uint16_t *length, const int32_t *offset, const uint8_t *shift,
                            size_t count)
{
    size_t first[MAX_TABLES];
    size_t total = 0;
    if (count < 1 || count > MAX_TABLES)
        return -1;
    for (size_t t = 0; t < count; t++) {
        first[t] = total;
        total += length[t];
        if (length[t] < 2 || length[t] > MAX_ENTRIES || total > freq_count ||
            !row_is_valid(freqs + first[t], length[t]) ||
            !range_is_valid(offset[t], length[t] - 1, shift[t]))
            return -1;
    }
    if (total != freq_count)
        return -1;
    self->encode = malloc(total * sizeof *self->encode);
    self->code = malloc(total * sizeof *self->code);
    self->guide = malloc((count << GUIDE_BITS) * sizeof *self->guide);
    self->pair = malloc((count << GUIDE_BITS) * sizeof *self->pair);
    if (!self->encode || !self->code || !self->guide || !self->pair)
        return -2;
    self->count = (unsigned)count;
    int base = 0;
    int rows = 0;
    for (int t = 0; t < (int)count; t++) {
        Symbols *s = &self->symbols[t];
        int narrow = is_narrow(offset[t], length[t] - 1, shift[t]);
        int same = 0;
        /* Tables with equal frequencies share a row, wherever they are and however they shift. */
        while (same < t && !(length[same] == length[t] &&
                             is_narrow(offset[same], length[same] - 1, shift[same]) == narrow &&
                             memcmp(freqs + first[same], freqs + first[t], 2u * length[t]) == 0))
            same++;
        s->offset = offset[t];
        s->count = (uint16_t)(length[t] - 1);
        s->shift = shift[t];
        s->present = 1;
        s->escapes = freqs[first[t] + length[t] - 1] > 0;
        describe_certain(self, t, freqs[first[t]]);
        if (same < t) {
            s->base = self->symbols[same].base;
            describe_table(self, t, self->row_byte[same], narrow);
        } else {
            compile_row(self, freqs + first[t], length[t], base, rows, narrow);
            s->base = (uint16_t)base;
            describe_table(self, t, rows, narrow);
            base += length[t];
            rows++;
        }
    }
    return 0;
}

/* -------------------------------------------------------------- raw bits */

typedef struct {                /* a bit string, least significant bit first */
    uint8_t *bytes;
    size_t capacity;
    size_t filled;              /* whole bytes in `bytes` */
    uint64_t pending;           /* the bits after them, fewer than 8 between calls */
    unsigned pending_bits;
} Bits;

static uint64_t bits_count(const Bits *b)
{
    return (uint64_t)b->filled * 8 + b->pending_bits;
}

static int bits_grow(Bits *b)
{
    size_t capacity = b->capacity ? b->capacity * 2 : 256;
    uint8_t *bytes = realloc(b->bytes, capacity);
    if (bytes == NULL)
        return -1;
    b->bytes = bytes;
    b->capacity = capacity;
    return 0;
}

/* Appends `count` (at most 32) bits, the value; 0, or -1 when memory is short. */
ALWAYS_INLINE int bits_put(Bits *b, uint32_t value, unsigned count)
{
    if (UNLIKELY(b->capacity - b->filled < 8) && bits_grow(b))
        return -1;
    uint64_t pending = b->pending | (uint64_t)value << b->pending_bits;
    unsigned bits = b->pending_bits + count;
    store_u64(b->bytes + b->filled, pending);   /* all of it; only whole bytes count as filled */
    b->filled += bits >> 3;
    b->pending = pending >> (bits & ~7u);
    b->pending_bits = bits & 7;
    return 0;
}

static int bits_append(Bits *b, const Bits *more)
{
    size_t i = 0;
    for (; i + 4 <= more->filled; i += 4) {
        const uint8_t *p = more->bytes + i;
        uint32_t four = (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
        if (bits_put(b, four, 32))
            return -1;
    }
    for (; i < more->filled; i++)
        if (bits_put(b, more->bytes[i], 8))
            return -1;
    return more->pending_bits ? bits_put(b, (uint32_t)more->pending, more->pending_bits) : 0;
}

ALWAYS_INLINE uint32_t zigzag(int32_t symbol)
{
    return (uint32_t)symbol << 1 ^ (symbol < 0 ? UINT32_MAX : 0);
}

ALWAYS_INLINE int32_t unzigzag(uint32_t z)
{
    uint32_t magnitude = z >> 1;
    return z & 1 ? -(int32_t)magnitude - 1 : (int32_t)magnitude;
}

/* -------------------------------------------------------------- checksum */

#define CRC_POLYNOMIAL 0xEDB88320u

/* checksum_table[k][b]: the remainder of byte b followed by k zero bytes. */
static uint32_t checksum_table[8][256];

static void vector_set_up(void);

/* To be called once, before anything else. */
static void rans_set_up(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (crc & 1 ? CRC_POLYNOMIAL : 0);
        checksum_table[0][b] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int b = 0; b < 256; b++) {
            uint32_t crc = checksum_table[k - 1][b];
            checksum_table[k][b] = crc >> 8 ^ checksum_table[0][crc & 0xFF];
        }
    vector_set_up();
}

/* Without the inversions before and after. Eight bytes at a time: M. Kounavis, F. Berry, 2005. */
static uint32_t checksum_bytes(uint32_t crc, const uint8_t *p, size_t count)
{
    const uint32_t (*table)[256] = (const uint32_t (*)[256])checksum_table;
    for (; count >= 8; count -= 8, p += 8) {
        crc ^= (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
        crc = table[7][crc & 0xFF] ^ table[6][crc >> 8 & 0xFF] ^ table[5][crc >> 16 & 0xFF] ^
              table[4][crc >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^
              table[0][p[7]];
    }
    for (; count > 0; count--, p++)
        crc = crc >> 8 ^ table[0][(crc ^ *p) & 0xFF];
    return crc;
}

static uint32_t checksum_scalar(uint32_t crc, const uint8_t *bytes, size_t count)
{
    return ~checksum_bytes(~crc, bytes, count);
}

/* --------------------------------------------------------------- encoder */

typedef struct RansDecoder RansDecoder;

/* What has a version for each kind of CPU. All versions of a loop have the same results. */
typedef struct {
    const char *name;
    /*
     * The entries of `count` <= BLOCK symbols. Where a symbol needs raw bits, or has no code, its
     * slot is arbitrary, and its position put into `raw`; returns the number of those.
     */
    size_t (*classify)(const RansTables *tables, const int32_t *symbols, const uint8_t *index,
                       size_t count, uint16_t *slots, uint8_t *raw);
    /*
     * Three for tables of which some are certain. The indexes of symbols that are not, into `kept`,
     * which has room for SLACK bytes more; their slots, in place; both return how many there are.
     */
    size_t (*keep_indexes)(const RansTables *tables, const uint8_t *index, size_t count,
                           uint8_t *kept);
    size_t (*keep_slots)(const RansTables *tables, const uint8_t *index, size_t count,
                         uint16_t *slots);
    /* Certain symbols, and in between those of `found`, with SLACK bytes more, for the others. */
    void (*spread)(const RansTables *tables, const uint8_t *index, size_t count,
                   const int32_t *found, int32_t *out);
    /* Codes `groups` times 32 entries, one a lane, backwards from `end`; see encode_lanes. */
    uint8_t *(*encode)(const RansTables *tables, uint32_t *states, const uint16_t *end,
                       size_t groups, uint8_t *words);
    /* Decodes `groups` times 32 symbols; see decode_lanes. */
    size_t (*decode)(const RansTables *tables, uint32_t *states, const uint8_t *index, int32_t *out,
                     size_t groups, const uint8_t **words, uint8_t *raw);
    /* CRC-32 (as in zlib) of more bytes. */
    uint32_t (*checksum)(uint32_t crc, const uint8_t *bytes, size_t count);
    /* Decodes `groups` times 8 symbols in 8 lanes; NULL: decode_lanes does it itself. */
    size_t (*decode_8)(const RansTables *tables, uint32_t *states, const uint8_t *index,
                       int32_t *out, size_t groups, const uint8_t **words, uint8_t *raw);
} Path;

/* The checksum of symbols is that of their bytes as little-endian int32. */
static uint32_t symbols_checksum(const Path *path, uint32_t crc, const int32_t *symbols,
                                 size_t count)
{
    if (LITTLE_ENDIAN_HOST)
        return path->checksum(crc, (const uint8_t *)symbols, 4 * count);
    for (size_t j = 0; j < count; j++) {
        uint32_t s = (uint32_t)symbols[j];
        uint8_t bytes[4] = {(uint8_t)s, (uint8_t)(s >> 8), (uint8_t)(s >> 16), (uint8_t)(s >> 24)};
        crc = path->checksum(crc, bytes, 4);
    }
    return crc;
}

static size_t keep_indexes_scalar(const RansTables *tables, const uint8_t *index, size_t count,
                                  uint8_t *kept)
{
    size_t keeps = 0;
    for (size_t j = 0; j < count; j++) {
        kept[keeps] = index[j];
        keeps += !tables->certain_byte[index[j]];
    }
    return keeps;
}

static size_t keep_slots_scalar(const RansTables *tables, const uint8_t *index, size_t count,
                                uint16_t *slots)
{
    size_t keeps = 0;
    for (size_t j = 0; j < count; j++) {
        slots[keeps] = slots[j];
        keeps += !tables->certain_byte[index[j]];
    }
    return keeps;
}

static void spread_scalar(const RansTables *tables, const uint8_t *index, size_t count,
                          const int32_t *found, int32_t *out)
{
    for (size_t j = 0; j < count; j++) {
        /* Arithmetic, since a branch would be mispredicted. */
        uint32_t only = (uint32_t)tables->only[index[j]];
        uint32_t keep = tables->certain_byte[index[j]] >> 7 ^ 1u;
        out[j] = (int32_t)(only ^ ((only ^ (uint32_t)*found) & (0 - keep)));
        found += keep;
    }
}

typedef struct {                /* consecutive symbols with the same tables */
    const RansTables *tables;
    size_t end;                 /* one past its last symbol */
} Segment;

typedef struct {
    const Path *path;
    uint16_t *slots;            /* entry of every symbol pushed so far that is not certain */
    size_t count, capacity;
    Segment *segments;
    size_t segment_count, segment_capacity;
    Bits raw;
    uint32_t crc;
} RansEncoder;

static void rans_encoder_free(RansEncoder *self)
{
    free(self->segments);
    free(self->slots);
    free(self->raw.bytes);
}

/* Fresh memory in small pages takes nearly as long as filling it. Numpy asks for large ones, too. */
static void prefer_huge_pages(void *memory, size_t size)
{
#if defined(MADV_HUGEPAGE)
    const uintptr_t page = (uintptr_t)1 << 21;
    uintptr_t first = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t last = ((uintptr_t)memory + size) & ~(page - 1);
    if (first < last)
        (void)madvise((void *)first, last - first, MADV_HUGEPAGE);     /* or not */
#else
    (void)memory;
    (void)size;
#endif
}

/* Room for `more` slots and one segment; 0 or -1. */
static int encoder_reserve(RansEncoder *self, size_t more)
{
    if (more > SIZE_MAX / 8 - self->count)
        return -1;
    if (self->count + more > self->capacity) {
        size_t capacity = self->count + more;
        if (capacity < 2 * self->capacity)
            capacity = 2 * self->capacity;
        uint16_t *slots = realloc(self->slots, capacity * sizeof *slots);
        if (slots == NULL)
            return -1;
        prefer_huge_pages(slots, capacity * sizeof *slots);
        self->slots = slots;
        self->capacity = capacity;
    }
    if (self->segment_count == self->segment_capacity) {
        size_t capacity = self->segment_capacity ? 2 * self->segment_capacity : 16;
        Segment *segments = realloc(self->segments, capacity * sizeof *segments);
        if (segments == NULL)
            return -1;
        self->segments = segments;
        self->segment_capacity = capacity;
    }
    return 0;
}

enum { PUSHED = -1, NO_MEMORY = -2, NO_CODE = -3 };

/* The entry of a symbol that needs raw bits, which are written; or NO_MEMORY, NO_CODE. */
ALWAYS_INLINE int push_raw(Bits *raw, const Symbols *s, int32_t symbol)
{
    int64_t biased = symbol + ((int64_t)1 << s->shift >> 1);
    int64_t entry = (biased >> s->shift) - s->offset;
    if (entry >= 0 && entry < s->count) {
        uint32_t mask = (1u << s->shift) - 1;
        return bits_put(raw, (uint32_t)biased & mask, s->shift) ? NO_MEMORY : s->base + (int)entry;
    }
    if (!s->escapes)
        return NO_CODE;
    uint32_t z = zigzag(symbol);
    int error = z < ESCAPE_LONG
                    ? bits_put(raw, z, ESCAPE_BITS)
                    : bits_put(raw, ESCAPE_LONG, ESCAPE_BITS) || bits_put(raw, z, 32);
    return error ? NO_MEMORY : s->base + s->count;
}

static size_t classify_scalar(const RansTables *tables, const int32_t *symbols,
                              const uint8_t *index, size_t count, uint16_t *slots, uint8_t *raw)
{
    size_t raws = 0;
    UNROLL for (size_t j = 0; j < count; j++) {
        unsigned t = index[j];
        uint32_t symbol = (uint32_t)symbols[j];
        uint32_t range = tables->range[t];
        uint32_t entry = symbol - (uint32_t)((int32_t)range >> 16);
        slots[j] = (uint16_t)(symbol - tables->relation[t]);
        raw[raws] = (uint8_t)j;
        raws += entry >= (range & 0xFFFF);
    }
    return raws;
}

/* Turns symbols into slots and raw bits. PUSHED, NO_MEMORY, or the first symbol without a code. */
static ptrdiff_t push_symbols(const Path *path, Bits *bits, const RansTables *tables,
                              const int32_t *symbols, const uint8_t *index, size_t count,
                              uint16_t *slots)
{
    uint8_t raw[BLOCK + SLACK];
    Bits local = *bits;         /* in registers: stores to the slots might alias `bits` */
    ptrdiff_t status = PUSHED;
    for (size_t begin = 0; begin < count && status == PUSHED; begin += BLOCK) {
        size_t block = count - begin < BLOCK ? count - begin : BLOCK;
        size_t raws = path->classify(tables, symbols + begin, index + begin, block, slots + begin,
                                     raw);
        for (size_t i = 0; i < raws; i++) {
            size_t j = begin + raw[i];
            int found = push_raw(&local, &tables->symbols[index[j]], symbols[j]);
            if (UNLIKELY(found < 0)) {
                status = found == NO_CODE ? (ptrdiff_t)j : NO_MEMORY;
                break;
            }
            slots[j] = (uint16_t)found;
        }
    }
    *bits = local;
    return status;
}

/*
 * Adds symbols. PUSHED, NO_MEMORY, or the position of a symbol without a code; in the last two
 * cases nothing is added. `checksum`: whether to keep `crc` up to date.
 */
static ptrdiff_t rans_push(RansEncoder *self, const RansTables *tables, const int32_t *symbols,
                           const uint8_t *index, size_t count, int checksum)
{
    if (encoder_reserve(self, count))
        return NO_MEMORY;
    Bits raw = self->raw;
    uint32_t crc = self->crc;
    ptrdiff_t status = PUSHED;
    size_t end = self->count;
    for (size_t at = 0; at < count && status == PUSHED; at += CACHED) {
        size_t part = count - at < CACHED ? count - at : CACHED;
        size_t kept = part;
        uint16_t *slots = self->slots + end;
        status =
            push_symbols(self->path, &self->raw, tables, symbols + at, index + at, part, slots);
        if (status >= 0)
            status += (ptrdiff_t)at;
        else if (tables->some_certain)
            kept = self->path->keep_slots(tables, index + at, part, slots);
        end += kept;
        if (checksum)
            crc = symbols_checksum(self->path, crc, symbols + at, part);
    }
    if (status != PUSHED) {             /* take back the bits, not the (larger) buffer */
        self->raw.filled = raw.filled;
        self->raw.pending = raw.pending;
        self->raw.pending_bits = raw.pending_bits;
        return status;
    }
    if (end > self->count) {
        Segment *last = self->segments + self->segment_count - 1;
        if (self->segment_count == 0 || last->tables != tables) {
            last = self->segments + self->segment_count++;
            last->tables = tables;
        }
        last->end = self->count = end;
    }
    self->crc = crc;
    return PUSHED;
}

/* Lanes cost half a byte each, and buy speed: see "Number of lanes" in STREAM.md. */
enum { LANES_4 = 4096, LANES_8 = 6144, LANES_32 = 12288 };

static int choose_lanes(size_t bytes)
{
    return bytes < LANES_4 ? 1 : bytes < LANES_8 ? 4 : bytes < LANES_32 ? 8 : 32;
}

static unsigned lanes_code(int lanes)
{
    return lanes == 1 ? 0 : lanes == 4 ? 1 : lanes == 8 ? 2 : 3;
}

ALWAYS_INLINE uint32_t encode_step(uint32_t x, const EncodeEntry *e, uint8_t **words)
{
    /* A branch here would be mispredicted too often: the word is written in any case. */
    uint32_t full = x >> RENORM_SHIFT >= e->freq;
    store_word(*words - 2, x);
    *words -= 2 * full;
    x = full ? x >> 16 : x;
    /* Exact: now x < freq * 2^18, so the product is below 2^64, and since the reciprocal is less
     * than 1 too large, the quotient is by less than 2^18 * freq / 2^46 <= 1 / freq. */
    uint32_t quotient = (uint32_t)(x * e->reciprocal >> RECIPROCAL_BITS);
    return x + e->start + quotient * e->complement;
}

/* Codes the symbols [begin, end) of the stream, last one first; returns the new word pointer. */
ALWAYS_INLINE uint8_t *encode_lanes(const int lanes, const Path *path, uint32_t *states,
                                    const RansTables *tables, const uint16_t *slots, size_t begin,
                                    size_t end, uint8_t *words)
{
    const EncodeEntry *entries = tables->encode;
    const unsigned mask = (unsigned)lanes - 1;
    for (; end > begin && end & mask; end--)
        states[(end - 1) & mask] =
            encode_step(states[(end - 1) & mask], &entries[slots[end - 1]], &words);
    size_t groups = (end - begin) / (size_t)lanes;
    if (lanes == 32) {
        words = path->encode(tables, states, slots + end, groups, words);
        end -= 32 * groups;
    } else {
        uint32_t x[MAX_LANES];
        memcpy(x, states, sizeof x);
        for (; groups > 0; groups--, end -= (size_t)lanes)
            UNROLL for (int k = lanes - 1; k >= 0; k--)
                x[k] = encode_step(x[k], &entries[slots[end - (size_t)(lanes - k)]], &words);
        memcpy(states, x, sizeof x);
    }
    for (; end > begin; end--)
        states[(end - 1) & mask] =
            encode_step(states[(end - 1) & mask], &entries[slots[end - 1]], &words);
    return words;
}

static uint8_t *encode_scalar(const RansTables *tables, uint32_t *states, const uint16_t *end,
                              size_t groups, uint8_t *words)
{
    const EncodeEntry *entries = tables->encode;
    /* Eight lanes at a time would not do: words are in the order of all 32. */
    uint32_t x[32];
    memcpy(x, states, sizeof x);
    for (; groups > 0; groups--, end -= 32)
        UNROLL for (int k = 31; k >= 0; k--)
            x[k] = encode_step(x[k], &entries[end[k - 32]], &words);
    memcpy(states, x, sizeof x);
    return words;
}

static uint8_t *encode_run(const Path *path, int lanes, uint32_t *states, const RansTables *tables,
                           const uint16_t *slots, size_t begin, size_t end, uint8_t *words)
{
    switch (lanes) {
    case 1: return encode_lanes(1, path, states, tables, slots, begin, end, words);
    case 4: return encode_lanes(4, path, states, tables, slots, begin, end, words);
    case 8: return encode_lanes(8, path, states, tables, slots, begin, end, words);
    default: return encode_lanes(32, path, states, tables, slots, begin, end, words);
    }
}

typedef struct {
    uint8_t *buffer;            /* to free */
    uint8_t *words, *end;
    int lanes;
    size_t join;                /* the first symbol after the lanes have joined */
    uint32_t states[MAX_LANES];
    Bits tail;                  /* to free its bytes */
} Coded;

static void rans_coded_free(Coded *coded)
{
    free(coded->buffer);
    free(coded->tail.bytes);
}

/* A number >= 1 in the tail: how many bits follow its first 1, in 5 bits, then those. */
static int put_number(Bits *tail, uint32_t number)
{
    unsigned bits = 0;
    while (number >> bits > 1)
        bits++;
    return bits_put(tail, bits, 5) || bits_put(tail, number - (1u << bits), bits);
}

/* The tail's start: number of lanes, where they join, the states with which the decoder begins. */
static int put_states(Coded *coded)
{
    Bits *tail = &coded->tail;
    if (bits_put(tail, lanes_code(coded->lanes), 2) ||
        (coded->lanes > 1 && put_number(tail, (uint32_t)(coded->join / JOIN_UNIT))))
        return -1;
    for (int k = 0; k < coded->lanes; k++) {
        uint32_t state = coded->states[k];
        unsigned extra = 0;
        while (extra < 15 && state >> (extra + 17))
            extra++;
        uint32_t mantissa = state & ~((uint32_t)STATE_LOW << extra);
        if (bits_put(tail, extra, 4) || bits_put(tail, mantissa, 16 + extra))
            return -1;
    }
    return 0;
}

/* Codes the symbols [begin, end), last one first; returns the new word pointer. */
static uint8_t *encode_symbols(const RansEncoder *self, int lanes, uint32_t *states, size_t begin,
                               size_t end, uint8_t *words)
{
    for (size_t i = self->segment_count; i-- > 0 && end > begin;) {
        size_t first = i ? self->segments[i - 1].end : 0;
        if (first >= end)
            continue;
        first = first < begin ? begin : first;
        words = encode_run(self->path, lanes, states, self->segments[i].tables, self->slots, first,
                           end, words);
        end = first;
    }
    return words;
}

/*
 * Codes the last symbols in lane 0, until that has put words enough for the first states of the
 * other lanes, which take those back, or until these are many. Returns the first of these symbols;
 * 0 if they are all.
 */
static size_t encode_joined(const RansEncoder *self, int lanes, Coded *coded)
{
    size_t others = (size_t)lanes - 1;
    size_t at = self->count;
    while (at > 0 && (size_t)(coded->end - coded->words) < 2 * others &&
           self->count - at < JOIN_MOST) {
        size_t end = at;
        at = (end - 1) / JOIN_UNIT * JOIN_UNIT;
        coded->words = encode_symbols(self, 1, coded->states, at, end, coded->words);
    }
    for (size_t k = 1; at > 0 && k <= others && coded->words < coded->end; k++, coded->words += 2)
        coded->states[k] = STATE_LOW + load_word(coded->words);
    return at;
}

/* Codes all but the raw bits in `lanes` lanes, or in one where there is too little for more. */
static int encode_in(const RansEncoder *self, int lanes, Coded *coded)
{
    coded->words = coded->end;
    for (int k = 0; k < MAX_LANES; k++)
        coded->states[k] = STATE_LOW;
    coded->join = self->count;
    if (lanes > 1 && self->count / JOIN_UNIT <= UINT32_MAX)
        coded->join = encode_joined(self, lanes, coded);
    coded->lanes = coded->join > 0 && coded->join < self->count ? lanes : 1;
    coded->words =
        encode_symbols(self, coded->lanes, coded->states, 0, coded->join, coded->words);
    coded->tail.filled = 0;
    coded->tail.pending = coded->tail.pending_bits = 0;
    return put_states(coded);
}

/* Bytes of words, and of the tail with so many bits more. */
static size_t coded_size(const Coded *coded, uint64_t more)
{
    return (size_t)(coded->end - coded->words) +
           (size_t)((bits_count(&coded->tail) + more + 7) / 8);
}

/* Codes everything pushed, in `lanes` lanes (0: as many as suit the size). 0, or -1 for memory. */
static int rans_finish(const RansEncoder *self, int lanes, Coded *coded)
{
    /* A symbol makes at most one word; one more is written, but not kept. */
    size_t size = 2 * self->count + SLACK;
    coded->buffer = malloc(size);
    if (coded->buffer == NULL)
        return -1;
    coded->end = coded->buffer + size;
    int error = encode_in(self, lanes ? lanes : MAX_LANES, coded);
    int suits = choose_lanes(coded_size(coded, bits_count(&self->raw)));
    if (!error && lanes == 0 && suits < MAX_LANES)
        error = encode_in(self, suits, coded);
    return error || bits_append(&coded->tail, &self->raw) ? -1 : 0;
}

static size_t rans_coded_size(const Coded *coded)
{
    return coded_size(coded, 0);
}

/* Writes the stream, rans_coded_size() bytes: words, then the tail backwards. */
static void rans_coded_write(const Coded *coded, uint8_t *out)
{
    size_t words = (size_t)(coded->end - coded->words);
    const uint8_t *tail = coded->tail.bytes;
    uint8_t *end = out + rans_coded_size(coded);
    memcpy(out, coded->words, words);
    if (coded->tail.pending_bits)
        out[words] = (uint8_t)coded->tail.pending;
    for (size_t i = 0; i < coded->tail.filled; i++)
        *--end = tail[i];
}

/* --------------------------------------------------------------- decoder */

/*
 * Bounded reads. The decoder owns a copy of the stream with padding on both sides:
 *
 *     FRONT zero bytes | words -> ... <- tail bits | BACK zero bytes
 *
 * Words: a symbol reads at most one, and the position is compared with the end at least every
 * BLOCK symbols, so it stays below length + 2 * BLOCK; a vector loads up to SLACK bytes from there.
 * Tail bits: each read is checked against the start of the stream; the 8-byte load that serves it
 * reaches at most 8 < FRONT bytes below that. Words and tail may not cross; since both only
 * advance, it is enough to check this at the end of each block.
 * Where lanes join, words are put back: over those read, or into the other bytes of FRONT. Until
 * they have been read again, `read` says how far the stream's own have been.
 * Table look-ups: an index is checked by `present`, a slot has PRECISION bits by masking, and the
 * frequencies of a row add up to 2^PRECISION, so the search for a slot ends inside its row.
 */
enum { FRONT = 8 + 2 * MAX_LANES, BACK = 2 * BLOCK + SLACK };

typedef struct {                /* the bits at the end of a stream, read backwards */
    const uint8_t *end;
    uint64_t limit;             /* bits there are */
    uint64_t bits;              /* bits read */
    int failed;                 /* whether more were asked for */
} Tail;

struct RansDecoder {
    const Path *path;
    int failed;
    int lanes;
    unsigned phase;             /* lane of the next symbol */
    uint8_t *buffer;
    size_t length;
    const uint8_t *data;        /* buffer + FRONT */
    const uint8_t *words;       /* next word */
    size_t read;                /* bytes of words read before the lanes joined */
    uint64_t until_join;        /* symbols in several lanes that are left */
    uint8_t under[2 * MAX_LANES];       /* what was where the lanes' words are now */
    Tail tail;
    uint32_t states[MAX_LANES];
    uint32_t crc;
};

/* The next `count` (0 to 32) bits; 0 and `failed` when the stream has no more. */
ALWAYS_INLINE uint32_t tail_get(Tail *t, unsigned count)
{
    if (UNLIKELY(t->bits + count > t->limit)) {
        t->failed = 1;
        return 0;
    }
    const uint8_t *p = t->end - (size_t)(t->bits / 8) - 8;
    uint64_t window = (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
                      (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
                      (uint64_t)p[6] << 8 | (uint64_t)p[7];
    window >>= t->bits % 8;
    t->bits += count;
    return (uint32_t)(window & (((uint64_t)1 << count) - 1));
}

static size_t tail_bytes(const RansDecoder *d)
{
    return (size_t)((d->tail.bits + 7) / 8);
}

/* Bytes of the stream's words that have been read. */
static size_t word_bytes(const RansDecoder *d)
{
    ptrdiff_t at = d->words - d->data;
    return at > (ptrdiff_t)d->read ? (size_t)at : d->read;
}

/* Sets `failed` when more has been read than there is. */
static void check_crossing(RansDecoder *d)
{
    if (d->tail.failed || word_bytes(d) + tail_bytes(d) > d->length)
        d->failed = 1;
}

static void get_states(RansDecoder *d)
{
    static const int lanes[4] = {1, 4, 8, 32};
    d->lanes = lanes[tail_get(&d->tail, 2)];
    if (d->lanes > 1) {
        unsigned bits = tail_get(&d->tail, 5);
        d->until_join = JOIN_UNIT * (((uint64_t)1 << bits) + tail_get(&d->tail, bits));
    }
    for (int k = 0; k < d->lanes; k++) {
        unsigned extra = tail_get(&d->tail, 4);
        d->states[k] = ((uint32_t)STATE_LOW << extra) + tail_get(&d->tail, 16 + extra);
    }
    check_crossing(d);
}

/* Goes on in lane 0 alone; the other lanes' states are words to be read next. */
static void join_lanes(RansDecoder *d)
{
    size_t others = (size_t)d->lanes - 1;
    uint8_t *words = d->buffer + (d->words - d->buffer) - 2 * others;
    d->read = word_bytes(d);
    memcpy(d->under, words, 2 * others);
    for (size_t k = 1; k <= others; k++) {
        if (d->states[k] >= 2 * STATE_LOW)
            d->failed = 1;
        store_word(words + 2 * (k - 1), d->states[k]);
    }
    d->words = words;
    d->lanes = 1;
}

/* Sets a decoder back to what it was before. */
static void take_back(RansDecoder *d, const RansDecoder *before)
{
    if (d->lanes < before->lanes) {
        size_t bytes = 2 * ((size_t)before->lanes - 1);
        memcpy(d->buffer + FRONT + d->read - bytes, d->under, bytes);
    }
    *d = *before;
}

/* Makes a zeroed decoder ready for a copy of `data`, maybe `failed` at once; -1 for memory. */
static int rans_decoder_open(RansDecoder *self, const Path *path, const void *data, size_t length)
{
    if (length > SIZE_MAX - FRONT - BACK)
        return -1;
    self->buffer = malloc(FRONT + length + BACK);
    if (self->buffer == NULL)
        return -1;
    memset(self->buffer, 0, FRONT);
    if (length)
        memcpy(self->buffer + FRONT, data, length);
    memset(self->buffer + FRONT + length, 0, BACK);
    self->path = path;
    self->length = length;
    self->data = self->words = self->buffer + FRONT;
    self->tail.end = self->data + length;
    self->tail.limit = (uint64_t)length * 8;
    get_states(self);
    return 0;
}

static void rans_decoder_free(RansDecoder *self)
{
    free(self->buffer);
}

/* A symbol that has raw bits: behind an escape, or of a table that is not narrow. */
ALWAYS_INLINE int32_t raw_symbol(Tail *t, const Symbols *s, int entry)
{
    if (entry == s->count) {
        uint32_t z = tail_get(t, ESCAPE_BITS);
        return unzigzag(z == ESCAPE_LONG ? tail_get(t, 32) : z);
    }
    int64_t unit = (int64_t)1 << s->shift;
    return (int32_t)((s->offset + entry) * unit + tail_get(t, s->shift) - (unit >> 1));
}

/* The entry that owns a slot of a bucket. */
ALWAYS_INLINE uint32_t search_bucket(const RansTables *tables, uint32_t bucket, uint32_t slot)
{
    uint32_t entry = tables->guide[bucket] & 0xFFFF;
    while (slot - CODE_START(tables->code[entry]) >= CODE_FREQ(tables->code[entry]))
        entry++;
    return entry;
}

/* Decodes one symbol's entry; the value is `entry + relation`, and CODE_RAW is or-ed to `raw`. */
ALWAYS_INLINE int32_t decode_step(const RansTables *tables, unsigned index, uint32_t *state,
                                  const uint8_t **words, uint32_t *raw)
{
    uint32_t x = *state;
    uint32_t slot = x & (TOTAL - 1);
    uint32_t row = tables->row[index];
    uint32_t guide = tables->guide[(row & 0xFF) << GUIDE_BITS | slot >> GUIDE_SHIFT];
    uint32_t entry = (guide & 0xFFFF) + (slot >= guide >> 16);
    uint32_t code = tables->code[entry];
    while (UNLIKELY(slot - CODE_START(code) >= CODE_FREQ(code)))
        code = tables->code[++entry];
    x = CODE_FREQ(code) * (x >> PRECISION) + slot - CODE_START(code);
    /* A branch here would be mispredicted too often: the word is read in any case. */
    uint32_t low = x < STATE_LOW;
    x ^= (x ^ (x << 16 | load_word(*words))) & (0 - low);
    *words += 2 * low;
    *state = x;
    *raw = code;
    return (int16_t)(entry + (row >> 16));
}

/* `decode_step` for symbol j of a block, noting down where raw bits follow. */
#define DECODE(j, k)                                                                              \
    do {                                                                                          \
        uint32_t code;                                                                            \
        out[j] = decode_step(tables, index[j], &x[k], &words, &code);                             \
        raw[raws] = (uint8_t)(j);                                                                 \
        raws += code >> 15 & 1;                                                                   \
    } while (0)

/* Decodes the entries of at most BLOCK symbols; returns how many positions are in `raw`. */
ALWAYS_INLINE size_t decode_lanes(const int lanes, RansDecoder *d, const RansTables *tables,
                                  const uint8_t *index, int32_t *out, size_t count, uint8_t *raw)
{
    uint32_t x[MAX_LANES];          /* a copy: stores to `out` might alias the decoder's */
    memcpy(x, d->states, sizeof x);
    const uint8_t *words = d->words;
    unsigned phase = d->phase;
    size_t j = 0, raws = 0;
    for (; j < count && phase; j++, phase = (phase + 1) % (unsigned)lanes)
        DECODE(j, phase);
    size_t groups = (count - j) / (size_t)lanes;
    if (lanes == 32 || (lanes == 8 && d->path->decode_8 != NULL)) {
        size_t more = (lanes == 32 ? d->path->decode : d->path->decode_8)(
            tables, x, index + j, out + j, groups, &words, raw + raws);
        for (; more > 0; more--, raws++)
            raw[raws] = (uint8_t)(raw[raws] + j);
        j += (size_t)lanes * groups;
    } else {
        for (; groups > 0; groups--, j += (size_t)lanes)
            UNROLL for (int k = 0; k < lanes; k++)
                DECODE(j + (size_t)k, k);
    }
    for (; j < count; j++, phase = (phase + 1) % (unsigned)lanes)
        DECODE(j, phase);
    memcpy(d->states, x, sizeof x);
    d->words = words;
    d->phase = phase;
    return raws;
}

static size_t decode_scalar(const RansTables *tables, uint32_t *states, const uint8_t *index,
                            int32_t *out, size_t groups, const uint8_t **end, uint8_t *raw)
{
    uint32_t x[32];
    const uint8_t *words = *end;
    size_t raws = 0;
    memcpy(x, states, sizeof x);
    for (size_t j = 0; groups > 0; groups--, j += 32)
        UNROLL for (int k = 0; k < 32; k++)
            DECODE(j + (size_t)k, k);
    memcpy(states, x, sizeof x);
    *end = words;
    return raws;
}

static size_t decode_block(RansDecoder *d, const RansTables *tables, const uint8_t *index,
                           int32_t *out, size_t count, uint8_t *raw)
{
    switch (d->lanes) {
    case 1: return decode_lanes(1, d, tables, index, out, count, raw);
    case 4: return decode_lanes(4, d, tables, index, out, count, raw);
    case 8: return decode_lanes(8, d, tables, index, out, count, raw);
    default: return decode_lanes(32, d, tables, index, out, count, raw);
    }
}

/* Reads the raw bits of the symbols of a block whose positions are in `raw`. */
static void read_raw(RansDecoder *d, const RansTables *tables, const uint8_t *index, int32_t *out,
                     const uint8_t *raw, size_t raws)
{
    Tail tail = d->tail;        /* in registers: stores to `out` might alias the decoder */
    for (size_t i = 0; i < raws; i++) {
        unsigned t = index[raw[i]];
        const Symbols *s = &tables->symbols[t];
        uint16_t entry = (uint16_t)((uint32_t)out[raw[i]] - tables->relation[t]);
        out[raw[i]] = raw_symbol(&tail, s, entry - s->base);
    }
    d->tail = tail;
}

static void pull_symbols(RansDecoder *d, const RansTables *tables, const uint8_t *index,
                         int32_t *out, size_t count)
{
    uint8_t raw[BLOCK + SLACK];
    while (count > 0 && !d->failed) {
        if (d->lanes > 1 && d->until_join == 0)
            join_lanes(d);
        size_t block = BLOCK - d->phase;        /* so that the next block begins with lane 0 */
        block = count < block ? count : block;
        if (d->lanes > 1) {
            block = block < d->until_join ? block : (size_t)d->until_join;
            d->until_join -= block;
        }
        size_t raws = decode_block(d, tables, index, out, block, raw);
        if (raws)
            read_raw(d, tables, index, out, raw, raws);
        check_crossing(d);
        index += block;
        out += block;
        count -= block;
    }
}

/* The same where some tables are certain: only the symbols of others are in the stream. */
static void pull_uncertain(RansDecoder *d, const RansTables *tables, const uint8_t *index,
                           int32_t *out, size_t count)
{
    uint8_t kept[CACHED + SLACK];
    int32_t found[CACHED + SLACK / 4];
    size_t keeps = d->path->keep_indexes(tables, index, count, kept);
    if (keeps == count) {
        pull_symbols(d, tables, index, out, count);
    } else {
        pull_symbols(d, tables, kept, found, keeps);
        d->path->spread(tables, index, count, found, out);
    }
}

static int indexes_are_present(const RansTables *tables, const uint8_t *index, size_t count)
{
    uint8_t largest = 0;
    for (size_t j = 0; j < count; j++)
        largest = index[j] > largest ? index[j] : largest;
    return largest < tables->count;
}

/*
 * Decodes symbols, or sets `failed`. -1 if an index has no table: then nothing has happened, but to
 * `out`. `checksum`: whether to keep `crc` up to date.
 */
static int rans_pull(RansDecoder *d, const RansTables *tables, const uint8_t *index, int32_t *out,
                     size_t count, int checksum)
{
    const RansDecoder before = *d;
    size_t at = 0;
    for (; at < count; at += CACHED) {
        size_t part = count - at < CACHED ? count - at : CACHED;
        if (!indexes_are_present(tables, index + at, part)) {
            take_back(d, &before);
            return -1;
        }
        if (d->failed)
            continue;           /* to see whether all indexes are there */
        if (tables->some_certain)
            pull_uncertain(d, tables, index + at, out + at, part);
        else
            pull_symbols(d, tables, index + at, out + at, part);
        if (checksum)
            d->crc = symbols_checksum(d->path, d->crc, out + at, part);
    }
    return 0;
}

/* How a stream ends; all is well if it is (1, 0, 0). */
typedef struct {
    int final;                  /* whether lane 0 is left, in the state it had at first */
    size_t left;                /* bytes between words and tail */
    unsigned unused;            /* unused bits of the tail's last byte */
} End;

static End rans_ended(const RansDecoder *self)
{
    End end = {!self->failed && self->lanes == 1 && self->states[0] == STATE_LOW, 0, 0};
    /* Lanes for which there were no words began with 0. */
    for (const uint8_t *p = self->words; end.final && p < self->data + self->read; p++)
        end.final = *p == 0;
    size_t used = word_bytes(self) + tail_bytes(self);
    end.left = used < self->length ? self->length - used : 0;
    if (self->tail.bits % 8 && !self->failed)
        end.unused = self->data[self->length - tail_bytes(self)] >> self->tail.bits % 8;
    return end;
}

/* ----------------------------------------------------------------- paths */

static const Path scalar_path = {"scalar", classify_scalar, keep_indexes_scalar,
                                 keep_slots_scalar, spread_scalar, encode_scalar, decode_scalar,
                                 checksum_scalar, NULL};

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__) && LITTLE_ENDIAN_HOST
#include "rans_x86.h"
#elif (defined(__GNUC__) || defined(__clang__)) && defined(__aarch64__) && LITTLE_ENDIAN_HOST
#include "rans_neon.h"
#else
static void vector_set_up(void)
{
}

static size_t vector_paths(const Path **paths)
{
    (void)paths;
    return 0;
}
#endif

enum { MAX_PATHS = 8 };

/* Fills in the paths that this CPU can take, best first; returns their number. */
static size_t rans_paths(const Path **paths)
{
    size_t count = vector_paths(paths);
    paths[count++] = &scalar_path;
    return count;
}

#endif
