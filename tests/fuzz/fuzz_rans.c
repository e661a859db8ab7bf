/*
 * Fuzzing of entropy/rans.h, without Python: whatever the bytes, all paths of this CPU must do the
 * same, within their bounds, and give back what they were given.
 *
 * The input is read as a recipe for tables, indexes and symbols; what is left is a hostile stream.
 * Built with clang's -fsanitize=fuzzer this is a libFuzzer target; with -DREPLAY it is a program
 * that runs the files it is given, under any compiler, also for other CPUs. run.sh does both.
 */
#define NAME "fuzz_rans"
#define OWN_MAIN
#include "fuzz.h"

#include "../../entropy/rans.h"

enum { TABLES = 256, SYMBOLS = 2000 };

typedef struct {
    const uint8_t *bytes;
    size_t count;
} Input;

static unsigned take(Input *in)
{
    if (in->count == 0)
        return 0;
    in->count--;
    return *in->bytes++;
}

static unsigned take_two(Input *in)
{
    unsigned low = take(in);
    return take(in) << 8 | low;
}

/* Frequencies that add up to TOTAL: each takes some of what is left, and the escape the rest. */
static size_t make_row(Input *in, uint16_t *freqs)
{
    size_t length = 2 + take(in) % 255;
    unsigned kind = take(in);
    unsigned left = TOTAL;
    for (size_t i = 0; i + 1 < length; i++) {
        unsigned most = left - (unsigned)(length - 2 - i);  /* one at least for the others */
        unsigned share = kind & 1 ? left / 2 : kind & 2 ? 1 : take(in) * 8;
        unsigned last = i + 2 == length && kind & 4;        /* no escape */
        unsigned freq = last ? left : share < 1 ? 1 : share > most ? most : share;
        freqs[i] = (uint16_t)freq;
        left -= freq;
    }
    freqs[length - 1] = (uint16_t)left;
    return length;
}

static int make_tables(Input *in, RansTables *tables)
{
    static uint16_t freqs[TABLES * MAX_ENTRIES], lengths[TABLES];
    static int32_t offsets[TABLES];
    static uint8_t shifts[TABLES];
    size_t count = 1 + (take(in) & 3 ? take(in) % 8 : take(in));
    size_t total = 0;
    for (size_t t = 0; t < count; t++) {
        if (t >= 8) {               /* many tables are copies, elsewhere */
            memcpy(freqs + total, freqs, 2u * lengths[0]);
            lengths[t] = lengths[0];
            offsets[t] = (int32_t)t - 100;
            shifts[t] = 0;
        } else {
            lengths[t] = (uint16_t)make_row(in, freqs + total);
            unsigned kind = take(in);
            shifts[t] = kind & 1 ? (uint8_t)(kind >> 1) % 19 : 0;
            offsets[t] = (int16_t)take_two(in) >> (kind & 2 ? 8 : 0);
            if (kind & 4)
                offsets[t] *= 40000;
        }
        total += lengths[t];
    }
    memset(tables, 0, sizeof *tables);
    return rans_tables_fill(tables, freqs, total, lengths, offsets, shifts, count);
}

static size_t make_symbols(Input *in, const RansTables *tables, int32_t *symbols, uint8_t *index)
{
    size_t count = take_two(in) % (SYMBOLS + 1);
    uint32_t noise = take_two(in) + 1;
    for (size_t j = 0; j < count; j++) {
        noise = noise * 1664525 + 1013904223;
        unsigned kind = noise >> 24;
        index[j] = (uint8_t)((noise >> 8) % (tables->count + (kind == 255)));
        const Symbols *s = &tables->symbols[index[j]];
        if (kind < 8 || s->count == 0) {
            symbols[j] = (int32_t)(noise * 2654435761u >> (kind & 1 ? 0 : 16));
        } else {
            int64_t unit = (int64_t)1 << s->shift;
            int64_t entry = (noise >> 4) % s->count;
            symbols[j] = (int32_t)((s->offset + entry) * unit - (unit >> 1) + (noise >> 5) % unit);
        }
    }
    return count;
}

typedef struct {
    int error, failed;
    End end;
    uint32_t crc;
    int32_t symbols[SYMBOLS];
} Outcome;

