/*
 * Fuzzing of models/lossless/screen.h, without Python: pixels come back as they were, and a
 * hostile stream fills its tile and no more.
 *
 * The input's first bytes are a shape; the rest is pixels, then a stream. Built with clang's
 * -fsanitize=fuzzer this is a libFuzzer target; with -DREPLAY it is a program that runs the files
 * it is given. run.sh does both.
 */
#define NAME "fuzz_screen"
#include "fuzz.h"

#include "../../models/lossless/screen.h"

enum { HEADER = 6, SAMPLES = 24 * 24 * 4 };

static size_t samples_of(const Tile *t)
{
    return (size_t)t->height * (size_t)t->width * (size_t)t->channels;
}

/* Codes what the bytes say, in few colours if `few`, and looks whether it comes back. */
static void go_and_come(const Tile *t, const uint8_t *bytes, size_t count, int few)
{
    static uint16_t samples[SAMPLES], back[SAMPLES];
    for (size_t i = 0; i < samples_of(t); i++) {
        uint32_t byte = count ? bytes[i % count] : 0;
        uint32_t value = few ? byte & 1 ? 0xFFFF : 0 : byte * 257;
        samples[i] = (uint16_t)(value >> (16 - t->depth));
    }
    size_t length;
    uint8_t *stream = screen_encode(t, samples, 1, &length);
    require(stream != NULL, "no memory");
    require(screen_decode(t, stream, length, back, 1) == TILE_OK, "the stream is refused");
    require(memcmp(samples, back, samples_of(t) * 2) == 0, "other pixels come back");
    free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static uint16_t samples[SAMPLES];
    static uint8_t narrow[SAMPLES];
    static int ready;
    if (!ready)
        binary_set_up();
    ready = 1;
    if (count < HEADER)
        return 0;
    Tile t = {1 + bytes[0] % 24, 1 + bytes[1] % 24, 1 + bytes[2] % 4, 1 + bytes[3] % 16, NULL};
    uint8_t mask = bytes[4] & 1;
    t.mask = bytes[4] & 2 ? &mask : NULL;
    if (t.mask == NULL)
        go_and_come(&t, bytes + HEADER, count - HEADER, bytes[5] & 1);
    screen_decode(&t, bytes + HEADER, count - HEADER, samples, 1);
    for (size_t i = 0; i < samples_of(&t); i++)
        require(samples[i] >> t.depth == 0, "a sample is too large");
    if (t.depth <= 8)
        screen_decode(&t, bytes + HEADER, count - HEADER, narrow, 0);
    return 0;
}
