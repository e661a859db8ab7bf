/*
 * lictor.models.linear._linear: the coder of tile.h as a Python module; coder.py says what is what.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "tile.h"

/* Whether the buffers are of the sizes that go with these pixels. */
static int fits(const Pixels *p, const Py_buffer *samples, const Py_buffer *mask,
                const Py_buffer *fineness)
{
    if ((p->depth != 8 && p->depth != 16) || (p->channels != 1 && p->channels != 3)
        || p->height < 1 || p->width < 1 || p->height > 1 << 20 || p->width > 1 << 20)
        return 0;
    Py_ssize_t blocks = (Py_ssize_t)((p->height + BLOCK - 1) / BLOCK)
                        * ((p->width + BLOCK - 1) / BLOCK);
    Py_ssize_t bytes = (Py_ssize_t)p->height * p->width * p->channels * (p->depth / 8);
    return samples->len == bytes && mask->len == blocks && fineness->len == blocks;
}

/* encode(pixels, height, width, channels, depth, mask, fineness, bits, step, matrix, slope) gives
   the stream; pixels become what it decodes to. */
static PyObject *encode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer samples, mask, fineness, bits, matrix;
    Pixels p;
    Parameters own = {{1 << COLOUR_BITS}, 0};
    int step;
    float slope;
    if (!PyArg_ParseTuple(args, "w*iiiiy*w*w*iy*f", &samples, &p.height, &p.width, &p.channels,
                          &p.depth, &mask, &fineness, &bits, &step, &matrix, &slope))
        return NULL;
    PyObject *result = NULL;
    if (!fits(&p, &samples, &mask, &fineness) || bits.len != 4 * mask.len || step < 1
        || step > 65535 || matrix.len != 2 * p.channels * p.channels) {
        PyErr_SetString(PyExc_ValueError, "these arguments do not go together");
    } else {
        uint8_t *stream;
        size_t length = 0;
        memcpy(own.matrix, matrix.buf, (size_t)matrix.len);
        own.step = (uint16_t)step;
        p.samples = samples.buf;
        Blocks blocks = {mask.buf, fineness.buf, bits.buf};
        Py_BEGIN_ALLOW_THREADS
        stream = linear_encode(&p, &blocks, &own, slope, &length);
        Py_END_ALLOW_THREADS
        result = stream ? PyBytes_FromStringAndSize((const char *)stream, (Py_ssize_t)length)
                        : PyErr_NoMemory();
        free(stream);
    }
    PyBuffer_Release(&samples);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&fineness);
    PyBuffer_Release(&bits);
    PyBuffer_Release(&matrix);
    return result;
}

/* decode(stream, pixels, height, width, channels, depth, mask, fineness) fills pixels and
   fineness, and tells whether the stream is one. */
static PyObject *decode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer stream, samples, mask, fineness;
    Pixels p;
    if (!PyArg_ParseTuple(args, "y*w*iiiiy*w*", &stream, &samples, &p.height, &p.width,
                          &p.channels, &p.depth, &mask, &fineness))
        return NULL;
    PyObject *result = NULL;
    if (!fits(&p, &samples, &mask, &fineness)) {
        PyErr_SetString(PyExc_TypeError, "these arguments do not go together");
    } else {
        int error;
        p.samples = samples.buf;
        Blocks blocks = {mask.buf, fineness.buf, NULL};
        Py_BEGIN_ALLOW_THREADS
        error = linear_decode(stream.buf, (size_t)stream.len, &p, &blocks);
        Py_END_ALLOW_THREADS
        result = error == LINEAR_MEMORY ? PyErr_NoMemory() : PyBool_FromLong(error == LINEAR_OK);
    }
    PyBuffer_Release(&stream);
    PyBuffer_Release(&samples);
    PyBuffer_Release(&mask);
    PyBuffer_Release(&fineness);
    return result;
}

static PyMethodDef functions[] = {
    {"encode", encode, METH_VARARGS, "See coder.encode."},
    {"decode", decode, METH_VARARGS, "See coder.decode."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_linear",
    .m_doc = "The linear coder in C; see coder.py.",
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__linear(void)
{
    return PyModule_Create(&module);
}
