/*
 * From the grids of an overfitted picture to its samples, in integers.
 *
 * OVERFIT.md is the specification. Work goes block by block: each takes the part of every grid that
 * it depends on, from coarse to fine. What lies outside of the picture is as its border.
 */
#ifndef LICTOR_OVERFIT_SYNTHESIS_H
#define LICTOR_OVERFIT_SYNTHESIS_H

#include "context.h"

enum {
    ROWS_AT_ONCE = 64,
    COLUMNS_AT_ONCE = 256,
    AT_ONCE = 64,               /* pixels whose hidden values are kept */
    UP_REACH = 2,               /* how far the filters look, in values of their input */
    PRE_REACH = 3,
};

/* A part of a grid or of the picture; left is even. */
typedef struct {
    int top, left, bottom, right;
} Area;

/* Planes of a part: `count` of them, rows of `stride`, from column -1 on. */
typedef struct {
    Area part;
    int stride;
    size_t plane;
    int32_t *values;
} Planes;

static int planes_start(Planes *p, const Area *part, int count)
{
    p->part = *part;
    p->stride = part->right - part->left + 4;
    p->plane = (size_t)p->stride * (size_t)(part->bottom - part->top);
    p->values = calloc(p->plane * (size_t)count, sizeof *p->values);
    return p->values != NULL;
}

/* A row, from the part's left on; y is one of the grid. */
static inline int32_t *row_of(const Planes *p, int plane, int y)
{
    return p->values + p->plane * (size_t)plane + (size_t)p->stride * (size_t)(y - p->part.top) + 1;
}

static inline int held(int value, int least, int most)
{
    return value < least ? least : value > most ? most : value;
}

/* So much more around, within height and width. */
static Area widened(const Area *part, int by, int height, int width)
{
    Area wide = {held(part->top - by, 0, height), held(part->left - by, 0, width) & ~1,
                  held(part->bottom + by, 0, height), held(part->right + by, 0, width)};
    return wide;
}

/* What a part depends on in the next coarser grid. */
static Area coarser(const Area *part, int height, int width)
{
    Area halved = {part->top >> 1, part->left >> 1, ((part->bottom - 1) >> 1) + 1,
                    ((part->right - 1) >> 1) + 1};
    return widened(&halved, UP_REACH, height, width);
}

/* --------------------------------------------------------------- upsampling */

/* Doubles a plane. room: a row, with UP_REACH more at both ends. */
static ALWAYS_INLINE void double_plane(const Planes *from, const Planes *to, int plane,
                                       const uint32_t *taps, int shift, int height, int32_t *room)
{
    const Area *in = &from->part, *out = &to->part;
    const uint32_t a = taps[0], b = taps[1], c = taps[2], d = taps[3];
    const uint32_t half = (uint32_t)1 << (shift - 1);
    int columns = in->right - in->left, first = (out->left >> 1) - in->left;
    int pairs = ((out->right - 1) >> 1) + 1 - (out->left >> 1);
    int32_t *middle = room + UP_REACH;
    for (int y = out->top; y < out->bottom; y++) {
        const int32_t *rows[4];
        int from_row = (y >> 1) - UP_REACH + (y & 1), odd = y & 1;
        for (int i = 0; i < 4; i++)
            rows[i] = row_of(from, plane, held(from_row + i, 0, height - 1));
        const uint32_t w0 = odd ? b : a, w1 = odd ? d : c, w2 = odd ? c : d, w3 = odd ? a : b;
        for (int x = 0; x < columns; x++) {
            uint32_t sum = half + w0 * (uint32_t)rows[0][x] + w1 * (uint32_t)rows[1][x]
                           + w2 * (uint32_t)rows[2][x] + w3 * (uint32_t)rows[3][x];
            middle[x] = (int32_t)sum >> shift;
        }
        for (int i = 1; i <= UP_REACH; i++) {   /* of no account but at the grid's borders */
            middle[-i] = middle[0];
            middle[columns - 1 + i] = middle[columns - 1];
        }
        const int32_t *at = middle + first;
        int32_t *made = row_of(to, plane, y);
        for (int x = 0; x < pairs; x++) {
            uint32_t l2 = (uint32_t)at[x - 2], l1 = (uint32_t)at[x - 1], m = (uint32_t)at[x],
                     r1 = (uint32_t)at[x + 1], r2 = (uint32_t)at[x + 2];
            made[2 * x] = (int32_t)(half + a * l2 + c * l1 + d * m + b * r1) >> shift;
            made[2 * x + 1] = (int32_t)(half + b * l1 + d * m + c * r1 + a * r2) >> shift;
        }
    }
}

