/*
 * merge.h: which neighbouring contexts share a table, as entropy/fitted.py chooses it. Encoder only:
 * floating point here decides how small a file gets, never whether it decodes.
 */
#ifndef LICTOR_MERGE_H
#define LICTOR_MERGE_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MERGE_MOST = 128, MERGE_SMALL = 1024 };

typedef struct {
    int64_t *counts;        /* (width,) of each symbol */
    int64_t size;           /* their sum */
    int32_t first, last;    /* symbols that there are */
    double bits;
} MergeRun;

/* What a table costs: once, for each entry up to `entries`. */
typedef struct {
    double table, entry;
    int32_t entries;
    size_t width;
    double small[MERGE_SMALL];  /* c log2 c */
} MergeCost;

static double merge_weight(const MergeCost *cost, int64_t count)
{
    return count < MERGE_SMALL ? cost->small[count] : (double)count * log2((double)count);
}

/* About the bits of the symbols of two runs with one table; b may be NULL. */
static double merge_bits(const MergeCost *cost, const MergeRun *a, const MergeRun *b)
{
    if (b && !a->size)
        return merge_bits(cost, b, NULL);
    int64_t size = a->size + (b ? b->size : 0);
    int32_t first = a->first, last = a->last;
    if (!size)
        return 0;
    if (b && b->size) {
        first = b->first < first ? b->first : first;
        last = b->last > last ? b->last : last;
    }
    double spent = merge_weight(cost, size);
    for (int32_t i = first; i <= last; i++)
        spent -= merge_weight(cost, a->counts[i] + (b ? b->counts[i] : 0));
    int32_t span = last - first + 1;
    return spent + cost->table + cost->entry * (span < cost->entries ? span : cost->entries);
}

static void merge_join(MergeRun *a, const MergeRun *b, size_t width)
{
    if (!b->size)
        return;
    for (size_t i = 0; i < width; i++)
        a->counts[i] += b->counts[i];
    a->first = a->size && a->first < b->first ? a->first : b->first;
    a->last = a->size && a->last > b->last ? a->last : b->last;
    a->size += b->size;
}

/* Joins neighbours as long as that saves bits, or there are more than `most`. counts (n, width)
   becomes those of the runs; starts: the first context of each. How many runs there are. */
static int merge_contexts(int64_t *counts, int n, int most, MergeCost *cost, int32_t *starts,
                          double *bits)
{
    MergeRun runs[MERGE_MOST];
    double joint[MERGE_MOST];
    size_t width = cost->width;
    cost->small[0] = 0;
    for (int c = 1; c < MERGE_SMALL; c++)
        cost->small[c] = c * log2(c);
    for (int k = 0; k < n; k++) {
        MergeRun *r = runs + k;
        *r = (MergeRun){counts + (size_t)k * width, 0, 0, -1, 0};
        for (size_t i = 0; i < width; i++)
            if (r->counts[i]) {
                r->first = r->size ? r->first : (int32_t)i;
                r->last = (int32_t)i;
                r->size += r->counts[i];
            }
        r->bits = merge_bits(cost, r, NULL);
        starts[k] = k;
    }
    for (int k = 0; k + 1 < n; k++)
        joint[k] = merge_bits(cost, runs + k, runs + k + 1);
    while (n > 1) {
        int best = 0;
        double gain = -INFINITY;
        for (int k = 0; k + 1 < n; k++)
            if (runs[k].bits + runs[k + 1].bits - joint[k] > gain) {
                gain = runs[k].bits + runs[k + 1].bits - joint[k];
                best = k;
            }
        if (gain < 0 && n <= most)
            break;
        merge_join(runs + best, runs + best + 1, width);
        runs[best].bits = joint[best];
        size_t rest = (size_t)(n - best - 2);
        memmove(runs + best + 1, runs + best + 2, rest * sizeof *runs);
        memmove(starts + best + 1, starts + best + 2, rest * sizeof *starts);
        memmove(joint + best, joint + best + 1, rest * sizeof *joint);
        n--;
        for (int k = best > 0 ? best - 1 : 0; k <= best && k + 1 < n; k++)
            joint[k] = merge_bits(cost, runs + k, runs + k + 1);
    }
    *bits = 0;
    for (int k = 0; k < n; k++) {
        if (runs[k].counts != counts + (size_t)k * width)
            memmove(counts + (size_t)k * width, runs[k].counts, width * sizeof *counts);
        *bits += runs[k].bits;
    }
    return n;
}

#endif
