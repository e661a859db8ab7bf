/* overfit.c: overfitted pictures (models/overfit) for JavaScript (src/overfit.js). */
#include "pixels.h"
#include "../../models/overfit/paths.h"

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

/* Networks ready for use; NULL with *status set. */
static Network *networks_of(const uint8_t *bytes, size_t length, int *status)
{
    Parameters parameters;
    Network *n = NULL;
    *status = CODED_DAMAGED;
    if (!parameters_read(&parameters, bytes, length))
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
