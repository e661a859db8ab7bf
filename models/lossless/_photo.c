/*
 * lictor.models.lossless._photo: the coder of photo.h as a Python module.
 *
 *   encode(pixels, height, width, channels, depth, mask, flags, path) -> bytes
 *   decode(stream, pixels, height, width, channels, depth, mask, path) -> whether all is well
 *   paths   how many versions this CPU can run; path 0 is the best, all give the same bytes
 *
 * photo.py checks what needs words; here is only what keeps memory safe.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "photo.h"
#include "tile_buffers.h"

static int fill_tile(Tile *t, const Py_buffer *pixels, const Py_buffer *mask)
{
    t->mask = mask->buf;
    return buffers_fit(t->height, t->width, t->channels, t->depth, pixels, mask);
}

static int pick_path(PhotoPath *path, int number)
{
    PhotoPath paths[PHOTO_PATHS];
    if (number < 0 || number >= photo_paths(paths))
        return 0;
    *path = paths[number];
    return 1;
}

static PyObject *encode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer pixels, mask;
    Tile t = {0};
    PhotoPath path;
    int flags, number;
    if (!PyArg_ParseTuple(args, "y*iiiiz*ii", &pixels, &t.height, &t.width, &t.channels, &t.depth,
                          &mask, &flags, &number))
        return NULL;
    PyObject *result = NULL;
    if (!fill_tile(&t, &pixels, &mask) || flags < 0 || flags >= PHOTO_FLAGS ||
        !pick_path(&path, number)) {
        PyErr_SetString(PyExc_ValueError, "these arrays are no tile");
    } else {
        uint8_t *stream;
        size_t length = 0;
        Py_BEGIN_ALLOW_THREADS
        stream = photo_encode(&t, &path, pixels.buf, t.depth > 8, flags, &length);
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
    PhotoPath path;
    int number;
    if (!PyArg_ParseTuple(args, "y*w*iiiiz*i", &stream, &pixels, &t.height, &t.width, &t.channels,
                          &t.depth, &mask, &number))
        return NULL;
    PyObject *result = NULL;
    if (!fill_tile(&t, &pixels, &mask) || !pick_path(&path, number)) {
        PyErr_SetString(PyExc_ValueError, "these arrays are no tile");
    } else {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = photo_decode(&t, &path, stream.buf, (size_t)stream.len, pixels.buf,
                              t.depth > 8);
        Py_END_ALLOW_THREADS
        result = status == PHOTO_NO_MEMORY ? PyErr_NoMemory() : PyBool_FromLong(status == PHOTO_OK);
    }
    PyBuffer_Release(&stream);
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&mask);
    return result;
}

static PyMethodDef methods[] = {
    {"encode", encode, METH_VARARGS, "A tile as bytes; see photo.py."},
    {"decode", decode, METH_VARARGS, "Fills a tile; False if the bytes are not one of its shape."},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *module)
{
    PhotoPath paths[PHOTO_PATHS];
    photo_set_up();
    return PyModule_AddIntConstant(module, "paths", photo_paths(paths));
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "lictor.models.lossless._photo",
    .m_doc = "Lossless coding of photos in C.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__photo(void)
{
    return PyModuleDef_Init(&definition);
}
