/* overfit.c: overfitted pictures (models/overfit) for JavaScript (src/overfit.js). */
#include "pixels.h"
#include "../../models/overfit/paths.h"
#include "starts.h" /* made by build.py */

static Path best(void)
{
    static int ready;
    Path paths[MOST_PATHS];
    if (!ready)
        laplace_set_up();
    ready = 1;
    paths_here(paths);
    return paths[0];
}

/* A number of half precision in whole steps of 2^-exponent, the nearest; halves to even. */
static int64_t steps_of(uint16_t half, int exponent)
{
    int power = half >> 10 & 31, down = 25 - exponent - (power ? power : 1);
    int64_t mantissa = (half & 1023) | (power ? 1024 : 0), steps = mantissa;
    if (down <= 0) {
        steps <<= -down;
    } else {
        int64_t rest = mantissa & (((int64_t)1 << down) - 1), middle = (int64_t)1 << (down - 1);
        steps >>= down;
        steps += rest > middle || (rest == middle && (steps & 1));
    }
    steps = half >> 15 ? -steps : steps;
    return steps < INT16_MIN ? INT16_MIN : steps > INT16_MAX ? INT16_MAX : steps;
}

/* Differences to a start become numbers; 0 where there is no such start, or there are none such. */
static int add_start(Parameters *p)
{
    Part parts[MOST_PARTS];
    int count = parts_of(&SIZES[p->size], parts), at = 0;
    const uint16_t *start = starts[p->size];
    if (!p->start)
        return 1;
    if (p->start > start_counts[p->size])
        return 0;
    start += (p->start - 1) * parameter_count(&SIZES[p->size]);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < parts[i].count; k++, at++) {
            int64_t sum = p->numbers[at] + steps_of(start[at], p->exponents[parts[i].group]);
            if (sum < INT16_MIN || sum > INT16_MAX)
                return 0;
            p->numbers[at] = (int16_t)sum;
        }
    return 1;
}

/* Networks ready for use; NULL with *status set. */
static Network *networks_of(const uint8_t *bytes, size_t length, int *status)
{
    Parameters parameters;
    Network *n = NULL;
    *status = CODED_DAMAGED;
    if (!parameters_read(&parameters, bytes, length) || !add_start(&parameters))
        return NULL;
    *status = CODED_MEMORY;
    if ((n = malloc(sizeof *n)) == NULL)
        return NULL;
    network_start(n, &parameters);
    return n;
}

/* Symbols of all grids of a picture or tile. */
EXPORT("overfit_symbols") size_t overfit_symbols(int height, int width)
{
    return grids_lay_out(NULL, height, width, NULL);
}

EXPORT("overfit_tile_decode")
int overfit_tile_decode(const uint8_t *networks, size_t networks_length, const uint8_t *stream,
                        size_t length, int8_t *symbols, int height, int width)
{
    Path path = best();
    Grids grids;
    int status;
    Network *n = networks_of(networks, networks_length, &status);
    if (n == NULL)
        return status;
    grids_lay_out(&grids, height, width, symbols);
    status = tile_decode(&path, n, &grids, stream, length);
    free(n);
    return status == OVERFIT_NO_MEMORY ? CODED_MEMORY : status == OVERFIT_OK ? CODED_OK
                                                                          : CODED_DAMAGED;
}

/* Samples of a part of a picture. */
EXPORT("overfit_synthesize")
int overfit_synthesize(const uint8_t *networks, size_t networks_length, int8_t *symbols, int height,
                       int width, int top, int left, int bottom, int right, void *samples,
                       int channels, int depth)
{
    Path path = best();
    Grids grids;
    Area a = {.top = top, .left = left, .bottom = bottom, .right = right};
    Picture out = {.samples = samples, .stride = (ptrdiff_t)(right - left) * channels,
                   .channels = channels, .depth = depth};
    int status;
    Network *n = networks_of(networks, networks_length, &status);
    if (n == NULL)
        return status;
    grids_lay_out(&grids, height, width, symbols);
    status = path.synthesize(n, &grids, &a, &out) ? CODED_OK : CODED_MEMORY;
    free(n);
    return status;
}
