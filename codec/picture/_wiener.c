/*
 * lictor.codec.picture._wiener: wiener.h as a Python module. Sizes, taps and thresholds are checked
 * against the buffers before anything is touched.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "wiener.h"

/* A picture of samples of 1 or 2 bytes, and what goes with it. */
typedef struct {
    Shape shape;
    Py_ssize_t size;
    Py_buffer samples, thresholds;
} Given;

/* Whether a buffer has just so many numbers of a size. */
static int has(const Py_buffer *b, Py_ssize_t count, Py_ssize_t size)
{
    return b->len / size == count && b->len % size == 0;
}

static Py_ssize_t pixels(const Given *g)
{
    return g->shape.height * g->shape.width;
}

static int fits(Given *g)
{
    Shape *s = &g->shape;
    if (s->height < 1 || s->width < 1 || s->height > 1 << 30 || s->width > 1 << 30
        || (s->colours != 1 && s->colours != 3) || (g->size != 1 && g->size != 2))
        return 0;
    const uint64_t all = (uint64_t)s->height * (uint64_t)s->width; /* at most 2^60 */
    if (all > (uint64_t)PY_SSIZE_T_MAX / 32 || !has(&g->samples, (Py_ssize_t)all * s->colours, g->size)
        || g->thresholds.len % 4 || g->thresholds.len / 4 >= MOST_CLASSES)
        return 0;
    s->count = g->thresholds.len / 4;
    s->thresholds = g->thresholds.buf;
    return 1;
}

static PyObject *result(int fit, int enough)
{
    if (!fit) {
        PyErr_SetString(PyExc_ValueError, "these arguments do not go together");
        return NULL;
    }
    if (!enough) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* filter(samples, height, width, colours, size, thresholds i32, taps i32, precision, out): taps of
   each class and colour, 8 or 16, the last of them zeros. */
static PyObject *py_filter(PyObject *Py_UNUSED(self), PyObject *args)
{
    Given g;
    Py_buffer taps, out;
    int precision, enough = 1;
    if (!PyArg_ParseTuple(args, "y*nnnny*y*iw*", &g.samples, &g.shape.height, &g.shape.width,
                          &g.shape.colours, &g.size, &g.thresholds, &taps, &precision, &out))
        return NULL;
    const ptrdiff_t each = g.shape.colours * PLACES(g.shape.colours);
    int fit = fits(&g) && precision >= 5 && precision <= 8 && out.len == g.samples.len
              && has(&taps, (g.shape.count + 1) * each, 4);
    for (ptrdiff_t i = 0; fit && i < taps.len / 4; i++) {
        int32_t tap = ((const int32_t *)taps.buf)[i];
        fit = tap >= -MOST_TAP && tap <= MOST_TAP;
    }
    if (fit) {
        Py_BEGIN_ALLOW_THREADS
        enough = (g.size == 1 ? byte_filter : word_filter)(&g.shape, g.samples.buf, taps.buf,
                                                           precision, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&g.samples);
    PyBuffer_Release(&g.thresholds);
    PyBuffer_Release(&taps);
    PyBuffer_Release(&out);
    return result(fit, enough);
}

/* squares(samples, height, width, colours, size, thresholds i32, wanted, weights f32, sums f64) */
static PyObject *py_squares(PyObject *Py_UNUSED(self), PyObject *args)
{
    Given g;
    Py_buffer wanted, weights, sums;
    int enough = 1;
    if (!PyArg_ParseTuple(args, "y*nnnny*y*y*w*", &g.samples, &g.shape.height, &g.shape.width,
                          &g.shape.colours, &g.size, &g.thresholds, &wanted, &weights, &sums))
        return NULL;
    const ptrdiff_t n = g.shape.colours;
    int fit = fits(&g) && wanted.len == g.samples.len && has(&weights, pixels(&g), 4)
              && has(&sums, (g.shape.count + 1) * (PLACES(n) + n) * PLACES(n), 8);
    if (fit) {
        Py_BEGIN_ALLOW_THREADS
        enough = (g.size == 1 ? byte_squares : word_squares)(&g.shape, g.samples.buf, wanted.buf,
                                                             weights.buf, sums.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&g.samples);
    PyBuffer_Release(&g.thresholds);
    PyBuffer_Release(&wanted);
    PyBuffer_Release(&weights);
    PyBuffer_Release(&sums);
    return result(fit, enough);
}

/* activity(samples, height, width, colours, size, thresholds, out i32): the thresholds do nothing. */
static PyObject *py_activity(PyObject *Py_UNUSED(self), PyObject *args)
{
    Given g;
    Py_buffer out;
    int enough = 1;
    if (!PyArg_ParseTuple(args, "y*nnnny*w*", &g.samples, &g.shape.height, &g.shape.width,
                          &g.shape.colours, &g.size, &g.thresholds, &out))
        return NULL;
    int fit = fits(&g) && has(&out, pixels(&g), 4);
    if (fit) {
        Py_BEGIN_ALLOW_THREADS
        enough = (g.size == 1 ? byte_all_activity : word_all_activity)(&g.shape, g.samples.buf,
                                                                       out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&g.samples);
    PyBuffer_Release(&g.thresholds);
    PyBuffer_Release(&out);
    return result(fit, enough);
}

static PyMethodDef methods[] = {
    {"filter", py_filter, METH_VARARGS, "Samples filtered."},
    {"squares", py_squares, METH_VARARGS, "What a fit by least squares needs."},
    {"activity", py_activity, METH_VARARGS, "How much happens around each pixel."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_wiener",
    .m_doc = "The filter of what the synthesis gives, in C; see wiener.py.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__wiener(void)
{
    return PyModuleDef_Init(&module);
}
