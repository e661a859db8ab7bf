/*
 * Numbers of an array: direct.h as a decoder and an encoder meet it, differences.h both ways, and
 * what encoders do with merge.h, quantise.h and impute.h. The first bytes choose which, and shapes; the rest
 * are the numbers.
 */
#define NAME "fuzz_numbers"
#include "fuzz.h"

#pragma GCC diagnostic ignored "-Wunused-function"

#include "../../codec/arrays/differences.h"
#include "../../codec/arrays/direct.h"
#include "../../codec/arrays/impute.h"
#include "../../codec/arrays/merge.h"
#include "../../codec/arrays/quantise.h"

enum { MOST = 1024 };

static int compared(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Parts of whatever size; of values in range, those that were split are joined again. */
static void direct(const int32_t *given, size_t n, int low)
{
    int32_t high[MOST], rest[MOST], values[MOST], other[MOST], small[MOST];
    int64_t bounds[DIRECT_BOUNDS], predictions[MOST];
    uint8_t found[MOST];
    memcpy(high, given, n * sizeof *high);
    (void)direct_join(high, n, low, given, n);
    for (size_t i = 0; i < n; i++)
        values[i] = given[i] / 8;
    for (size_t i = 0; i < n; i++)
        high[i] = given[i] / (1 << 15);     /* within 2^16 */
    direct_roots(high, n, other);
    direct_small_roots(high, n, small);
    require(!memcmp(other, small, n * sizeof *small), "another root");
    direct_roots(values, n, other);
    size_t count = direct_split(values, n, low, high, rest), there = count;
    for (size_t i = 0; i < n; i++) {
        int64_t size = other[i] < 0 ? -(int64_t)other[i] : other[i];
        int64_t whole = 64 * (values[i] < 0 ? -(int64_t)values[i] : values[i]);
        require(size * size <= whole && (size + 1) * (size + 1) > whole, "wrong");
        count -= values[i] != 0;
    }
    require(count == 0 && direct_join(high, n, low, rest, there) == 0, "wrong");
    require(!memcmp(high, values, n * sizeof *high), "wrong");
    for (size_t i = 0; i < DIRECT_BOUNDS; i++)
        bounds[i] = i < n && i + 1 < DIRECT_BOUNDS ? (int64_t)given[i] * (1ll << (given[i] & 31)) : INT64_MAX;
    qsort(bounds, DIRECT_BOUNDS, sizeof *bounds, compared);
    for (size_t i = 0; i < n; i++)
        predictions[i] = (int64_t)given[n - 1 - i] * (1ll << (given[i] & 31));
    direct_search(predictions, n, bounds, found);
    for (size_t i = 0; i < n; i++) {
        int wanted = 0;
        for (size_t k = 0; k + 1 < DIRECT_BOUNDS; k++)
            wanted += bounds[k] <= predictions[i];
        require(found[i] == wanted, "wrong");
    }
}

static void differences(const int32_t *given, size_t n, size_t length, size_t inner)
{
    uint32_t x[MOST];
    size_t outer = n / (length * inner);
    memcpy(x, given, n * sizeof *x);
    differences_take(x, outer, length, inner);
    differences_sum(x, outer, length, inner);
    require(!memcmp(x, given, n * sizeof *x), "wrong");
}

static void merged(const int32_t *given, size_t n, size_t width)
{
    static MergeCost cost;
    int64_t counts[MOST];
    int32_t starts[MERGE_MOST];
    double bits;
    size_t rows = n / width < MERGE_MOST ? n / width : MERGE_MOST;
    if (!rows)
        return;
    int64_t before = 0, after = 0;
    for (size_t i = 0; i < rows * width; i++)
        before += counts[i] = (uint32_t)given[i] >> (given[i] & 31);
    cost.table = 30;
    cost.entry = 2.5;
    cost.entries = 255;
    cost.width = width;
    int runs = merge_contexts(counts, (int)rows, 5, &cost, starts, &bits);
    require(runs >= 1 && runs <= 5 && starts[0] == 0, "wrong");
    for (int k = 1; k < runs; k++)
        require(starts[k] > starts[k - 1] && starts[k] < (int)rows, "wrong");
    for (size_t i = 0; i < (size_t)runs * width; i++)
        after += counts[i];
    require(before == after, "wrong");
}

/* Numbers that are as an encoder gives them: finite, and a step that leaves integers in range. */
static void quantised(const int32_t *given, size_t n, size_t channels, size_t inner)
{
    float x[MOST], back[MOST];
    int32_t levels[MOST];
    QuantiseError error = {0, 0};
    QuantiseCut cut = {n / (channels * inner), channels, inner};
    for (size_t i = 0; i < n; i++)
        x[i] = (float)given[i] / 1024;
    int16_t small[MOST];
    Numbers numbers = {x, NUMBERS_FLOAT};
    Levels wide = {levels, 1}, narrow = {small, 0};
    quantise_cut(&numbers, cut, 0.5, 0.1, &narrow, &error);
    quantise_cut(&numbers, cut, 0.5, 0.1, &wide, &error);
    for (size_t i = 0; i < n; i++)
        require((int16_t)levels[i] == small[i], "other integers in 16 bits");
    scale_cut(&wide, cut, 0.5, scale_float, sizeof *back, (char *)back);
    for (size_t i = 0; i < n; i++)
        require(fabs((double)back[i] - x[i]) <= 0.31 && error.largest <= 0.1, "wrong");
    for (int kind = 0; kind < 2; kind++)
        (kind ? scale_half : scale_bfloat)(given, n, 1e30, back);
}

/* Columns of `rows` numbers near one direction, of which some are missing: what is there stays. */
static void imputed(const int32_t *given, size_t n, size_t rows)
{
    double projection[40 * 40], direction[40], size = 1e-9;
    float columns[MOST], projected[MOST] = {0}, before[MOST];
    uint8_t there[MOST];
    size_t count = n / rows;
    for (size_t r = 0; r < rows; r++) {
        direction[r] = given[r] / 2147483648.0;
        size += direction[r] * direction[r];
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < rows; c++)
            projection[r * rows + c] = direction[r] * direction[c] / size;
    for (size_t i = 0; i < rows * count; i++) {
        there[i] = given[i] & 1;
        before[i] = columns[i] = there[i] ? (float)given[i] : 0;
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < rows; c++)
            for (size_t k = 0; k < count; k++)
                projected[r * count + k] += (float)projection[r * rows + c] * columns[c * count + k];
    require(!impute_columns(projection, rows, count, columns, projected, there), "no memory");
    for (size_t i = 0; i < rows * count; i++)
        require(isfinite(columns[i]) && (!there[i] || columns[i] == before[i]), "wrong");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t given[MOST] = {0};
    if (size < 4)
        return 0;
    size_t n = (size - 4) / 4, length = 1 + data[1] % 9, inner = 1 + data[2] % 40;
    n = n < MOST ? n : MOST;
    memcpy(given, data + 4, n * sizeof *given);
    if (data[0] >= 224 && n >= inner)
        imputed(given, n, inner);
    else if (data[0] % 4 == 0 && n)
        direct(given, n, data[1] % 17);
    else if (data[0] % 4 == 2)
        merged(given, n, inner);
    n -= n % (length * inner);
    if (data[0] % 4 == 1)
        differences(given, n, length, inner);
    else if (data[0] % 4 == 3 && n)
        quantised(given, n, length, inner);
    return 0;
}
