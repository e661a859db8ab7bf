/*
 * What overfit.py calls: a tile's stream, and samples, by the same code compiled for several kinds
 * of CPU. Compilers make vectors of its loops; integers give the same on each.
 */
#ifndef LICTOR_OVERFIT_PATHS_H
#define LICTOR_OVERFIT_PATHS_H

#include "synthesis.h"

typedef void CodeGrids(const Network *n, const Coder *c, const Grids *grids, Walk *w);
typedef int Synthesize(const Network *n, const Grids *grids, const Area *area, const Picture *out);

typedef struct {
    const char *name;
    CodeGrids *code_grids;
    Synthesize *synthesize;
} Path;

#define PATH(NAME, TARGET)                                                                         \
    TARGET static void code_grids_##NAME(const Network *n, const Coder *c, const Grids *grids,     \
                                         Walk *w)                                                  \
    {                                                                                              \
        code_grids(n, c, grids, w);                                                                \
    }                                                                                              \
    TARGET static int synthesize_##NAME(const Network *n, const Grids *grids, const Area *area,    \
                                        const Picture *out)                                        \
    {                                                                                              \
        return synthesize_area(n, grids, area, out);                                               \
    }

PATH(plain, )
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define HAVE_X86_PATHS 1
PATH(avx2, __attribute__((target("avx2,bmi2"))))
PATH(avx512, __attribute__((target("avx2,bmi2,avx512f,avx512bw,avx512dq,avx512vl"))))
#endif

enum { MOST_PATHS = 3 };

/* Fills in the paths that this CPU can take, best first; returns their number. */
static int paths_here(Path *paths)
{
    int count = 0;
#ifdef HAVE_X86_PATHS
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
    if (avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
        && __builtin_cpu_supports("avx512vl"))
        paths[count++] = (Path){"avx512", code_grids_avx512, synthesize_avx512};
    if (avx2)
        paths[count++] = (Path){"avx2", code_grids_avx2, synthesize_avx2};
#endif
    paths[count++] = (Path){"plain", code_grids_plain, synthesize_plain};
    return count;
}

enum { OVERFIT_OK, OVERFIT_CORRUPT, OVERFIT_NO_MEMORY };

/* The stream of a tile, for the caller to free; NULL when memory is short. */
static uint8_t *tile_encode(const Path *path, const Network *n, const Grids *grids, size_t *length)
{
    Encoder encoder = {0};
    Coder c = {&encoder, NULL};
    Walk walk;
    uint8_t *stream = NULL;
    if (walk_start(&walk, grids->height, grids->width)) {
        path->code_grids(n, &c, grids, &walk);
        stream = encoder_finish(&encoder, length);
    }
    walk_free(&walk);
    encoder_free(&encoder);
    return stream;
}

/* The way back. */
static int tile_decode(const Path *path, const Network *n, const Grids *grids,
                       const uint8_t *stream, size_t length)
{
    Decoder decoder;
    Coder c = {NULL, &decoder};
    Walk walk;
    int status = OVERFIT_NO_MEMORY;
    decoder_start(&decoder, stream, length);
    if (walk_start(&walk, grids->height, grids->width)) {
        path->code_grids(n, &c, grids, &walk);
        status = decoder_ended(&decoder) ? OVERFIT_OK : OVERFIT_CORRUPT;
    }
    walk_free(&walk);
    return status;
}

#endif