/* Decodes in two pulls. */
static void decode(const Path *path, const RansTables *tables, const uint8_t *data, size_t length,
                   const uint8_t *index, size_t count, size_t cut, Outcome *outcome)
{
    RansDecoder decoder;
    memset(&decoder, 0, sizeof decoder);
    memset(outcome, 0, sizeof *outcome);
    require(rans_decoder_open(&decoder, path, data, length) == 0, "no memory");
    if (!decoder.failed)
        outcome->error = rans_pull(&decoder, tables, index, outcome->symbols, cut, 1) ||
                         rans_pull(&decoder, tables, index + cut, outcome->symbols + cut,
                                   count - cut, 1);
    /* Where a bad index is met depends on how the pulls are cut, and so does what comes first. */
    outcome->failed = decoder.failed && !outcome->error;
    if (decoder.failed || outcome->error) {
        memset(outcome->symbols, 0, sizeof outcome->symbols);
    } else {
        outcome->crc = decoder.crc;
        outcome->end = rans_ended(&decoder);
        require(decoder.crc == checksum_scalar(0, (const uint8_t *)outcome->symbols, 4 * count),
                "the decoder's checksum is another");
    }
    rans_decoder_free(&decoder);
}

static int same(const Outcome *a, const Outcome *b)
{
    return a->error == b->error && a->failed == b->failed && a->crc == b->crc &&
           a->end.final == b->end.final && a->end.left == b->end.left &&
           a->end.unused == b->end.unused &&
           memcmp(a->symbols, b->symbols, sizeof a->symbols) == 0;
}

/* The stream in malloc'ed memory of just its size, or NULL if a symbol has no code. */
static uint8_t *encode(const Path *path, const RansTables *tables, const int32_t *symbols,
                       const uint8_t *index, size_t count, size_t cut, int lanes, size_t *size)
{
    RansEncoder encoder;
    Coded coded;
    uint8_t *stream = NULL;
    memset(&encoder, 0, sizeof encoder);
    memset(&coded, 0, sizeof coded);
    encoder.path = path;
    ptrdiff_t first = rans_push(&encoder, tables, symbols, index, cut, 1);
    ptrdiff_t second = rans_push(&encoder, tables, symbols + cut, index + cut, count - cut, 1);
    require(first != NO_MEMORY && second != NO_MEMORY, "no memory");
    if (first == PUSHED && second == PUSHED) {
        require(encoder.crc == checksum_scalar(0, (const uint8_t *)symbols, 4 * count),
                "the encoder's checksum is another");
        require(rans_finish(&encoder, lanes, &coded) == 0, "no memory");
        *size = rans_coded_size(&coded);
        stream = malloc(*size);
        require(stream != NULL, "no memory");
        rans_coded_write(&coded, stream);
    }
    rans_coded_free(&coded);
    rans_encoder_free(&encoder);
    return stream;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int32_t symbols[SYMBOLS];
    static uint8_t index[SYMBOLS];
    static Outcome outcomes[2];
    static RansTables tables;
    static const int all_lanes[5] = {0, 1, 4, 8, 32};
    const Path *paths[MAX_PATHS];
    Input in = {data, size};
    rans_set_up();
    size_t path_count = rans_paths(paths);
    int lanes = all_lanes[take(&in) % 5];
    if (make_tables(&in, &tables) == 0) {
        size_t count = make_symbols(&in, &tables, symbols, index);
        size_t cut = count ? take_two(&in) % count : 0;
        size_t length = 0, other = 0;
        uint8_t *stream =
            encode(paths[0], &tables, symbols, index, count, cut, lanes, &length);
        for (size_t i = 1; i < path_count; i++) {
            uint8_t *again = encode(paths[i], &tables, symbols, index, count, 0, lanes, &other);
            require(!stream == !again, "paths disagree on what has a code");
            require(!stream || (length == other && memcmp(stream, again, length) == 0),
                    "paths give other streams");
            free(again);
        }
        for (int hostile = !stream; hostile < 2; hostile++) {
            const uint8_t *bytes = hostile ? in.bytes : stream;
            size_t have = hostile ? in.count : length;
            for (size_t i = 0; i < path_count; i++) {
                decode(paths[i], &tables, bytes, have, index, count, i ? 0 : cut,
                       &outcomes[i > 0]);
                require(i == 0 || same(&outcomes[0], &outcomes[1]), "paths decode differently");
            }
            if (!hostile)
                require(!outcomes[0].failed && !outcomes[0].error && outcomes[0].end.final &&
                            outcomes[0].end.left == 0 && outcomes[0].end.unused == 0 &&
                            memcmp(outcomes[0].symbols, symbols, 4 * count) == 0,
                        "what was encoded does not come back");
        }
        free(stream);
    }
    rans_tables_free(&tables);
    return 0;
}

#ifdef REPLAY
int main(int count, char **names)
{
    const Path *paths[MAX_PATHS];
    rans_set_up();
    for (size_t i = 0; i < rans_paths(paths); i++)
        printf("%s ", paths[i]->name);
    replay(count, names);
    return 0;
}
#endif
