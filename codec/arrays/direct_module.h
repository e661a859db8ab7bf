/*
 * direct_module.h: direct.h as functions of Python, a part of _field.c.
 */
#ifndef LICTOR_DIRECT_MODULE_H
#define LICTOR_DIRECT_MODULE_H

#include <Python.h>

#include "direct.h"
#include "numbers_module.h"

/* Whether all are within +-FIELD_MAX_SYMBOL. */
static int are_values(const int32_t *values, size_t n)
{
    if (field_largest(values, n) <= FIELD_MAX_SYMBOL)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a value outside its range");
    return 0;
}

/* roots(values i16[n], out i16[n], False), or of i32 with True */
static PyObject *roots(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer values, out;
    int wide;
    if (!PyArg_ParseTuple(args, "y*w*p", &values, &out, &wide))
        return NULL;
    size_t n = (size_t)values.len / (size_t)(wide ? 4 : 2);
    Levels from = {values.buf, wide}, to = {out.buf, wide};
    int good = holds(&values, n, wide ? 4 : 2) && holds(&out, n, wide ? 4 : 2)
               && (!wide || are_values(values.buf, n));
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        for (size_t at = 0; at < n; at += LEVELS_BLOCK) {
            int32_t room[LEVELS_BLOCK], found[LEVELS_BLOCK];
            size_t m = n - at < LEVELS_BLOCK ? n - at : LEVELS_BLOCK;
            (wide ? direct_roots : direct_small_roots)(levels_get(&from, at, m, room), m, found);
            levels_put(&to, at, m, found);
        }
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&out);
    return good ? Py_NewRef(Py_None) : NULL;
}

/* search(predictions i64[n], bounds i64[DIRECT_BOUNDS], out u8[n]) */
static PyObject *search(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer predictions, bounds, out;
    if (!PyArg_ParseTuple(args, "y*y*w*", &predictions, &bounds, &out))
        return NULL;
    size_t n = (size_t)out.len;
    int good = holds(&predictions, n, 8) && holds(&bounds, DIRECT_BOUNDS, 8);
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        direct_search(predictions.buf, n, bounds.buf, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&predictions);
    PyBuffer_Release(&bounds);
    PyBuffer_Release(&out);
    return good ? Py_NewRef(Py_None) : NULL;
}

/* split(values i32[n], low, high i32[n], rest i32[n]) -> how many of rest there are */
static PyObject *split(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer values, high, rest;
    int low;
    if (!PyArg_ParseTuple(args, "y*iw*w*", &values, &low, &high, &rest))
        return NULL;
    size_t n = (size_t)values.len / 4, count = 0;
    int good = holds(&values, n, 4) && holds(&high, n, 4) && holds(&rest, n, 4);
    if (good && (low < 0 || low > 30)) {
        PyErr_SetString(PyExc_ValueError, "so many low bits there are not");
        good = 0;
    }
    if (good && are_values(values.buf, n)) {
        Py_BEGIN_ALLOW_THREADS
        count = direct_split(values.buf, n, low, high.buf, rest.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&high);
    PyBuffer_Release(&rest);
    return PyErr_Occurred() ? NULL : PyLong_FromSize_t(count);
}

/* join(high i32[n], low, rest i32[those of high that are not 0]) -> whether all are in range */
static PyObject *join(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer high, rest;
    int low, wrong = 0;
    if (!PyArg_ParseTuple(args, "w*iy*", &high, &low, &rest))
        return NULL;
    size_t n = (size_t)high.len / 4, count = 0;
    int good = holds(&high, n, 4) && holds(&rest, (size_t)rest.len / 4, 4);
    for (size_t i = 0; good && low && i < n; i++)
        count += ((const int32_t *)high.buf)[i] != 0;
    if (good && (low < 0 || low > 30 || (low && !holds(&rest, count, 4)))) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_ValueError, "so many low bits there are not");
        good = 0;
    }
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        wrong = direct_join(high.buf, n, low, rest.buf, (size_t)rest.len / 4);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&high);
    PyBuffer_Release(&rest);
    return good ? PyBool_FromLong(!wrong) : NULL;
}

#endif
