/*
 * lictor.models.lossless._screen: the coder of screen.h as a Python module.
 *
 *   encode(pixels, height, width, channels, depth, mask) -> bytes
 *   decode(stream, pixels, height, width, channels, depth, mask) -> whether all is well
 *
 * screen.py checks what needs words; here is only what keeps memory safe.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "screen.h"
#include "tile_buffers.h"

static int fill_tile(Tile *t, const Py_buffer *pixels, const Py_buffer *mask)
{
    t->mask = mask->buf;
    return buffers_fit(t->height, t->width, t->channels, t->depth, pixels, mask);
}

static PyObject *encode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer pixels, mask;
    Tile t = {0};
    if (!PyArg_ParseTuple(args, "y*iiiiz*", &pixels, &t.height, &t.width, &t.channels, &t.depth,
                          &mask))
        return NULL;
    PyObject *result = NULL;
    if (!fill_tile(&t, &pixels, &mask)) {
        PyErr_SetString(PyExc_ValueError, "these arrays are no tile");
    } else {
        uint8_t *stream;
        size_t length = 0;
        Py_BEGIN_ALLOW_THREADS
        stream = screen_encode(&t, pixels.buf, t.depth > 8, &length);
        Py_END_ALLOW_THREADS
        result = stream ? PyBytes_FromStringAndSize((const char *)stream, (Py_ssize_t)length)
                        : PyErr_NoMemory();
        free(stream);
    }
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&mask);
    return result;
}

static PyObject *decode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer stream, pixels, mask;
    Tile t = {0};
    if (!PyArg_ParseTuple(args, "y*w*iiiiz*", &stream, &pixels, &t.height, &t.width, &t.channels,
                          &t.depth, &mask))
        return NULL;
    PyObject *result = NULL;
    if (!fill_tile(&t, &pixels, &mask)) {
        PyErr_SetString(PyExc_ValueError, "these arrays are no tile");
    } else {
        TileStatus status;
        Py_BEGIN_ALLOW_THREADS
        status = screen_decode(&t, stream.buf, (size_t)stream.len, pixels.buf, t.depth > 8);
        Py_END_ALLOW_THREADS
        result = status == TILE_NO_MEMORY ? PyErr_NoMemory() : PyBool_FromLong(status == TILE_OK);
    }
    PyBuffer_Release(&stream);
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&mask);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "A tile as bytes; see screen.py."},
    {"decode", decode, METH_VARARGS, "Fills a tile; False if the bytes are not one of its shape."},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *Py_UNUSED(module))
{
    binary_set_up();
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "lictor.models.lossless._screen",
    .m_doc = "Lossless coding of screen content in C.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__screen(void)
{
    return PyModuleDef_Init(&definition);
}
