/*
 * Fuzzing of models/lossless/photo.h, without Python: pixels come back as they were, by every path
 * of this CPU, and a hostile stream fills its tile and no more.
 *
 * The input's first bytes are a shape; the rest is pixels, then a stream. Built with clang's
 * -fsanitize=fuzzer this is a libFuzzer target; with -DREPLAY it is a program that runs the files
 * it is given. run.sh does both.
 */
#define NAME "fuzz_photo"
#include "fuzz.h"

#include "../../models/lossless/photo.h"

enum { HEADER = 7, SIDES = 72, SAMPLES = SIDES * SIDES * 4 };

static size_t samples_of(const Tile *t)
{
    return (size_t)t->height * (size_t)t->width * (size_t)t->channels;
}

/* Codes what the bytes say, in two values if `few`, and looks whether it comes back. */
static void go_and_come(const Tile *shape, const PhotoPath *path, int flags, const uint8_t *bytes,
                        size_t count, int few)
{
    static uint16_t samples[SAMPLES], back[SAMPLES];
    for (size_t i = 0; i < samples_of(shape); i++) {
        uint32_t byte = count ? bytes[i % count] : 0;
        uint32_t value = few ? byte & 1 ? 0xFFFF : 0 : byte * 257;
        samples[i] = (uint16_t)(value >> (16 - shape->depth));
    }
    size_t length = 0;
    Tile there = *shape, here = *shape;
    uint8_t *stream = photo_encode(&there, path, samples, 1, flags, &length);
    require(stream != NULL, "no memory");
    require(photo_decode(&here, path, stream, length, back, 1) == PHOTO_OK,
            "the stream is refused");
    require(memcmp(samples, back, samples_of(shape) * 2) == 0, "other pixels come back");
    free(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static uint16_t samples[SAMPLES];
    static PhotoPath paths[PHOTO_PATHS];
    static int path_count;
    if (path_count == 0) {
        photo_set_up();
        path_count = photo_paths(paths);
    }
    if (count < HEADER)
        return 0;
    Tile t = {0};
    int most = bytes[4] & 32 ? SIDES : 20;      /* several blocks are slow */
    t.height = 1 + bytes[0] % most;
    t.width = 1 + bytes[1] % most;
    t.channels = 1 + bytes[2] % MAX_CHANNELS;
    t.depth = 1 + bytes[3] % 16;
    const PhotoPath *path = &paths[bytes[6] % path_count];
    uint8_t mask[4] = {bytes[4] & 1, bytes[4] >> 1 & 1, bytes[4] >> 2 & 1, bytes[4] >> 3 & 1};
    t.mask = bytes[4] & 16 ? mask : NULL;
    if (t.mask == NULL)
        go_and_come(&t, path, bytes[6] % PHOTO_FLAGS, bytes + HEADER, count - HEADER,
                    bytes[5] & 1);
    Tile hostile = t;
    if (photo_decode(&hostile, path, bytes + HEADER, count - HEADER, samples, 1) == PHOTO_OK)
        for (size_t i = 0; i < samples_of(&t); i++)
            require(samples[i] >> t.depth == 0, "a sample is too large");
    return 0;
}
