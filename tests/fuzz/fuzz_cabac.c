/*
 * Levels by adaptive binary decisions. Bytes as levels must come back; bytes as a stream give levels
 * or an error, and where they are whole, are what the encoder makes of these. What is chosen for
 * floats, whatever they are, can be coded.
 */
#define NAME "fuzz_cabac"
#include "fuzz.h"

#include "../../codec/weights/cabac.h"

enum { MOST_VALUES = 1024 };

static void there_and_back(const int32_t *levels, size_t count, size_t columns, size_t at)
{
    static int32_t back[MOST_VALUES];
    size_t length = 0;
    uint8_t *stream = cabac_encode(levels, count, columns, at, &length);
    require(stream != NULL, "no memory");
    require(cabac_decode(stream, length, count, columns, at, back) == 0, "no stream");
    require(memcmp(levels, back, 4 * count) == 0, "other levels come back");
    free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 12 || size > 4 * MOST_VALUES)
        return 0;
    static int32_t levels[MOST_VALUES];
    static float x[MOST_VALUES];
    size_t columns = 1 + data[0] % 40, at = data[1] % columns, count = (size - 4) / 4;
    float slope = (float)data[2] / 16;
    data += 4;
    size -= 4;
    memcpy(levels, data, 4 * count);
    for (size_t i = 0; i < count; i++)
        levels[i] = levels[i] % (CABAC_MOST + 1) >> levels[i] % 24 * (levels[i] > 0);
    there_and_back(levels, count, columns, at);
    memcpy(x, data, 4 * count);
    cabac_choose(x, count, columns, slope, levels);
    there_and_back(levels, count, columns, 0);
    size_t length = 0, wanted = size % (MOST_VALUES + 1);
    memset(levels, 0, sizeof levels);
    if (cabac_decode(data, size, wanted, columns, at, levels) == 0) {
        for (size_t i = 0; i < wanted; i++)
            if (levels[i] > CABAC_MOST || levels[i] < -CABAC_MOST)
                return 0;
        uint8_t *stream = cabac_encode(levels, wanted, columns, at, &length);
        require(stream != NULL && length == size && memcmp(stream, data, size) == 0,
                "another stream");
        free(stream);
    }
    return 0;
}
