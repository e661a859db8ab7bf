/*
 * low_rank_module.h: what low_rank_exact.py has in C, as functions of Python, a part of _field.c.
 */
#ifndef LICTOR_LOW_RANK_MODULE_H
#define LICTOR_LOW_RANK_MODULE_H

#include <Python.h>

#include "impute.h"
#include "numbers_module.h"

/* missed(x f32[n], guess f32[n], low, high) -> sum of squares of what takes the place of guess */
static PyObject *missed(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x, guess;
    float low, high;
    double sum = 0;
    if (!PyArg_ParseTuple(args, "y*w*ff", &x, &guess, &low, &high))
        return NULL;
    size_t n = (size_t)x.len / sizeof(float);
    int good = holds(&x, n, sizeof(float)) && holds(&guess, n, sizeof(float));
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        sum = quantise_missed(x.buf, guess.buf, n, low, high);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&guess);
    return good ? PyFloat_FromDouble(sum) : NULL;
}

/* impute(projection f64[rows * rows], columns f32[rows * n], projected f32[rows * n], there u8[rows * n]):
   fills what is not there */
static PyObject *impute(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer projection, columns, projected, there;
    Py_ssize_t rows;
    if (!PyArg_ParseTuple(args, "ny*w*y*y*", &rows, &projection, &columns, &projected, &there))
        return NULL;
    size_t size = (size_t)there.len, n = rows > 0 ? size / (size_t)rows : 0;
    int good = rows > 0 && rows <= 1 << 15 && size == n * (size_t)rows
               && holds(&projection, (size_t)rows * (size_t)rows, sizeof(double))
               && holds(&columns, size, sizeof(float)) && holds(&projected, size, sizeof(float));
    int error = 0;
    if (good) {
        Py_BEGIN_ALLOW_THREADS
        error = impute_columns(projection.buf, (size_t)rows, n, columns.buf, projected.buf,
                               there.buf);
        Py_END_ALLOW_THREADS
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a projection of another size");
    }
    PyBuffer_Release(&projection);
    PyBuffer_Release(&columns);
    PyBuffer_Release(&projected);
    PyBuffer_Release(&there);
    if (error)
        return PyErr_NoMemory();
    return good ? Py_NewRef(Py_None) : NULL;
}

#endif
