/*
 * screen_matches.h: earlier places that go on as this one (SCREEN.md, "Matches").
 */
#ifndef LICTOR_SCREEN_MATCHES_H
#define LICTOR_SCREEN_MATCHES_H

#include "screen_state.h"

/* How far a match is trusted, 1 to 19. */
static inline int match_level(const Match *match)
{
    int level = match->length < 16 ? (int)match->length / 4 : log2_of(match->length);
    if (match->misses & 0xFF)
        return 1 + (level > 3 ? 3 : level);
    if (match->misses)
        return 5 + (level > 4 ? 4 : level);
    return 10 + (level > 9 ? 9 : level);
}

/* How many pixels to the left and above are the same at two places, up to 32. */
static uint32_t alike(const Screen *s, const uint64_t *here, const uint64_t *there)
{
    uint32_t same = 0;
    while (same < 20 && there - s->pixels > (ptrdiff_t)same &&
           here[-(ptrdiff_t)same] == there[-(ptrdiff_t)same])
        same++;
    for (int i = 0; i < 12 && here[i - s->stride] == there[i - s->stride]; i++)
        same++;
    return same;
}

/* Sees whether matches foretold the pixel at `at`, and looks for new ones. */
static void follow_matches(Screen *s, size_t at)
{
    static const int reach[MATCHES][6] = {{12, 5, 9, 3, 5, 0}, {4, 2, 4, 0, 0, 0}};
    const uint64_t *p = s->pixels + at;
    for (int m = 0; m < MATCHES; m++) {
        Match *match = &s->matches[m];
        if (match->distance) {
            int miss = s->pixels[at - match->distance] != *p;
            match->misses = match->misses << 1 | (uint32_t)miss;
            match->length = miss ? 0 : match->length + 1;
        }
        uint64_t h = 0;
        for (int i = 0; i < reach[m][0]; i++)
            h = join(h, p[-i]);
        for (int i = -reach[m][1]; i < reach[m][2]; i++)
            h = join(h, p[i - s->stride]);
        for (int i = -reach[m][3]; i < reach[m][4]; i++)
            h = join(h, p[i - 2 * s->stride]);
        uint32_t *entry = &match->places[spread(h) >> (32 - s->bits)];
        int wanted = match->distance == 0 || match->misses & 0xFF;
        if (wanted && *entry && at - *entry != match->distance) {
            uint32_t length = alike(s, p, s->pixels + *entry);
            if (length >= (match->distance ? 16u : 8u) && length > match->length) {
                match->distance = at - *entry;
                match->length = length;
                match->misses = 0;
            }
        }
        *entry = (uint32_t)at;
    }
}

#endif
