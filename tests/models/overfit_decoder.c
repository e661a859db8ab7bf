/*
 * Decodes one tile and writes its symbols and 16-bit samples, as any other machine must:
 *
 *     overfit_decoder HEIGHT WIDTH NETWORKS STREAM OUT
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../models/overfit/paths.h"

static uint8_t *contents(const char *name, size_t *length)
{
    FILE *file = fopen(name, "rb");
    uint8_t *bytes = malloc(1 << 20);
    if (!file || !bytes)
        exit(2);
    *length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

int main(int count, char **words)
{
    static Parameters parameters;
    static Network network;
    size_t networks_length, length;
    Path paths[MOST_PATHS];
    Grids grids;
    if (count != 6)
        return 2;
    laplace_set_up();
    int height = atoi(words[1]), width = atoi(words[2]);
    uint8_t *networks = contents(words[3], &networks_length), *stream = contents(words[4], &length);
    size_t symbol_count = grids_lay_out(NULL, height, width, NULL);
    size_t values = (size_t)height * (size_t)width * 3;
    int8_t *symbols = calloc(symbol_count, 1);
    uint16_t *samples = calloc(values, sizeof *samples);
    FILE *out = fopen(words[5], "wb");
    if (!symbols || !samples || !out || !parameters_read(&parameters, networks, networks_length))
        return 2;
    network_start(&network, &parameters);
    grids_lay_out(&grids, height, width, symbols);
    paths_here(paths);
    Area all = {0, 0, height, width};
    Picture picture = {samples, (ptrdiff_t)width * 3, 3, 16};
    if (tile_decode(&paths[0], &network, &grids, stream, length) != OVERFIT_OK
        || !paths[0].synthesize(&network, &grids, &all, &picture))
        return 1;
    fwrite(symbols, 1, symbol_count, out);
    fwrite(samples, sizeof *samples, values, out);
    free(symbols);
    free(samples);
    free(networks);
    free(stream);
    return fclose(out) != 0;
}
