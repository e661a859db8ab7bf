/*
 * Words of weights cut and put together, packed and unpacked. The first bytes choose a layout, the
 * rest are words: these must come back, and what hostile symbols and planes make must be words,
 * whatever they are. Contexts must be those of the plain formula.
 */
#define NAME "fuzz_words"
#include "fuzz.h"

#include "../../codec/weights/words.h"

enum { MOST = 4096 };

static void *room(size_t size)
{
    void *memory = malloc(size + !size);
    require(memory != NULL, "no memory");
    return memory;
}

static void cut(const WordLayout *l, const uint8_t *words, size_t count)
{
    size_t rows = (size_t)(l->raw + 7) / 8, bytes = count * (size_t)l->item;
    int32_t *symbols = room(4 * count);
    uint8_t *planes = room(rows * count), *back = room(bytes);
    words_split(l, words, count, symbols, planes);
    words_join(l, symbols, planes, count, back);
    require(memcmp(back, words, bytes) == 0, "other words come back");
    for (size_t i = 0; i < count; i++)  /* what no encoder would write */
        symbols[i] = (int32_t)(words_load(words + i * (size_t)l->item, l->item) * 0x9E3779B97F4A7C15u
                               >> 32);
    memset(planes, 0xFF, rows * count);
    words_join(l, symbols, planes, count, back);
    for (size_t row = 0; row < rows; row++) {
        int left = l->raw - 8 * (int)row, width = left < 8 ? left : 8;
        if (width == 8)
            continue;
        uint8_t *packed = room(words_packed(count, width)), *again = room(count);
        for (size_t i = 0; i < count; i++)
            planes[i] = (uint8_t)(words[i % bytes] & ((1 << width) - 1));
        words_pack(planes, count, width, packed);
        words_unpack(packed, count, width, again);
        require(memcmp(planes, again, count) == 0, "other fields come back");
        free(packed);
        free(again);
    }
    free(symbols);
    free(planes);
    free(back);
}

static void contexts(const uint8_t *data, size_t size)
{
    size_t width = 1 + data[0] % 40, rows = 1 + size / width, start = data[1] % width;
    uint8_t least = data[2], most = data[3] < least ? least : data[3];
    uint8_t *own = room(rows), *columns = room(width), *found = room(size);
    for (size_t i = 0; i < rows; i++)
        own[i] = data[i % size];
    for (size_t i = 0; i < width; i++)
        columns[i] = data[(i * 7) % size];
    size_t count = size - start > size ? 0 : size - start;
    words_contexts(own, columns, width, start, count, least, most, found);
    for (size_t i = 0; i < count; i++) {
        uint8_t sum = (uint8_t)(own[(start + i) / width] + columns[(start + i) % width]);
        sum = sum < least ? least : sum > most ? most : sum;
        require(found[i] == sum - least, "another context");
    }
    int64_t *counts = calloc(256 * 3, 8), *sums = calloc(rows + width, 8);
    int32_t *symbols = room(4 * size);
    require(counts != NULL && sums != NULL, "no memory");
    for (size_t i = 0; i < size; i++)
        symbols[i] = (int32_t)((uint32_t)data[i] * 0x01010101u);
    words_tally(symbols, data, size, 3, counts);
    words_sums(symbols, -1, width, start, count, sums, sums + rows);
    int64_t all = 0;
    for (int i = 0; i < 256 * 3; i++)
        all += counts[i];
    require(all == (int64_t)size, "symbols are lost");
    free(counts);
    free(sums);
    free(symbols);
    free(own);
    free(columns);
    free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 16 || size > MOST)
        return 0;
    WordLayout l = {1 << data[0] % 4, data[1] % 64, data[2] & 1, data[3] | (data[4] & 15) << 8};
    size -= 8;
    data += 8;
    if (words_layout_is_valid(&l) && size >= (size_t)l.item)
        cut(&l, data, size / (size_t)l.item);
    contexts(data, size);
    return 0;
}