/* A grid's part as the first plane. room: a row, with PRE_REACH more at both ends. */
static ALWAYS_INLINE void smooth_grid(const int8_t *grid, const Planes *to, const uint32_t *taps,
                                      int shift, int height, int width, int32_t *room)
{
    const Area *out = &to->part;
    const uint32_t half = (uint32_t)1 << (shift - 1);
    const uint32_t a = taps[0], b = taps[1], c = taps[2], d = taps[3] + ((uint32_t)1 << shift);
    int left = held(out->left - PRE_REACH, 0, width), right = held(out->right + PRE_REACH, 0, width);
    int plain = !(taps[0] | taps[1] | taps[2] | taps[3]), columns = out->right - out->left;
    int32_t *middle = room + PRE_REACH;         /* [0] is column `left` */
    for (int y = out->top; y < out->bottom; y++) {
        int32_t *made = row_of(to, 0, y);
        if (plain) {
            const int8_t *row = grid + (ptrdiff_t)y * width + out->left;
            for (int x = 0; x < columns; x++)
                made[x] = row[x] * (1 << PLANE_BITS);
            continue;
        }
        const int8_t *rows[2 * PRE_REACH + 1];
        for (int i = 0; i <= 2 * PRE_REACH; i++)
            rows[i] = grid + (ptrdiff_t)held(y + i - PRE_REACH, 0, height - 1) * width + left;
        for (int x = 0; x < right - left; x++) {
            uint32_t sum = a * (uint32_t)(rows[0][x] + rows[6][x])
                           + b * (uint32_t)(rows[1][x] + rows[5][x])
                           + c * (uint32_t)(rows[2][x] + rows[4][x]) + d * (uint32_t)rows[3][x];
            middle[x] = (int32_t)((sum << PLANE_BITS) + half) >> shift;
        }
        for (int i = 1; i <= PRE_REACH; i++) {
            middle[-i] = middle[0];
            middle[right - left - 1 + i] = middle[right - left - 1];
        }
        const int32_t *at = middle + (out->left - left);
        for (int x = 0; x < columns; x++) {
            uint32_t sum = half + a * ((uint32_t)at[x - 3] + (uint32_t)at[x + 3])
                           + b * ((uint32_t)at[x - 2] + (uint32_t)at[x + 2])
                           + c * ((uint32_t)at[x - 1] + (uint32_t)at[x + 1]) + d * (uint32_t)at[x];
            made[x] = (int32_t)sum >> shift;
        }
    }
}

/* The seven planes of a part of the picture; false when memory is short. To be freed always. */
static ALWAYS_INLINE int upsample(const Network *n, const Grids *grids, const Area *part,
                                  Planes *found)
{
    Area parts[LEVELS] = {*part};
    int heights[LEVELS], widths[LEVELS], fine = 1;
    for (int l = 0; l < LEVELS; l++) {
        heights[l] = grid_side(grids->height, l);
        widths[l] = grid_side(grids->width, l);
        if (l)
            parts[l] = coarser(&parts[l - 1], heights[l], widths[l]);
    }
    int32_t room[COLUMNS_AT_ONCE + 64];
    Planes coarse = {0};
    found->values = NULL;
    for (int l = LEVELS - 1; l >= 0 && fine; l--) {
        Planes next;
        fine = planes_start(&next, &parts[l], LEVELS - l);
        if (fine && l == LEVELS - 1) {
            const uint32_t none[4] = {0};
            smooth_grid(grids->symbols[l], &next, none, 1, heights[l], widths[l], room);
        } else if (fine) {
            smooth_grid(grids->symbols[l], &next, n->pre[l], n->tap_shift, heights[l], widths[l],
                        room);
            for (int plane = 1; plane < LEVELS - l; plane++) {
                Planes to = next;
                to.values += next.plane;        /* plane k of the coarse is plane k + 1 */
                double_plane(&coarse, &to, plane - 1, n->up[l], n->tap_shift, heights[l + 1],
                             room);
            }
        }
        free(coarse.values);
        coarse = next;
    }
    *found = coarse;
    return fine;
}

