/*
 * The layers of Lictor's networks, without Python and without PyTorch: matrix products, depthwise
 * convolutions, residual blocks. Portable C; for x86 also paths of AVX2 and AVX-512, chosen by what
 * the processor has.
 *
 * Of the layers in floats, paths may differ in the last bits; of the exact ones none does.
 */
#ifndef LICTOR_KERNELS_H
#define LICTOR_KERNELS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PANEL 16 /* columns of a matrix that lie side by side in memory; see product.h */
#define TILE 96  /* rows that are worked on at a time: their numbers stay in the cache */

#define EXACT_UNIT (1.0 / 65536) /* of the weights of exact networks */
#define EXACT_LIMIT 8388608.0    /* of their activations, on both sides */

enum { ADD = 1, LEAKY = 2, RELU6 = 4 }; /* what comes after a layer */

/* Rows that a product takes from an array: `lines` times `rows` of them, `line` and `row` apart. */
typedef struct {
    size_t lines, line, rows, row, inputs;
} Rows;

/* A depthwise convolution of kernel * kernel taps. before: zeros above and to the left of the
   input, (height, width, channels). taps: (kernel * kernel, channels), floats or doubles. */
typedef struct {
    ptrdiff_t height, width;
    size_t channels;
    ptrdiff_t kernel, stride, before;
    const void *taps, *bias;
} Depthwise;

/* What follows the first layer of a residual block (models/coding/layers.py, Block). */
typedef struct {
    Depthwise spatial;
    const float *leave, *leave_bias, *expand, *expand_bias, *project, *project_bias, *cap;
} Block;

/* The way back through one. spatial: its taps turned by half a turn. The matrices: transposed. */
typedef struct {
    Depthwise spatial;
    const float *enter, *leave, *expand, *project, *cap;
} BlockBack;

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define UNROLL _Pragma("GCC unroll 16")
#else
#define UNROLL
#endif

/* ---- any processor: vectors of 16 bytes, which all have that gcc and clang know of */

#define TARGET
#if defined(__GNUC__) || defined(__clang__)
#define FLOATS 4
#define DOUBLES 2
#else
#define FLOATS 1
#define DOUBLES 1
#endif

#define REAL float
#define NAME(x) any_float_##x
#define LANES FLOATS
#define WIDE 4
#if defined(__aarch64__)
#define TALL 6
#else
#define TALL 2
#endif
#include "product.h"
#include "float_paths.h"
#include "gradient_paths.h"
#undef REAL
#undef NAME
#undef LANES
#define REAL double
#define NAME(x) any_double_##x
#define LANES DOUBLES
#include "product.h"
#include "exact_paths.h"
#undef REAL
#undef NAME
#undef LANES
#undef WIDE
#undef TALL
#undef TARGET

#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define X86_PATHS 1

/* ---- AVX2 */

#define TARGET __attribute__((target("avx2,fma")))
#define REAL float
#define NAME(x) avx2_float_##x
#define LANES 8
#define WIDE 2
#define TALL 6
#include "product.h"
#include "float_paths.h"
#include "gradient_paths.h"
#undef REAL
#undef NAME
#undef LANES
#define REAL double
#define NAME(x) avx2_double_##x
#define LANES 4
#include "product.h"
#include "exact_paths.h"
#undef REAL
#undef NAME
#undef LANES
#undef WIDE
#undef TALL
#undef TARGET

/* ---- AVX-512 */

#define TARGET __attribute__((target("avx2,fma,avx512f,avx512dq,avx512vl")))
#define REAL float
#define NAME(x) avx512_float_##x
#define LANES 16
#define WIDE 2
#define TALL 12
#include "product.h"
#include "float_paths.h"
#include "gradient_paths.h"
#undef REAL
#undef NAME
#undef LANES
#define REAL double
#define NAME(x) avx512_double_##x
#define LANES 8
#include "product.h"
#include "exact_paths.h"
#undef REAL
#undef NAME
#undef LANES
#undef WIDE
#undef TALL
#undef TARGET

#endif

/* ---- the one that this processor has */

enum { PATH_ANY, PATH_AVX2, PATH_AVX512 };

static int best_path(void)
{
#ifdef X86_PATHS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PATH_ANY;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")
                   && __builtin_cpu_supports("avx512vl")
               ? PATH_AVX512
               : PATH_AVX2;
#else
    return PATH_ANY;
#endif
}

#ifdef X86_PATHS
#define ON_PATH(path, call, ...)                                                                   \
    ((path) == PATH_AVX512 ? avx512_##call(__VA_ARGS__)                                            \
     : (path) == PATH_AVX2 ? avx2_##call(__VA_ARGS__)                                              \
                           : any_##call(__VA_ARGS__))
#else
#define ON_PATH(path, call, ...) ((void)(path), any_##call(__VA_ARGS__))
#endif

#endif
