/*
 * fuzz.h: what the fuzz targets share. A target includes it, says its NAME, and defines
 * LLVMFuzzerTestOneInput. Built with clang's -fsanitize=fuzzer it is a libFuzzer target; with
 * -DREPLAY it is a program that runs the files it is given. run.sh does the one, tests the other. A
 * target whose program does more says OWN_MAIN first, and has a main that calls replay.
 */
#ifndef LICTOR_FUZZ_H
#define LICTOR_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, NAME ": %s\n", what);
        abort();
    }
}

#ifdef REPLAY
/* Each input in memory of just its size, so that sanitizers see its end. */
static void replay(int count, char **names)
{
    for (int i = 1; i < count; i++) {
        static uint8_t bytes[1 << 20];
        FILE *file = fopen(names[i], "rb");
        require(file != NULL, names[i]);
        size_t size = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        uint8_t *exact = malloc(size + !size);
        require(exact != NULL, "no memory");
        memcpy(exact, bytes, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%d inputs\n", count - 1);
}

#ifndef OWN_MAIN
int main(int count, char **names)
{
    replay(count, names);
    return 0;
}
#endif
#endif

#endif
