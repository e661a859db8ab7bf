/*
 * field_map.h: where the numbers of a plane's passes are, one by one, for planes of short rows: these
 * would take longer to walk than their numbers do. Made once for a field, of one plane; the others are
 * at a constant distance.
 */
#ifndef LICTOR_FIELD_MAP_H
#define LICTOR_FIELD_MAP_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAP_COLUMNS = 48,       /* of planes with short rows */
    MAP_PLACES = 1 << 14    /* of a plane at most */
};

/* All in the order of coding, pass by pass; `start` says where a pass begins, and the last ends. */
typedef struct {
    int32_t *number;    /* from the first of the plane in subplane 0 */
    int32_t *sum;       /* from the first sum or level of the plane, in the first subplane of the pass */
    int32_t *value;     /* in the plane as it is in the array */
    int32_t start[4];
    int32_t *to, *from; /* numbers of the edges, and those that they mirror */
    int32_t edges[4];   /* where those of a pass begin */
} FieldMap;

static void map_free(FieldMap *map)
{
    free(map->number);  /* which the others are behind */
    free(map->to);
    memset(map, 0, sizeof *map);
}

#endif
