/*
 * The filter of pictures: the first bytes choose the shape, thresholds and taps, the rest are samples,
 * of one byte and of two. Whatever they are, a filter of zeros gives the samples.
 */
#define NAME "fuzz_wiener"
#include "fuzz.h"
#undef NAME

#include "../../codec/picture/wiener.h"

static void *room(size_t size)
{
    void *memory = calloc(size + !size, 1);
    require(memory != NULL, "no memory");
    return memory;
}

static void filtered(Shape *s, int bytes, const uint8_t *data, size_t size, int precision)
{
    size_t count = (size_t)(s->height * s->width * s->colours);
    size_t each = (size_t)(s->colours * PLACES(s->colours)), all = each * (size_t)(s->count + 1);
    uint8_t *samples = room(count * (size_t)bytes), *out = room(count * (size_t)bytes);
    int32_t *taps = room(4 * all), *active = room(4 * (size_t)(s->height * s->width));
    float *weights = room(4 * (size_t)(s->height * s->width));
    double *sums = room(8 * (size_t)(s->count + 1) * (size_t)((PLACES(s->colours) + s->colours)
                                                              * PLACES(s->colours)));
    for (size_t i = 0; i < count * (size_t)bytes; i++) samples[i] = data[i % size];
    require((bytes == 1 ? byte_filter : word_filter)(s, samples, taps, precision, out), "no memory");
    require(memcmp(samples, out, count * (size_t)bytes) == 0, "zeros change samples");
    for (size_t i = 0; i < all; i++) taps[i] = data[i * 7 % size] * 2 - 255;
    require((bytes == 1 ? byte_filter : word_filter)(s, samples, taps, precision, out), "no memory");
    require((bytes == 1 ? byte_squares : word_squares)(s, samples, out, weights, sums), "no memory");
    require((bytes == 1 ? byte_all_activity : word_all_activity)(s, samples, active), "no memory");
    free(samples);
    free(out);
    free(taps);
    free(active);
    free(weights);
    free(sums);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 16 || size > 4096)
        return 0;
    int32_t thresholds[MOST_CLASSES];
    Shape s = {1 + data[0] % 20, 1 + data[1] % 20, data[2] & 1 ? 3 : 1, data[3] % MOST_CLASSES,
               thresholds};
    int32_t least = 0;
    for (ptrdiff_t i = 0; i < s.count; i++)
        thresholds[i] = least += 1 + (data[4 + i] << (data[5 + i] % 8));
    filtered(&s, 1 + (data[3] >> 7), data + 5, size - 5, 5 + data[3] / 16 % 4);
    return 0;
}
