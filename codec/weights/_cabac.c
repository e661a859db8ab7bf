/*
 * lictor.codec.weights._cabac: cabac.h as a Python module; cabac.py says what is what.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "cabac.h"

/* Whether these are four-byte values, the first of which is in a row of so many. */
static int fits(const Py_buffer *values, Py_ssize_t columns, Py_ssize_t at)
{
    if (values->len % 4 == 0 && (uintptr_t)values->buf % 4 == 0 && columns >= 1 && at >= 0
        && at < columns)
        return 1;
    PyErr_SetString(PyExc_ValueError, "these values have no such rows");
    return 0;
}

static int codable(const int32_t *levels, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (levels[i] > CABAC_MOST || levels[i] < -CABAC_MOST) {
            PyErr_SetString(PyExc_ValueError, "a level is too large");
            return 0;
        }
    return 1;
}

/* encode(levels i32[n], columns, at) -> bytes */
static PyObject *py_encode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer levels;
    Py_ssize_t columns, at;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nn", &levels, &columns, &at))
        return NULL;
    size_t count = (size_t)levels.len / 4, length = 0;
    if (fits(&levels, columns, at) && codable(levels.buf, count)) {
        uint8_t *stream;
        Py_BEGIN_ALLOW_THREADS
        stream = cabac_encode(levels.buf, count, (size_t)columns, (size_t)at, &length);
        Py_END_ALLOW_THREADS
        result = stream ? PyBytes_FromStringAndSize((const char *)stream, (Py_ssize_t)length)
                        : PyErr_NoMemory();
        free(stream);
    }
    PyBuffer_Release(&levels);
    return result;
}

/* decode(stream, columns, at, levels i32[n]) -> whether it is whole */
static PyObject *py_decode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer stream, levels;
    Py_ssize_t columns, at;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nnw*", &stream, &columns, &at, &levels))
        return NULL;
    if (fits(&levels, columns, at)) {
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = cabac_decode(stream.buf, (size_t)stream.len, (size_t)levels.len / 4,
                             (size_t)columns, (size_t)at, levels.buf);
        Py_END_ALLOW_THREADS
        result = PyBool_FromLong(!error);
    }
    PyBuffer_Release(&stream);
    PyBuffer_Release(&levels);
    return result;
}

/* choose(x f32[n], columns, slope, levels i32[n]) */
static PyObject *py_choose(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer x, levels;
    Py_ssize_t columns;
    float slope;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(args, "y*nfw*", &x, &columns, &slope, &levels))
        return NULL;
    if (fits(&x, columns, 0) && fits(&levels, columns, 0)) {
        if (x.len == levels.len) {
            Py_BEGIN_ALLOW_THREADS
            cabac_choose(x.buf, (size_t)x.len / 4, (size_t)columns, slope, levels.buf);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        } else {
            PyErr_SetString(PyExc_ValueError, "as many levels as values are needed");
        }
    }
    PyBuffer_Release(&x);
    PyBuffer_Release(&levels);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", py_encode, METH_VARARGS, "Levels to a stream."},
    {"decode", py_decode, METH_VARARGS, "A stream to levels; whether it is whole."},
    {"choose", py_choose, METH_VARARGS, "Levels for values, by error and bits."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_cabac",
    .m_doc = "Levels of weights by adaptive binary decisions, in C.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__cabac(void)
{
    return PyModuleDef_Init(&module);
}
