/*
 * The filter of what the synthesis gives, in C; wiener.py says what it is, FORMAT.md is the
 * specification.
 */
#ifndef LICTOR_WIENER_H
#define LICTOR_WIENER_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define EDGE 3         /* how many pixels away a pixel depends on others */
#define RING 9         /* rows that activities need in memory */
#define MOST_CLASSES 8 /* of a filter */
#define MOST_TAP 255
#define PLACES(n) ((n) == 1 ? 8 : 16) /* of the features of n colours, the rest zeros */

/* height, width, colours: of a picture, 1 or 3 colours. thresholds: `count` of them, rising. */
typedef struct {
    ptrdiff_t height, width, colours, count;
    const int32_t *thresholds;
} Shape;

static ptrdiff_t within(ptrdiff_t y, ptrdiff_t count)
{
    return y < 0 ? 0 : y < count ? y : count - 1;
}

#define SAMPLE uint8_t
#define NUMBER int16_t
#define NAME(x) byte_##x
#include "wiener_rows.h"
#undef SAMPLE
#undef NUMBER
#undef NAME

#define SAMPLE uint16_t
#define NUMBER int32_t
#define NAME(x) word_##x
#include "wiener_rows.h"
#undef SAMPLE
#undef NUMBER
#undef NAME

#endif