/* ---------------------------------------------------------------- synthesis */

/* The layers of 1x1: three values for each of up to AT_ONCE pixels of a row. */
static ALWAYS_INLINE void mix_pixels(const Network *n, const int32_t *const *planes, int count,
                                     int32_t *const *out)
{
    uint32_t p[LEVELS][AT_ONCE], sums[3][AT_ONCE];
    memset(p, 0, sizeof p);
    for (int l = 0; l < LEVELS; l++)
        memcpy(p[l], planes[l], sizeof **p * (size_t)count);
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < AT_ONCE; x++)
            sums[c][x] = n->sample_bias[c];
    const uint32_t half = (uint32_t)1 << (n->hidden_shift - 1);
    for (int k = 0; k < n->size.hidden; k++) {
        const uint32_t *w = n->hidden[k], bias = n->hidden_bias[k] + half;
        const uint32_t w0 = n->sample[0][k], w1 = n->sample[1][k], w2 = n->sample[2][k];
        for (int x = 0; x < AT_ONCE; x++) {
            uint32_t sum = bias + w[0] * p[0][x] + w[1] * p[1][x] + w[2] * p[2][x] + w[3] * p[3][x]
                           + w[4] * p[4][x] + w[5] * p[5][x] + w[6] * p[6][x];
            int32_t value = (int32_t)sum >> n->hidden_shift;
            uint32_t hidden = (uint32_t)(value < 0 ? 0 : value);
            sums[0][x] += w0 * hidden;
            sums[1][x] += w1 * hidden;
            sums[2][x] += w2 * hidden;
        }
    }
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < count; x++)
            out[c][x] = scaled_down(sums[c][x], n->sample_shift);
}

/* A 3x3 layer with its residual path, from some planes to others. */
static ALWAYS_INLINE void filter_planes(const Network *n, int number, const Planes *from,
                                        const Planes *to, int height, int width)
{
    const Area *p = &from->part;
    int left = p->left ? p->left + 1 : 0, right = p->right < width ? p->right - 1 : width;
    int top = p->top ? p->top + 1 : 0, bottom = p->bottom < height ? p->bottom - 1 : height;
    int columns = p->right - p->left, rectified = number + 1 < n->size.filters;
    const uint32_t half = (uint32_t)1 << (n->filter_shift - 1);
    for (int c = 0; c < 3; c++)
        for (int y = p->top; y < p->bottom; y++) {
            int32_t *row = row_of(from, c, y);
            row[-1] = row[0];                   /* of no account but at the picture's borders */
            row[columns] = row[columns - 1];
        }
    for (int c = 0; c < 3; c++)
        for (int y = top; y < bottom; y++) {
            uint32_t sums[COLUMNS_AT_ONCE + 64];
            int start = left - p->left, count = right - left;
            const int32_t *own = row_of(from, c, y) + start;
            for (int x = 0; x < count; x++)
                sums[x] = n->filter_bias[number][c] + half + ((uint32_t)own[x] << n->filter_shift);
            for (int i = 0; i < 3; i++)
                for (int dy = -1; dy <= 1; dy++) {
                    const int32_t *row = row_of(from, i, held(y + dy, 0, height - 1)) + start;
                    const uint32_t *w = n->filter[number][c][i] + 3 * (dy + 1);
                    for (int x = 0; x < count; x++)
                        sums[x] += w[0] * (uint32_t)row[x - 1] + w[1] * (uint32_t)row[x]
                                   + w[2] * (uint32_t)row[x + 1];
                }
            int32_t *made = row_of(to, c, y) + start;
            for (int x = 0; x < count; x++) {
                int32_t value = (int32_t)sums[x] >> n->filter_shift;
                made[x] = rectified && value < 0 ? 0 : value;
            }
        }
}

/* Where samples go: rows of `stride` samples, `channels` (1 or 3) a pixel, of 8 or 16 bits. */
typedef struct {
    void *samples;
    ptrdiff_t stride;
    int channels, depth;
} Picture;

