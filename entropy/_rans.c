/*
 * lictor.entropy._rans: the entropy coder of STREAM.md in C, scalar path.
 *
 * Three types, each the twin of a class in reference.py:
 *   Tables    integer tables compiled for coding and decoding; immutable
 *   Encoder   push() turns symbols into slots, finish() codes them backwards once
 *   Decoder   pull() decodes, ended() compares the final state
 *
 * Argument checks that need words live in coder.py; here is only what keeps memory safe. A stream
 * is untrusted: see "Bounded reads" at the decoder.
 *
 * rANS with 32-bit states and 16-bit words: J. Duda, "Asymmetric numeral systems", 2013
 * (arXiv:1311.2540), section 3; interleaving: F. Giesen, "Interleaved entropy coders", 2014
 * (arXiv:1402.3392); division by multiplication: R. Alverson, "Integer division using
 * reciprocals", 1991.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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
    GUIDE_BITS = 8,             /* buckets of the decoder's guide, 2^8 for a table */
    GUIDE_SHIFT = PRECISION - GUIDE_BITS,
    ESCAPE_BITS = 16,
    ESCAPE_LONG = 0xFFFF,       /* in place of a zigzag value that needs 32 bits */
    COST_BITS = 8,              /* estimated bits are counted in 1/256 */
    DECODE_BLOCK = 256          /* symbols between two looks at the end of the stream */
};

/* No symbol has this value (offsets are bounded): it stands for "raw bits follow". */
#define RAW_VALUE INT32_MIN

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

typedef struct {                /* the same for symbols without raw bits, all in 8 bytes */
    int32_t offset;
    uint16_t base;
    uint16_t count;             /* 0 where there is a shift */
} PlainSymbols;

typedef struct {                /* one symbol for the encoder, 16 bytes */
    uint64_t reciprocal;        /* ceil(2^64 / freq); 2^64 - 1 for freq 1 */
    uint16_t freq;
    uint16_t complement;        /* TOTAL - freq */
    uint16_t bias;              /* start; start + TOTAL - 1 for freq 1 */
} EncodeEntry;

typedef struct {                /* one symbol for the decoder, 8 bytes */
    uint16_t freq;
    uint16_t start;
    int32_t value;              /* the symbol, or RAW_VALUE for escapes and in shifted tables */
} DecodeEntry;

typedef struct {
    PyObject_HEAD
    Symbols symbols[MAX_TABLES];
    PlainSymbols plain[MAX_TABLES];
    uint32_t lookup[MAX_TABLES];    /* where in `guide` a table's row begins */
    EncodeEntry *encode;            /* per entry; tables that are equal share them */
    uint16_t *cost;                 /* per entry, in 1/256 bit */
    DecodeEntry *decode;            /* per entry */
    uint32_t *guide;                /* per row 256 buckets: first entry | next start << 16 */
} Tables;

static void tables_dealloc(Tables *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free(self->encode);
    free(self->cost);
    free(self->decode);
    free(self->guide);
    release(self);
    Py_DECREF(type);
}

