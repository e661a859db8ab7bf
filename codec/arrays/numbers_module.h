/*
 * numbers_module.h: quantise.h, merge.h and differences.h as functions of Python, a part of _field.c.
 */
#ifndef LICTOR_NUMBERS_MODULE_H
#define LICTOR_NUMBERS_MODULE_H

#include <Python.h>

#include "differences.h"
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

/* ---- numbers; all buffers of float or, if `wide`, double */

static int are_numbers(const Py_buffer *x, int wide, size_t *count)
{
    size_t size = wide ? sizeof(double) : sizeof(float);
    *count = (size_t)x->len / size;
    return holds(x, *count, size);
}

/* Whether so many values are whole rows of channels of runs; fills in how many. */
static int is_cut(QuantiseCut *cut, size_t n)
{
    int good = cut->channels >= 1 && cut->inner >= 1 && cut->channels <= n && cut->inner <= n
               && cut->channels <= n / cut->inner && n % (cut->channels * cut->inner) == 0;
    cut->outer = good ? n / (cut->channels * cut->inner) : 0;
    return good;
}

/* quantise(x, wide, channels, inner, step, dead, out i32[n] or None) -> sum of squared errors, and
   the largest of them; out: channel by channel */
static PyObject *quantise(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x, out = {0};
    int wide;
    Py_ssize_t channels, inner;
    double step, dead;
    QuantiseError error = {0, 0};
    size_t n;
    if (!PyArg_ParseTuple(args, "y*pnnddz*", &x, &wide, &channels, &inner, &step, &dead, &out))
        return NULL;
    int good = are_numbers(&x, wide, &n) && (!out.buf || holds(&out, n, 4));
    QuantiseCut cut = {0, (size_t)channels, (size_t)inner};
    if (good && !(step > 0 && is_cut(&cut, n))) {
        PyErr_SetString(PyExc_ValueError, "a step or a cut that is none");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        if (out.buf)
            quantise_cut(x.buf, wide, cut, step, dead, out.buf, &error);
        else
            quantise_run(x.buf, wide, 0, n, step, dead, NULL, &error);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&out);
    return good ? Py_BuildValue("dd", error.sum, error.largest) : NULL;
}

/* scale(levels i32[n], channels, inner, step, kind, out): numbers of kind 0 float16, 1 bfloat16,
   2 float32, 3 float64; levels: channel by channel */
static PyObject *scale(PyObject *Py_UNUSED(self), PyObject *args)
{
    static Scale *const SCALES[] = {scale_half, scale_bfloat, scale_float, scale_double};
    static const size_t SIZES[] = {2, 2, 4, 8};
    Py_buffer levels, out;
    Py_ssize_t channels, inner;
    int kind;
    double step;
    if (!PyArg_ParseTuple(args, "y*nndiw*", &levels, &channels, &inner, &step, &kind, &out))
        return NULL;
    size_t n = (size_t)levels.len / 4;
    QuantiseCut cut = {0, (size_t)channels, (size_t)inner};
    int good = kind >= 0 && kind < 4 && is_cut(&cut, n) && holds(&levels, n, 4)
               && holds(&out, n, SIZES[kind]);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        scale_cut(levels.buf, cut, step, SCALES[kind], SIZES[kind], out.buf);
        Py_END_ALLOW_THREADS
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a cut or a type that there is not");
    }
    PyBuffer_Release(&levels);
    PyBuffer_Release(&out);
    return good ? Py_NewRef(Py_None) : NULL;
}

/* grid(x, wide, step, zero, most) -> sum of squared errors */
static PyObject *grid(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x;
    int wide;
    double step, zero, most, sum = 0;
    size_t n;
    if (!PyArg_ParseTuple(args, "y*pddd", &x, &wide, &step, &zero, &most))
        return NULL;
    int good = are_numbers(&x, wide, &n);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        sum = wide ? grid_double(x.buf, n, step, zero, most)
                   : grid_float(x.buf, n, step, zero, most);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    return good ? PyFloat_FromDouble(sum) : NULL;
}

/* compare(a, b, wide) -> sum of squared differences, and the largest */
static PyObject *compare(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer a, b;
    int wide;
    double sum = 0, largest = 0;
    size_t n, other;
    if (!PyArg_ParseTuple(args, "y*y*p", &a, &b, &wide))
        return NULL;
    int good = are_numbers(&a, wide, &n) && are_numbers(&b, wide, &other);
    if (good && n != other) {
        PyErr_SetString(PyExc_ValueError, "arrays of two sizes");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        sum = wide ? compare_double(a.buf, b.buf, n, &largest)
                   : compare_float(a.buf, b.buf, n, &largest);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return good ? Py_BuildValue("dd", sum, largest) : NULL;
}

/* count(symbols i32[n], contexts u8[n], low, width, out i64[contexts * width]): adds up symbols */
static PyObject *count(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer symbols, contexts, out;
    int low;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(args, "y*y*inw*", &symbols, &contexts, &low, &width, &out))
        return NULL;
    size_t n = (size_t)contexts.len, wrong = 0;
    size_t rows = width > 0 ? (size_t)out.len / 8 / (size_t)width : 0;
    int good = holds(&symbols, n, 4) && holds(&out, rows * (size_t)(width > 0 ? width : 0), 8);
    if (good) {
        const int32_t *s = symbols.buf;
        const uint8_t *c = contexts.buf;
        int64_t *to = out.buf;
        Py_BEGIN_ALLOW_THREADS
        for (size_t i = 0; i < n; i++) {
            int64_t place = (int64_t)s[i] - low;
            if (c[i] < rows && place >= 0 && place < width)
                to[c[i] * (size_t)width + (size_t)place]++;
            else
                wrong++;
        }
        Py_END_ALLOW_THREADS
    }
    if (wrong)
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
