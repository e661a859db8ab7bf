/*
 * Hostile streams and networks for overfitted pictures. The first bytes choose the shape of a tile,
 * its size of networks and what is done: the rest is read as networks; or it is parameters, whatever
 * they are, with a stream that is decoded, or with symbols that are coded and must come back. Then
 * samples are made of the symbols. All versions of the code must do the same.
 */
#define NAME "fuzz_overfit"
#include "fuzz.h"

#include "../../models/overfit/paths.h"

enum { MOST_SIDE = 70, HEADER = 4, FROM_PARAMETERS = 64 };

static void fill(void *to, size_t count, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < count; i++)
        ((uint8_t *)to)[i] = size ? data[i % size] : 0;
}

static void networks_of(Parameters *p, int size, const uint8_t *data, size_t count)
{
    memset(p, 0, sizeof *p);
    p->size = size;
    fill(p->numbers, 2 * (size_t)parameter_count(&SIZES[size]), data, count);
    fill(p->exponents, GROUPS, data, count);
    fill(p->spreads, GROUPS, data, count);
    for (int g = 0; g < GROUPS; g++) {
        p->exponents[g] = (uint8_t)(1 + p->exponents[g] % 15);
        p->spreads[g] %= SPREADS;
    }
}

static void come_back(Parameters *p)
{
    Parameters again;
    size_t length = 0;
    uint8_t *bytes = parameters_write(p, &length);
    if (bytes == NULL)
        return;
    require(parameters_read(&again, bytes, length), "the networks are refused");
    require(again.size == p->size && !memcmp(again.exponents, p->exponents, GROUPS)
            && !memcmp(again.numbers, p->numbers, 2 * (size_t)parameter_count(&SIZES[p->size])),
            "other networks come back");
    free(bytes);
}

/* Codes symbols, decodes them, and holds them against what they were. */
static void round_trip(const Path *path, const Network *n, Grids *grids, int8_t *symbols, size_t count)
{
    size_t length = 0;
    int8_t *again = calloc(count, 1);
    uint8_t *stream = tile_encode(path, n, grids, &length);
    if (again && stream) {
        Grids back;
        grids_lay_out(&back, grids->height, grids->width, again);
        require(tile_decode(path, n, &back, stream, length) == OVERFIT_OK, "the stream is refused");
        require(memcmp(again, symbols, count) == 0, "other symbols come back");
    }
    free(stream);
    free(again);
}

static void make_samples(const Path *paths, int count, const Network *n, const Grids *grids,
                         uint8_t kind)
{
    int channels = kind & 1 ? 3 : 1, depth = kind & 2 ? 16 : 8;
    Area all = {0, 0, grids->height, grids->width};
    size_t bytes = (size_t)grids->height * grids->width * channels * (depth / 8);
    uint8_t *samples[MOST_PATHS] = {NULL};
    int fine = 1;
    for (int i = 0; i < count; i++) {
        samples[i] = malloc(bytes);
        Picture out = {samples[i], (ptrdiff_t)grids->width * channels, channels, depth};
        fine = fine && samples[i] && paths[i].synthesize(n, grids, &all, &out);
        require(!fine || memcmp(samples[i], samples[0], bytes) == 0, "paths make other samples");
    }
    for (int i = 0; i < count; i++)
        free(samples[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready = 0;
    static Parameters p;
    static Network n;
    Path paths[MOST_PATHS];
    Grids grids;
    if (!ready) {
        laplace_set_up();
        ready = 1;
    }
    if (size < HEADER)
        return 0;
    int height = 1 + data[1] % MOST_SIDE, width = 1 + data[2] % MOST_SIDE, count = paths_here(paths);
    int split = data[3], kind = data[0];
    data += HEADER;
    size -= HEADER;
    if (!(kind & FROM_PARAMETERS)) {
        if (!parameters_read(&p, data, size))
            return 0;
        split = 0;
    } else {
        networks_of(&p, kind % SIZE_COUNT, data, size < (size_t)split ? size : (size_t)split);
        come_back(&p);
    }
    network_start(&n, &p);
    size_t rest = size < (size_t)split ? 0 : size - (size_t)split;
    size_t symbol_count = grids_lay_out(NULL, height, width, NULL);
    int8_t *symbols = calloc(symbol_count, 1);
    if (symbols == NULL)
        return 0;
    grids_lay_out(&grids, height, width, symbols);
    if (kind & 8) {
        fill(symbols, symbol_count, data + (size - rest), rest);
        for (size_t i = 0; i < symbol_count; i++)
            symbols[i] = (int8_t)(symbols[i] >> 1);
        round_trip(&paths[kind >> 4 & 1 ? 0 : count - 1], &n, &grids, symbols, symbol_count);
    } else {
        (void)tile_decode(&paths[0], &n, &grids, data + (size - rest), rest);
    }
    make_samples(paths, count, &n, &grids, (uint8_t)(kind >> 1));
    free(symbols);
    return 0;
}
