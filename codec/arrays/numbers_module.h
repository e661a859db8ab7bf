/*
 * numbers_module.h: quantise.h, merge.h and differences.h as functions of Python, a part of _field.c.
 */
#ifndef LICTOR_NUMBERS_MODULE_H
#define LICTOR_NUMBERS_MODULE_H

#include <Python.h>

#include "differences.h"
#include "direct.h"
#include "merge.h"
#include "quantise.h"

/* Whether a buffer holds just `count` aligned values of a size. */
static int holds(const Py_buffer *buffer, size_t count, size_t size)
{
    if ((size_t)buffer->len == count * size && (uintptr_t)buffer->buf % size == 0)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a buffer of another size");
    return 0;
}

/* Whether it holds just `count` integers, of 16 bits or 32. */
static int are_levels(const Py_buffer *buffer, size_t count, Levels *levels)
{
    *levels = (Levels){buffer->buf, (size_t)buffer->len != 2 * count};
    return holds(buffer, count, levels->wide ? 4 : 2);
}

/* ---- numbers; all buffers of one kind: 0 float16, 1 bfloat16, 2 float32, 3 float64 */

static int are_numbers(const Py_buffer *x, int kind, Numbers *found, size_t *count)
{
    if (kind < 0 || kind > 3) {
        PyErr_SetString(PyExc_ValueError, "a type that there is not");
        return 0;
    }
    *found = (Numbers){x->buf, kind};
    *count = (size_t)x->len / numbers_size(kind);
    return holds(x, *count, numbers_size(kind));
}

/* Whether so many values are whole rows of channels of runs; fills in how many. */
static int is_cut(QuantiseCut *cut, size_t n)
{
    int good = cut->channels >= 1 && cut->inner >= 1 && cut->channels <= n && cut->inner <= n
               && cut->channels <= n / cut->inner && n % (cut->channels * cut->inner) == 0;
    cut->outer = good ? n / (cut->channels * cut->inner) : 0;
    return good;
}

/* quantise(x, kind, channels, inner, step, dead, out i16 or i32[n], or None) -> sum of squared errors, and
   the largest of them; out: channel by channel */
static PyObject *quantise(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x, out = {0};
    int kind;
    Numbers numbers;
    Py_ssize_t channels, inner;
    double step, dead;
    QuantiseError error = {0, 0};
    size_t n;
    Levels levels;
    if (!PyArg_ParseTuple(args, "y*innddz*", &x, &kind, &channels, &inner, &step, &dead, &out))
        return NULL;
    int good = are_numbers(&x, kind, &numbers, &n) && (!out.buf || are_levels(&out, n, &levels));
    QuantiseCut cut = {0, (size_t)channels, (size_t)inner};
    if (good && !(step > 0 && is_cut(&cut, n))) {
        PyErr_SetString(PyExc_ValueError, "a step or a cut that is none");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        if (out.buf)
            quantise_cut(&numbers, cut, step, dead, &levels, &error);
        else
            quantise_run(&numbers, 0, n, step, dead, NULL, &error);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    return good ? Py_BuildValue("dd", error.sum, error.largest) : NULL;
}

/* scale(levels i16 or i32[n], channels, inner, step, kind, out): numbers of kind 0 float16, 1 bfloat16,
   2 float32, 3 float64; levels: channel by channel */
static PyObject *scale(PyObject *Py_UNUSED(self), PyObject *args)
{
    static Scale *const SCALES[] = {scale_half, scale_bfloat, scale_float, scale_double};
    Py_buffer levels, out;
    Py_ssize_t channels, inner;
    int kind;
    double step;
    if (!PyArg_ParseTuple(args, "y*nndiw*", &levels, &channels, &inner, &step, &kind, &out))
        return NULL;
    size_t n = kind >= 0 && kind < 4 ? (size_t)out.len / numbers_size(kind) : 0;
    Levels own;
    QuantiseCut cut = {0, (size_t)channels, (size_t)inner};
    int good = is_cut(&cut, n) && are_levels(&levels, n, &own) && holds(&out, n, numbers_size(kind));
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        scale_cut(&own, cut, step, SCALES[kind], numbers_size(kind), out.buf);
        Py_END_ALLOW_THREADS
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a cut or a type that there is not");
    }
    PyBuffer_Release(&levels);
    PyBuffer_Release(&out);
    return good ? Py_NewRef(Py_None) : NULL;
}

/* grid(x, kind, step, zero, most) -> sum of squared errors */
static PyObject *grid(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x;
    int kind;
    Numbers numbers;
    double step, zero, most, sum = 0;
    size_t n;
    if (!PyArg_ParseTuple(args, "y*iddd", &x, &kind, &step, &zero, &most))
        return NULL;
    int good = are_numbers(&x, kind, &numbers, &n);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        sum = grid_sum(&numbers, n, step, zero, most);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    return good ? PyFloat_FromDouble(sum) : NULL;
}