/* Fills the entries [base, base + length) and guide row of one distinct table. */
static void compile_row(Tables *self, const uint16_t *freqs, int length, int base, int row,
                        int32_t offset, int shift, const uint16_t *costs)
{
    uint32_t start = 0;
    for (int i = 0; i < length; i++) {
        uint32_t freq = freqs[i];
        EncodeEntry *e = &self->encode[base + i];
        DecodeEntry *d = &self->decode[base + i];
        memset(e, 0, sizeof *e);
        if (freq > 0) {
            e->reciprocal = freq == 1 ? UINT64_MAX : UINT64_MAX / freq + 1;
            e->freq = (uint16_t)freq;
            e->complement = (uint16_t)(TOTAL - freq);
            e->bias = (uint16_t)(freq == 1 ? start + TOTAL - 1 : start);
        }
        d->freq = (uint16_t)freq;
        d->start = (uint16_t)start;
        d->value = shift || i == length - 1 ? RAW_VALUE : offset + i;
        self->cost[base + i] = costs[freq];
        start += freq;
    }
    uint32_t *guide = &self->guide[row << GUIDE_BITS];
    int entry = 0;
    uint32_t next = freqs[0];
    for (uint32_t bucket = 0; bucket < 1u << GUIDE_BITS; bucket++) {
        while (next <= bucket << GUIDE_SHIFT)
            next += freqs[++entry];
        guide[bucket] = (uint32_t)(base + entry) | next << 16;
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

/* Tables(frequencies u16[], lengths u16[T], offsets i32[T], shifts u8[T], costs u16[TOTAL + 1]) */
static int tables_fill(Tables *self, const Py_buffer *frequencies, const Py_buffer *lengths,
                       const Py_buffer *offsets, const Py_buffer *shifts, const Py_buffer *costs)
{
    Py_ssize_t count = shifts->len;
    if (count < 1 || count > MAX_TABLES || lengths->len != 2 * count ||
        offsets->len != 4 * count || costs->len != 2 * (TOTAL + 1) || frequencies->len % 2)
        return -1;
    const uint16_t *freqs = frequencies->buf;
    const uint16_t *length = lengths->buf;
    const int32_t *offset = offsets->buf;
    const uint8_t *shift = shifts->buf;
    Py_ssize_t first[MAX_TABLES];
    Py_ssize_t total = 0;
    for (int t = 0; t < count; t++) {
        first[t] = total;
        total += length[t];
        if (length[t] < 2 || length[t] > MAX_ENTRIES || total > frequencies->len / 2 ||
            !row_is_valid(freqs + first[t], length[t]) ||
            !range_is_valid(offset[t], length[t] - 1, shift[t]))
            return -1;
    }
    if (total != frequencies->len / 2)
        return -1;
    self->encode = malloc((size_t)total * sizeof *self->encode);
    self->cost = malloc((size_t)total * sizeof *self->cost);
    self->decode = malloc((size_t)total * sizeof *self->decode);
    self->guide = malloc(((size_t)count << GUIDE_BITS) * sizeof *self->guide);
    if (!self->encode || !self->cost || !self->decode || !self->guide)
        return -2;
    int base = 0;
    int rows = 0;
    for (int t = 0; t < count; t++) {
        Symbols *s = &self->symbols[t];
        int same = 0;
        /* Tables with equal frequencies and values share a row; how far they shift is no matter. */
        while (same < t && !(offset[same] == offset[t] && length[same] == length[t] &&
                             !shift[same] == !shift[t] &&
                             memcmp(freqs + first[same], freqs + first[t], 2u * length[t]) == 0))
            same++;
        s->offset = offset[t];
        s->count = (uint16_t)(length[t] - 1);
        s->shift = shift[t];
        s->present = 1;
        s->escapes = freqs[first[t] + length[t] - 1] > 0;
        if (same < t) {
            s->base = self->symbols[same].base;
            self->lookup[t] = self->lookup[same];
        } else {
            compile_row(self, freqs + first[t], length[t], base, rows, offset[t], shift[t],
                        costs->buf);
            s->base = (uint16_t)base;
            self->lookup[t] = (uint32_t)rows << GUIDE_BITS;
            base += length[t];
            rows++;
        }
        self->plain[t].offset = s->offset;
        self->plain[t].base = s->base;
        self->plain[t].count = s->shift ? 0 : s->count;
    }
    return 0;
}

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    Py_buffer view[5];
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*", &view[0], &view[1], &view[2], &view[3], &view[4]))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Tables *self = (Tables *)alloc(type, 0);
    int error = self ? tables_fill(self, &view[0], &view[1], &view[2], &view[3], &view[4]) : -3;
    for (int i = 0; i < 5; i++)
        PyBuffer_Release(&view[i]);
    if (error == -1)
        PyErr_SetString(PyExc_ValueError, "these arrays are no tables");
    else if (error == -2)
        PyErr_NoMemory();
    if (error) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyType_Slot tables_slots[] = {
    {Py_tp_doc, "Tables compiled for the coder; made by lictor.entropy.Tables."},
    {Py_tp_new, tables_new},
    {Py_tp_dealloc, tables_dealloc},
    {0, NULL},
};

static PyType_Spec tables_spec = {
    .name = "lictor.entropy._rans.Tables",
    .basicsize = sizeof(Tables),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = tables_slots,
};

/* --------------------------------------------------------------- module */

typedef struct {
    PyTypeObject *tables_type;
} State;

/* The argument as Tables, or NULL with an exception. */
static Tables *as_tables(PyObject *self, PyObject *object)
{
    State *state = PyType_GetModuleState(Py_TYPE(self));
    if (state == NULL)
        return NULL;
    if (Py_TYPE(object) != state->tables_type) {
        PyErr_SetString(PyExc_TypeError, "expected compiled tables");
        return NULL;
    }
    return (Tables *)object;
}

/*
 * The coders give the GIL away while they work. Two threads in one coder would corrupt it, so the
 * second gets an exception; `busy` itself is only touched with the GIL held.
 */
static int enter(int *busy)
{
    if (*busy) {
        PyErr_SetString(PyExc_RuntimeError, "this coder is in use by another thread");
        return -1;
    }
    *busy = 1;
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
    for (size_t i = 0; i < more->filled; i++)
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

/* --------------------------------------------------------------- encoder */

typedef struct {                /* consecutive symbols with the same tables */
    Tables *tables;
    size_t end;                 /* one past its last symbol */
} Segment;

typedef struct {
    PyObject_HEAD
    int busy;
    uint16_t *slots;            /* entry of every symbol pushed so far */
    size_t count, capacity;
    Segment *segments;
    size_t segment_count, segment_capacity;
    Bits raw;
    uint64_t cost;              /* of the entries, in 1/256 bit */
} Encoder;

static void encoder_dealloc(Encoder *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    for (size_t i = 0; i < self->segment_count; i++)
        Py_DECREF((PyObject *)self->segments[i].tables);
    free(self->segments);
    free(self->slots);
    free(self->raw.bytes);
    release(self);
    Py_DECREF(type);
}

static PyObject *encoder_new(PyTypeObject *type, PyObject *Py_UNUSED(args),
                             PyObject *Py_UNUSED(kwargs))
{
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return alloc(type, 0);
}

/* Room for `more` slots and one segment; 0 or -1. */
static int encoder_reserve(Encoder *self, size_t more)
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
NOINLINE int push_raw(Bits *raw, const Symbols *s, int32_t symbol)
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

/* Turns symbols into slots and raw bits. PUSHED, NO_MEMORY, or the first symbol without a code. */
NOINLINE Py_ssize_t push_symbols(Encoder *self, const Tables *tables, const int32_t *symbols,
                               const uint8_t *index, Py_ssize_t count)
{
    uint16_t *slots = self->slots + self->count;
    const PlainSymbols *plain = tables->plain;
    const uint16_t *costs = tables->cost;
    uint64_t cost = self->cost;
    UNROLL for (Py_ssize_t j = 0; j < count; j++) {
        const PlainSymbols *p = &plain[index[j]];
        uint32_t entry = (uint32_t)symbols[j] - (uint32_t)p->offset;
        if (UNLIKELY(entry >= p->count)) {
            int found = push_raw(&self->raw, &tables->symbols[index[j]], symbols[j]);
            if (found < 0)
                return found == NO_CODE ? j : NO_MEMORY;
            entry = (uint32_t)found;
        } else {
            entry += p->base;
        }
        slots[j] = (uint16_t)entry;
        cost += costs[entry];
    }
    self->cost = cost;
    self->count += (size_t)count;
    return PUSHED;
}

/* push(symbols i32[n], index u8[n], tables) -> -1, or the position of a symbol without a code */
static PyObject *encoder_push(Encoder *self, PyObject *args)
{
    Py_buffer symbols, index;
    PyObject *object;
    if (!PyArg_ParseTuple(args, "y*y*O", &symbols, &index, &object))
        return NULL;
    PyObject *result = NULL;
    Tables *tables = as_tables((PyObject *)self, object);
    if (tables == NULL)
        goto done;
    if (symbols.len / 4 != index.len || symbols.len % 4 || (uintptr_t)symbols.buf % 4) {
        PyErr_SetString(PyExc_ValueError, "one int32 symbol for each uint8 index, aligned");
        goto done;
    }
    if (enter(&self->busy))
        goto done;
    Py_ssize_t status = NO_MEMORY;
    if (encoder_reserve(self, (size_t)index.len) == 0) {
        Bits raw = self->raw;
        Py_BEGIN_ALLOW_THREADS
        status = push_symbols(self, tables, symbols.buf, index.buf, index.len);
        Py_END_ALLOW_THREADS
        if (status != PUSHED) {             /* take back the bits, not the (larger) buffer */
            self->raw.filled = raw.filled;
            self->raw.pending = raw.pending;
            self->raw.pending_bits = raw.pending_bits;
        } else if (index.len > 0) {
            Segment *last = self->segments + self->segment_count - 1;
            if (self->segment_count == 0 || last->tables != tables) {
                Py_INCREF((PyObject *)tables);
                last = self->segments + self->segment_count++;
                last->tables = tables;
            }
            last->end = self->count;
        }
    }
    self->busy = 0;
    result = status == NO_MEMORY ? PyErr_NoMemory() : PyLong_FromSsize_t(status);
done:
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&index);
    return result;
}

/* Lanes cost about 2.4 bytes each and buy speed: see "Number of lanes" in STREAM.md. */
static int choose_lanes(uint64_t bits)
{
    uint64_t bytes = bits / 8;
    return bytes < 8192 ? 1 : bytes < 24576 ? 4 : bytes < 131072 ? 8 : 32;
}

static unsigned lanes_code(int lanes)
{
    return lanes == 1 ? 0 : lanes == 4 ? 1 : lanes == 8 ? 2 : 3;
}

ALWAYS_INLINE uint64_t divide(uint32_t state, const EncodeEntry *e)
{
#ifdef __SIZEOF_INT128__
    /* Exact: the reciprocal is less than freq too large, and state * freq < 2^46. For freq 1 the
     * quotient comes out one too small, which `bias` makes good. */
    return (uint64_t)((unsigned __int128)e->reciprocal * state >> 64);
#else
    return state / e->freq - (e->freq == 1);
#endif
}

ALWAYS_INLINE uint32_t encode_step(uint32_t x, const EncodeEntry *e, uint8_t **words)
{
    /* A branch here would be mispredicted too often: the word is written in any case. */
    uint32_t full = x >> RENORM_SHIFT >= e->freq;
    store_word(*words - 2, x);
    *words -= 2 * full;
    x = full ? x >> 16 : x;
    return x + e->bias + (uint32_t)divide(x, e) * e->complement;
}

/* Codes the symbols [begin, end) of the stream, last one first; returns the new word pointer. */
ALWAYS_INLINE uint8_t *encode_lanes(const int lanes, uint32_t *states, const EncodeEntry *entries,
                                    const uint16_t *slots, size_t begin, size_t end, uint8_t *words)
{
    uint32_t x[MAX_LANES];
    memcpy(x, states, sizeof x);
    for (; end > begin && end % (unsigned)lanes; end--)
        x[(end - 1) % (unsigned)lanes] =
            encode_step(x[(end - 1) % (unsigned)lanes], &entries[slots[end - 1]], &words);
    for (; end - begin >= (size_t)lanes; end -= (size_t)lanes) {
        const uint16_t *group = slots + end - lanes;
        UNROLL for (int k = lanes - 1; k >= 0; k--)
            x[k] = encode_step(x[k], &entries[group[k]], &words);
    }
    for (; end > begin; end--)
        x[(end - 1) % (unsigned)lanes] =
            encode_step(x[(end - 1) % (unsigned)lanes], &entries[slots[end - 1]], &words);
    memcpy(states, x, sizeof x);
    return words;
}

/* One compiled loop for each number of lanes. A vector path has this signature, too. */
static uint8_t *encode_run(int lanes, uint32_t *states, const EncodeEntry *entries,
                           const uint16_t *slots, size_t begin, size_t end, uint8_t *words)
{
    switch (lanes) {
    case 1: return encode_lanes(1, states, entries, slots, begin, end, words);
    case 4: return encode_lanes(4, states, entries, slots, begin, end, words);
    case 8: return encode_lanes(8, states, entries, slots, begin, end, words);
    default: return encode_lanes(32, states, entries, slots, begin, end, words);
    }
}

/* The tail's start: number of lanes and the states with which the decoder begins. */
static int put_states(Bits *tail, int lanes, const uint32_t *states)
{
    if (bits_put(tail, lanes_code(lanes), 2))
        return -1;
    for (int k = 0; k < lanes; k++) {
        unsigned extra = 0;
        while (extra < 15 && states[k] >> (extra + 17))
            extra++;
        uint32_t mantissa = states[k] & ~((uint32_t)STATE_LOW << extra);
        if (bits_put(tail, extra, 4) || bits_put(tail, mantissa, 16 + extra))
            return -1;
    }
    return 0;
}

typedef struct {
    uint8_t *buffer;            /* to free */
    uint8_t *words, *end;
    Bits tail;
} Coded;

static int encode_all(Encoder *self, Coded *coded)
{
    int lanes = choose_lanes((self->cost >> COST_BITS) + bits_count(&self->raw));
    uint32_t states[MAX_LANES];
    for (int k = 0; k < MAX_LANES; k++)
        states[k] = STATE_LOW;
    /* A symbol makes at most one word; two bytes more for the word that is written but not kept. */
    coded->buffer = malloc(2 * self->count + 2);
    if (coded->buffer == NULL)
        return -1;
    coded->end = coded->words = coded->buffer + 2 * self->count + 2;
    for (size_t i = self->segment_count; i-- > 0;) {
        size_t begin = i ? self->segments[i - 1].end : 0;
        coded->words = encode_run(lanes, states, self->segments[i].tables->encode, self->slots,
                                  begin, self->segments[i].end, coded->words);
    }
    if (put_states(&coded->tail, lanes, states) || bits_append(&coded->tail, &self->raw))
        return -1;
    return 0;
}

/* finish() -> bytes */
static PyObject *encoder_finish(Encoder *self, PyObject *Py_UNUSED(args))
{
    if (enter(&self->busy))
        return NULL;
    Coded coded = {0};
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = encode_all(self, &coded);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (error) {
        PyErr_NoMemory();
    } else {
        size_t size = (size_t)(coded.end - coded.words);
        size_t tail = (size_t)((bits_count(&coded.tail) + 7) / 8);
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(size + tail));
        if (result != NULL) {
            uint8_t *out = (uint8_t *)PyBytes_AsString(result);
            memcpy(out, coded.words, size);
            if (coded.tail.pending_bits)
                out[size] = (uint8_t)coded.tail.pending;
            for (size_t i = 0; i < coded.tail.filled; i++)
                out[size + tail - 1 - i] = coded.tail.bytes[i];
        }
    }
    free(coded.buffer);
    free(coded.tail.bytes);
    self->busy = 0;
    return result;
}

static PyMethodDef encoder_methods[] = {
    {"push", (PyCFunction)encoder_push, METH_VARARGS, "Add symbols; see coder.Encoder.push."},
    {"finish", (PyCFunction)encoder_finish, METH_NOARGS, "The stream; see coder.Encoder.finish."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "The C twin of lictor.entropy.reference.Encoder."},
    {Py_tp_new, encoder_new},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "lictor.entropy._rans.Encoder",
    .basicsize = sizeof(Encoder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = encoder_slots,
};

/* --------------------------------------------------------------- decoder */

/*
 * Bounded reads. The decoder owns a copy of the stream with padding on both sides:
 *
 *     FRONT zero bytes | words -> ... <- tail bits | BACK zero bytes
 *
 * Words: a symbol reads at most one, and the position is compared with the end at least every
 * DECODE_BLOCK symbols, so a read stays below length + 2 * DECODE_BLOCK = length + BACK.
 * Tail bits: each read is checked against the start of the stream; the 8-byte load that serves it
 * reaches at most 8 = FRONT bytes below that. Words and tail may not cross; since both only
 * advance, it is enough to check this at the end of each block.
 * Table look-ups: an index is checked by `present`, a slot has PRECISION bits by masking, and the
 * frequencies of a row add up to 2^PRECISION, so the search for a slot ends inside its row.
 */
enum { FRONT = 8, BACK = 2 * DECODE_BLOCK };

typedef struct {
    PyObject_HEAD
    int busy;
    int failed;
    int lanes;
    unsigned phase;             /* lane of the next symbol */
    uint8_t *buffer;
    size_t length;
    const uint8_t *data;        /* buffer + FRONT */
    const uint8_t *words;       /* next word */
    uint64_t bits;              /* tail bits read */
    uint32_t states[MAX_LANES];
} Decoder;

static void decoder_dealloc(Decoder *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    free(self->buffer);
    release(self);
    Py_DECREF(type);
}

/* The next `count` (1 to 32) bits of the tail; 0 and `failed` when the stream has no more. */
static uint32_t tail_get(Decoder *d, unsigned count)
{
    if (d->bits + count > (uint64_t)d->length * 8) {
        d->failed = 1;
        return 0;
    }
    const uint8_t *p = d->data + d->length - (size_t)(d->bits / 8) - 8;
    uint64_t window = (uint64_t)p[0] << 56 | (uint64_t)p[1] << 48 | (uint64_t)p[2] << 40 |
                      (uint64_t)p[3] << 32 | (uint64_t)p[4] << 24 | (uint64_t)p[5] << 16 |
                      (uint64_t)p[6] << 8 | (uint64_t)p[7];
    window >>= d->bits % 8;
    d->bits += count;
    return (uint32_t)(window & (((uint64_t)1 << count) - 1));
}

static size_t tail_bytes(const Decoder *d)
{
    return (size_t)((d->bits + 7) / 8);
}

/* Sets `failed` when more has been read than there is. */
static void check_crossing(Decoder *d)
{
    if ((size_t)(d->words - d->data) + tail_bytes(d) > d->length)
        d->failed = 1;
}

static void get_states(Decoder *d)
{
    static const int lanes[4] = {1, 4, 8, 32};
    d->lanes = lanes[tail_get(d, 2)];
    for (int k = 0; k < d->lanes; k++) {
        unsigned extra = tail_get(d, 4);
        d->states[k] = ((uint32_t)STATE_LOW << extra) + tail_get(d, 16 + extra);
    }
}

static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    Py_buffer data;
    if (!PyArg_ParseTuple(args, "y*", &data))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Decoder *self = (Decoder *)alloc(type, 0);
    if (self != NULL) {
        self->length = (size_t)data.len;
        self->buffer = calloc(1, FRONT + self->length + BACK);
        if (self->buffer == NULL) {
            Py_DECREF((PyObject *)self);
            self = NULL;
            PyErr_NoMemory();
        } else {
            memcpy(self->buffer + FRONT, data.buf, self->length);
            self->data = self->words = self->buffer + FRONT;
            get_states(self);
        }
    }
    PyBuffer_Release(&data);
    return (PyObject *)self;
}

/* A symbol that has raw bits: behind an escape, or of a table with a shift. */
NOINLINE int32_t raw_symbol(Decoder *d, const Symbols *s, int entry)
{
    if (entry == s->count) {
        uint32_t z = tail_get(d, ESCAPE_BITS);
        return unzigzag(z == ESCAPE_LONG ? tail_get(d, 32) : z);
    }
    int64_t unit = (int64_t)1 << s->shift;
    return (int32_t)((s->offset + entry) * unit + tail_get(d, s->shift) - (unit >> 1));
}

ALWAYS_INLINE int32_t decode_step(Decoder *d, const Tables *tables, unsigned index,
                                  uint32_t *state, const uint8_t **words)
{
    uint32_t x = *state;
    uint32_t slot = x & (TOTAL - 1);
    uint32_t guide = tables->guide[tables->lookup[index] + (slot >> GUIDE_SHIFT)];
    const DecodeEntry *e = &tables->decode[(guide & 0xFFFF) + (slot >= guide >> 16)];
    while (UNLIKELY(slot - e->start >= e->freq))
        e++;
    x = e->freq * (x >> PRECISION) + slot - e->start;
    /* A branch here would be mispredicted too often: the word is read in any case. */
    uint32_t low = x < STATE_LOW;
    x ^= (x ^ (x << 16 | load_word(*words))) & (0 - low);
    *words += 2 * low;
    *state = x;
    int32_t value = e->value;
    if (UNLIKELY(value == RAW_VALUE)) {
        const Symbols *s = &tables->symbols[index];
        value = raw_symbol(d, s, (int)(e - tables->decode) - s->base);
    }
    return value;
}

/* Decodes at most DECODE_BLOCK symbols. */
ALWAYS_INLINE void decode_lanes(const int lanes, Decoder *d, const Tables *tables,
                                const uint8_t *index, int32_t *out, size_t count)
{
    uint32_t x[MAX_LANES];
    memcpy(x, d->states, sizeof x);
    const uint8_t *words = d->words;
    unsigned phase = d->phase;
    size_t j = 0;
    for (; j < count && phase; j++, phase = (phase + 1) % (unsigned)lanes)
        out[j] = decode_step(d, tables, index[j], &x[phase], &words);
    for (; count - j >= (size_t)lanes; j += (size_t)lanes)
        UNROLL for (int k = 0; k < lanes; k++)
            out[j + (size_t)k] = decode_step(d, tables, index[j + (size_t)k], &x[k], &words);
    for (; j < count; j++, phase = (phase + 1) % (unsigned)lanes)
        out[j] = decode_step(d, tables, index[j], &x[phase], &words);
    memcpy(d->states, x, sizeof x);
    d->words = words;
    d->phase = phase;
}

/* One compiled loop for each number of lanes. A vector path has this signature, too. */
static void decode_block(Decoder *d, const Tables *tables, const uint8_t *index, int32_t *out,
                         size_t count)
{
    switch (d->lanes) {
    case 1: decode_lanes(1, d, tables, index, out, count); break;
    case 4: decode_lanes(4, d, tables, index, out, count); break;
    case 8: decode_lanes(8, d, tables, index, out, count); break;
    default: decode_lanes(32, d, tables, index, out, count); break;
    }
}

static void decode_all(Decoder *d, const Tables *tables, const uint8_t *index, int32_t *out,
                       size_t count)
{
    while (count > 0 && !d->failed) {
        size_t block = count < DECODE_BLOCK ? count : DECODE_BLOCK;
        decode_block(d, tables, index, out, block);
        check_crossing(d);
        index += block;
        out += block;
        count -= block;
    }
}

static int indexes_are_present(const Tables *tables, const uint8_t *index, Py_ssize_t count)
{
    uint8_t largest = 0;
    for (Py_ssize_t j = 0; j < count; j++)
        largest = index[j] > largest ? index[j] : largest;
    return tables->symbols[largest].present;
}

/* pull(index u8[n], tables, out i32[n]) -> whether the stream had as many symbols */
static PyObject *decoder_pull(Decoder *self, PyObject *args)
{
    Py_buffer index, out;
    PyObject *object;
    if (!PyArg_ParseTuple(args, "y*Ow*", &index, &object, &out))
        return NULL;
    PyObject *result = NULL;
    Tables *tables = as_tables((PyObject *)self, object);
    if (tables == NULL)
        goto done;
    if (out.len / 4 != index.len || out.len % 4 || (uintptr_t)out.buf % 4 ||
        !indexes_are_present(tables, index.buf, index.len)) {
        PyErr_SetString(PyExc_ValueError, "one int32 of output for each index of a table, aligned");
        goto done;
    }
    if (enter(&self->busy))
        goto done;
    Py_BEGIN_ALLOW_THREADS
    decode_all(self, tables, index.buf, out.buf, (size_t)index.len);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    result = PyBool_FromLong(!self->failed);
done:
    PyBuffer_Release(&index);
    PyBuffer_Release(&out);
    return result;
}

/* ended() -> (whether all states are final, bytes left over, unused bits that are set) */
static PyObject *decoder_ended(Decoder *self, PyObject *Py_UNUSED(args))
{
    if (enter(&self->busy))
        return NULL;
    int final = !self->failed;
    for (int k = 0; k < self->lanes; k++)
        final = final && self->states[k] == STATE_LOW;
    size_t used = (size_t)(self->words - self->data) + tail_bytes(self);
    size_t left = used < self->length ? self->length - used : 0;
    unsigned unused = 0;
    if (self->bits % 8 && !self->failed)
        unused = self->data[self->length - tail_bytes(self)] >> self->bits % 8;
    self->busy = 0;
    return Py_BuildValue("(Oni)", final ? Py_True : Py_False, (Py_ssize_t)left, (int)unused);
}

static PyObject *decoder_failed(Decoder *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->failed);
}