/* A sample of `sum`, in units of 2^-SAMPLE_BITS / parts. */
static inline uint32_t sample_of(int32_t sum, int parts, uint32_t most)
{
    uint32_t one = (uint32_t)parts << SAMPLE_BITS;
    uint32_t value = sum < 0 ? 0 : (uint32_t)sum > one ? one : (uint32_t)sum;
    return (uint32_t)(((uint64_t)value * most + one / 2) / one);
}

static ALWAYS_INLINE void write_row(const Network *n, const Planes *planes, const Planes *mixed,
                                    const Area *part, int y, const Picture *out, ptrdiff_t at)
{
    const int columns = part->right - part->left, start = part->left - planes->part.left;
    const uint32_t most = out->depth > 8 ? 65535 : 255;
    int32_t made[3][COLUMNS_AT_ONCE];
    for (int c = 0; c < 3; c++) {
        const int32_t *own = row_of(mixed, c, y) + start;
        uint32_t sums[COLUMNS_AT_ONCE] = {0};
        for (int l = 0; l < LEVELS; l++) {
            const int32_t *row = row_of(planes, l, y) + start;
            const uint32_t w = n->linear[c][l];
            for (int x = 0; x < columns; x++)
                sums[x] += w * (uint32_t)row[x];
        }
        for (int x = 0; x < columns; x++) {
            uint32_t value = (uint32_t)own[x] + (uint32_t)scaled_down(sums[x], n->sample_shift);
            made[c][x] = held((int32_t)value, -(1 << 20), 1 << 20);
        }
    }
    for (int x = 0; x < columns; x++)
        for (int c = 0; c < out->channels; c++, at++) {
            uint32_t sample = out->channels == 3
                                  ? sample_of(made[c][x], 1, most)
                                  : sample_of(made[0][x] + made[1][x] + made[2][x], 3, most);
            if (out->depth > 8)
                ((uint16_t *)out->samples)[at] = (uint16_t)sample;
            else
                ((uint8_t *)out->samples)[at] = (uint8_t)sample;
        }
}

/* A block of the picture; false when memory is short. at: its first sample in `out`. */
static ALWAYS_INLINE int synthesize_block(const Network *n, const Grids *grids, const Area *part,
                                          const Picture *out, ptrdiff_t at)
{
    Area wide = widened(part, n->size.filters, grids->height, grids->width);
    Planes planes, mixed[2] = {{.values = NULL}, {.values = NULL}};
    int fine = upsample(n, grids, &wide, &planes) && planes_start(&mixed[0], &wide, 3)
               && planes_start(&mixed[1], &wide, 3), columns = wide.right - wide.left;
    for (int y = wide.top; fine && y < wide.bottom; y++)
        for (int x = 0; x < columns; x += AT_ONCE) {
            const int32_t *from[LEVELS];
            int32_t *to[3];
            for (int l = 0; l < LEVELS; l++)
                from[l] = row_of(&planes, l, y) + x;
            for (int c = 0; c < 3; c++)
                to[c] = row_of(&mixed[0], c, y) + x;
            mix_pixels(n, from, columns - x < AT_ONCE ? columns - x : AT_ONCE, to);
        }
    for (int i = 0; fine && i < n->size.filters; i++)
        filter_planes(n, i, &mixed[i & 1], &mixed[~i & 1], grids->height, grids->width);
    for (int y = part->top; fine && y < part->bottom; y++)
        write_row(n, &planes, &mixed[n->size.filters & 1], part, y, out,
                  at + (y - part->top) * out->stride);
    free(planes.values);
    free(mixed[0].values);
    free(mixed[1].values);
    return fine;
}

/* A part of the picture; false when memory is short. */
static ALWAYS_INLINE int synthesize_area(const Network *n, const Grids *grids, const Area *part,
                                         const Picture *out)
{
    for (int top = part->top; top < part->bottom; top += ROWS_AT_ONCE)
        for (int left = part->left; left < part->right; left += COLUMNS_AT_ONCE) {
            Area block = {top, left, top + ROWS_AT_ONCE, left + COLUMNS_AT_ONCE};
            block.bottom = block.bottom < part->bottom ? block.bottom : part->bottom;
            block.right = block.right < part->right ? block.right : part->right;
            ptrdiff_t at = (top - part->top) * out->stride
                           + (ptrdiff_t)(left - part->left) * out->channels;
            if (!synthesize_block(n, grids, &block, out, at))
                return 0;
        }
    return 1;
}

#endif