/* compare(a, b, kind) -> sum of squared differences, and the largest */
static PyObject *compare(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer a, b;
    int kind;
    Numbers one, two;
    double sum = 0, largest = 0;
    size_t n, other;
    if (!PyArg_ParseTuple(args, "y*y*i", &a, &b, &kind))
        return NULL;
    int good = are_numbers(&a, kind, &one, &n) && are_numbers(&b, kind, &two, &other);
    if (good && n != other) {
        PyErr_SetString(PyExc_ValueError, "arrays of two sizes");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        sum = compare_sum(&one, &two, n, &largest);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return good ? Py_BuildValue("dd", sum, largest) : NULL;
}

/* How many symbols or contexts are out of range. split: 0 as a constant, or whatever it is. */
static inline size_t count_block(const int32_t *symbols, const uint8_t *contexts, size_t n, int low,
                          int split, size_t rows, size_t width, int64_t *to)
{
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t place = (int64_t)direct_high(symbols[i], split) - low;
        if (contexts[i] < rows && place >= 0 && place < (int64_t)width)
            to[contexts[i] * width + (size_t)place]++;
        else
            wrong++;
    }
    return wrong;
}

/* count(values i16 or i32[n], contexts u8[n], split, low, width, out i64[contexts * width]): adds up
   symbols, which are values without their `split` low bits */
static PyObject *count(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer symbols, contexts, out;
    int split, low;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(args, "y*y*iinw*", &symbols, &contexts, &split, &low, &width, &out))
        return NULL;
    size_t n = (size_t)contexts.len, wrong = 0;
    size_t rows = width > 0 ? (size_t)out.len / 8 / (size_t)width : 0;
    Levels own;
    int good = split >= 0 && split <= 30 && are_levels(&symbols, n, &own) && holds(&out, rows * (size_t)(width > 0 ? width : 0), 8);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t at = 0; at < n; at += LEVELS_BLOCK) {
            int32_t room[LEVELS_BLOCK];
            size_t m = n - at < LEVELS_BLOCK ? n - at : LEVELS_BLOCK;
            const int32_t *some = levels_get(&own, at, m, room);
            const uint8_t *index = (const uint8_t *)contexts.buf + at;
            wrong += split ? count_block(some, index, m, low, split, rows, (size_t)width, out.buf)
                           : count_block(some, index, m, low, 0, rows, (size_t)width, out.buf);
        }
        Py_END_ALLOW_THREADS
    }
    if (wrong || (!good && !PyErr_Occurred()))
        PyErr_SetString(PyExc_ValueError, "a symbol or context out of range");
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&contexts);
    PyBuffer_Release(&out);
    return good && !wrong ? Py_NewRef(Py_None) : NULL;
}

/* merge(counts i64[n * width], width, most, table, entry, entries, starts i32[n]) -> how many runs,
   bits; counts become theirs */
static PyObject *merge(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer counts, starts;
    Py_ssize_t width;
    int most;
    MergeCost cost;
    if (!PyArg_ParseTuple(args, "w*niddiw*", &counts, &width, &most, &cost.table, &cost.entry,
                          &cost.entries, &starts))
        return NULL;
    size_t n = (size_t)starts.len / 4;
    double bits = 0;
    int runs = 0, good = holds(&starts, n, 4) && n >= 1 && n <= MERGE_MOST && width > 0
                         && width <= INT32_MAX && holds(&counts, n * (size_t)width, 8);
    if (good) {
        cost.width = (size_t)width;
        Py_BEGIN_ALLOW_THREADS
        runs = merge_contexts(counts.buf, (int)n, most, &cost, starts.buf, &bits);
        Py_END_ALLOW_THREADS
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "contexts that there are not");
    }
    PyBuffer_Release(&counts);
    PyBuffer_Release(&starts);
    return good ? Py_BuildValue("id", runs, bits) : NULL;
}

/* trim(): gives memory that was freed back to the system, where its allocator would keep it */
static PyObject *trim(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args))
{
    Py_BEGIN_ALLOW_THREADS
    field_trim();
    Py_END_ALLOW_THREADS
    return Py_NewRef(Py_None);
}

/* difference(x i32[…], n, inner, back): along an axis of length n, with inner values to a step */
static PyObject *difference(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x;
    Py_ssize_t length, inner;
    int back;
    if (!PyArg_ParseTuple(args, "w*nnp", &x, &length, &inner, &back))
        return NULL;
    size_t count = (size_t)x.len / 4;
    QuantiseCut cut = {0, (size_t)length, (size_t)inner};
    int good = is_cut(&cut, count) && holds(&x, count, 4);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        if (back)
            differences_sum(x.buf, cut.outer, cut.channels, cut.inner);
        else
            differences_take(x.buf, cut.outer, cut.channels, cut.inner);
        Py_END_ALLOW_THREADS
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "an axis that there is not");
    }
    PyBuffer_Release(&x);
    return good ? Py_NewRef(Py_None) : NULL;
}

#endif