static PyMethodDef decoder_methods[] = {
    {"pull", (PyCFunction)decoder_pull, METH_VARARGS, "Decode; see coder.Decoder.pull."},
    {"ended", (PyCFunction)decoder_ended, METH_NOARGS, "Final state; see coder.Decoder.close."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef decoder_getset[] = {
    {"failed", (getter)decoder_failed, NULL, "Whether the stream was too short.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc, "The C twin of lictor.entropy.reference.Decoder."},
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {Py_tp_getset, decoder_getset},
    {0, NULL},
};

static PyType_Spec decoder_spec = {
    .name = "lictor.entropy._rans.Decoder",
    .basicsize = sizeof(Decoder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = decoder_slots,
};

/* ---------------------------------------------------------------- set-up */

static PyObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return type;
}

static int rans_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    state->tables_type = (PyTypeObject *)add_type(module, &tables_spec);
    PyObject *encoder = add_type(module, &encoder_spec);
    PyObject *decoder = add_type(module, &decoder_spec);
    int error = !state->tables_type || !encoder || !decoder;
    Py_XDECREF(encoder);
    Py_XDECREF(decoder);
    return error ? -1 : 0;
}

static int rans_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->tables_type);
    return 0;
}

static int rans_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->tables_type);
    return 0;
}

static void rans_free(void *module)
{
    rans_clear((PyObject *)module);
}

static PyModuleDef_Slot rans_slots[] = {
    {Py_mod_exec, rans_exec},
    {0, NULL},
};

static PyModuleDef rans_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_rans",
    .m_doc = "Interleaved rANS coder of lictor.entropy, in C.",
    .m_size = sizeof(State),
    .m_slots = rans_slots,
    .m_traverse = rans_traverse,
    .m_clear = rans_clear,
    .m_free = rans_free,
};

PyMODINIT_FUNC PyInit__rans(void)
{
    return PyModuleDef_Init(&rans_module);
}
