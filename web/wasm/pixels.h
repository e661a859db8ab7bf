/*
 * pixels.h: what the coders of tiles of pixels share at the border to JavaScript.
 */
#ifndef LICTOR_WEB_PIXELS_H
#define LICTOR_WEB_PIXELS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { CODED_OK, CODED_DAMAGED = -1, CODED_MEMORY = -2 };

#endif
