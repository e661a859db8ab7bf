/*
 * lictor.models.light._kernels: the layers of kernels.h as a Python module; layers.py says what is
 * what. Sizes and places are checked against the buffers before anything is touched.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "kernels.h"

#define MOST ((Py_ssize_t)1 << 30) /* of any number given: products of two stay in 64 bits */

/* Whether all are in 0…MOST. */
static int small(const Py_ssize_t *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (numbers[i] < 0 || numbers[i] > MOST) return 0;
    return 1;
}

/* Whether a buffer has room for so many numbers of a size. */
static int holds(const Py_buffer *b, uint64_t count, size_t size)
{
    return (uint64_t)b->len / size >= count;
}

/* Whether packed weights and their bias, if there is one, are those of a matrix. */
static int is_matrix(const Py_buffer *weight, const Py_buffer *bias, Py_ssize_t inputs,
                     Py_ssize_t outputs, size_t size)
{
    uint64_t columns = ((uint64_t)outputs + 2 * PANEL - 1) / (2 * PANEL) * (2 * PANEL);
    return columns < (uint64_t)MOST && (!bias || holds(bias, columns, size))
           && holds(weight, columns * (uint64_t)inputs, size);
}

static PyObject *given(int fits, int enough, Py_buffer *buffers, size_t count)
{
    for (size_t i = 0; i < count; i++) PyBuffer_Release(buffers + i);
    if (!fits) {
        PyErr_SetString(PyExc_ValueError, "these arguments do not go together");
        return NULL;
    }
    if (!enough) return PyErr_NoMemory();
    Py_RETURN_NONE;
}

/* Numbers of one call of dense: offset, lines, line, rows, row, inputs, outputs, first. */
typedef struct {
    Py_ssize_t offset, lines, line, rows, row, inputs, outputs, first;
} Sizes;

static int dense_fits(const Sizes *s, const Py_buffer *b, size_t size)
{
    if (!small(&s->offset, sizeof(*s) / sizeof(Py_ssize_t))) return 0;
    if (!s->lines || !s->rows) return 1;
    uint64_t last = (uint64_t)s->offset + (uint64_t)(s->lines - 1) * (uint64_t)s->line
                    + (uint64_t)(s->rows - 1) * (uint64_t)s->row + (uint64_t)s->inputs;
    uint64_t rows = (uint64_t)s->first + (uint64_t)s->lines * (uint64_t)s->rows;
    return rows < (uint64_t)MOST && holds(&b[0], last, size)
           && holds(&b[3], rows * (uint64_t)s->outputs, size)
           && is_matrix(&b[1], &b[2], s->inputs, s->outputs, size);
}

/* dense(x, offset, lines, line, rows, row, inputs, weight, bias, outputs, out, first, finish, path,
   exact): rows of x times a matrix, to rows of out from `first` on. */
static PyObject *dense(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer b[4]; /* x, weight, bias, out */
    Sizes s;
    int finish, path, exact, enough = 1;
    if (!PyArg_ParseTuple(args, "y*nnnnnny*y*nw*niii", &b[0], &s.offset, &s.lines, &s.line, &s.rows,
                          &s.row, &s.inputs, &b[1], &b[2], &s.outputs, &b[3], &s.first, &finish,
                          &path, &exact))
        return NULL;
    int fits = dense_fits(&s, b, exact ? sizeof(double) : sizeof(float));
    if (fits && s.lines && s.rows) {
        Rows r = {(size_t)s.lines, (size_t)s.line, (size_t)s.rows, (size_t)s.row, (size_t)s.inputs};
        size_t outputs = (size_t)s.outputs;
        Py_BEGIN_ALLOW_THREADS
        if (exact) {
            double *room = malloc(TILE * outputs * sizeof(double) + 1);
            enough = room != NULL;
            if (enough)
                ON_PATH(path, double_dense, &r, (const double *)b[0].buf + s.offset, b[1].buf,
                        b[2].buf, outputs, (double *)b[3].buf + (size_t)s.first * outputs, finish,
                        room);
            free(room);
        } else {
            ON_PATH(path, float_dense, &r, (const float *)b[0].buf + s.offset, b[1].buf, b[2].buf,
                    outputs, (float *)b[3].buf + (size_t)s.first * outputs, finish);
        }
        Py_END_ALLOW_THREADS
    }
    return given(fits, enough, b, 4);
}

/* Numbers of one call of depthwise. */
typedef struct {
    Py_ssize_t height, width, channels, kernel, stride, before, high, wide, first, last;
} Extent;

static int depthwise_fits(const Extent *e, const Py_buffer *b, size_t size)
{
    if (!small(&e->height, sizeof(*e) / sizeof(Py_ssize_t)) || e->kernel > 15 || e->last > e->high)
        return 0;
    uint64_t from = (uint64_t)e->height * (uint64_t)e->width;
    uint64_t to = (uint64_t)e->high * (uint64_t)e->wide;
    uint64_t channels = (uint64_t)e->channels;
    return from < (uint64_t)MOST && to < (uint64_t)MOST && holds(&b[0], from * channels, size)
           && holds(&b[1], (uint64_t)(e->kernel * e->kernel) * channels, size)
           && holds(&b[2], channels, size) && holds(&b[3], to * channels, size);
}

/* depthwise(x, height, width, channels, kernel, stride, before, taps, bias, out, high, wide, first,
   last, finish, path, exact): rows first…last - 1 of a convolution whose output is (high, wide). */
static PyObject *depthwise(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer b[4]; /* x, taps, bias, out */
    Extent e;
    int finish, path, exact, enough = 1;
    if (!PyArg_ParseTuple(args, "y*nnnnnny*y*w*nnnniii", &b[0], &e.height, &e.width, &e.channels,
                          &e.kernel, &e.stride, &e.before, &b[1], &b[2], &b[3], &e.high, &e.wide,
                          &e.first, &e.last, &finish, &path, &exact))
        return NULL;
    int fits = depthwise_fits(&e, b, exact ? sizeof(double) : sizeof(float));
    if (exact)
        fits = fits && e.kernel == 3 && e.stride == 1 && e.before == 1 && e.high == e.height
               && e.wide == e.width;
    if (fits) {
        Depthwise d = {e.height, e.width, (size_t)e.channels, e.kernel,
                       e.stride, e.before, b[1].buf,           b[2].buf};
        Py_BEGIN_ALLOW_THREADS
        if (exact) {
            double *room = malloc(d.channels * sizeof(double) + 1);
            enough = room != NULL;
            if (enough)
                ON_PATH(path, double_depthwise, &d, b[0].buf, e.first, e.last, b[3].buf, finish,
                        room);
            free(room);
        } else {
            ON_PATH(path, float_depthwise, &d, b[0].buf, e.first, e.last, b[3].buf, e.wide, finish);
        }
        Py_END_ALLOW_THREADS
    }
    return given(fits, enough, b, 4);
}

/* Whether these are the extent of a block, height, width, channels, and places of it. */
static int block_fits(const Py_ssize_t n[5])
{
    return small(n, 5) && n[0] <= MOST / (n[1] + 1) && n[4] <= n[0] * n[1] && n[2] > 0;
}

/* block(x, entered, height, width, channels, taps, bias, leave, bias, expand, bias, project, bias,
   cap, out, kept, first, last, path): places first…last - 1 of what a residual block gives. kept:
   what goes into its gate, or empty. */
static PyObject *block(PyObject *Py_UNUSED(self), PyObject *args)
{
    enum { X, ENTERED, TAPS, TAPS_BIAS, LEAVE, LEAVE_BIAS, EXPAND, EXPAND_BIAS, PROJECT,
           PROJECT_BIAS, CAP, OUT, KEPT, BUFFERS };
    Py_buffer b[BUFFERS];
    Py_ssize_t n[5]; /* height, width, channels, first, last */
    int path, enough = 1;
    if (!PyArg_ParseTuple(args, "y*y*nnny*y*y*y*y*y*y*y*y*w*w*nni", &b[X], &b[ENTERED], &n[0], &n[1],
                          &n[2], &b[TAPS], &b[TAPS_BIAS], &b[LEAVE], &b[LEAVE_BIAS], &b[EXPAND],
                          &b[EXPAND_BIAS], &b[PROJECT], &b[PROJECT_BIAS], &b[CAP], &b[OUT],
                          &b[KEPT], &n[3], &n[4], &path))
        return NULL;
    Py_ssize_t channels = n[2];
    const size_t size = sizeof(float);
    int fits = block_fits(n);
    uint64_t all = fits ? (uint64_t)(n[0] * n[1]) * (uint64_t)channels : 0;
    fits = fits && holds(&b[X], all, size) && holds(&b[ENTERED], all, size)
           && holds(&b[OUT], all, size) && (!b[KEPT].len || holds(&b[KEPT], 2 * all, size))
           && holds(&b[TAPS], 9 * (uint64_t)channels, size) && holds(&b[TAPS_BIAS], (uint64_t)channels, size)
           && holds(&b[CAP], (uint64_t)channels, size)
           && is_matrix(&b[LEAVE], &b[LEAVE_BIAS], channels, channels, size)
           && is_matrix(&b[EXPAND], &b[EXPAND_BIAS], channels, 2 * channels, size)
           && is_matrix(&b[PROJECT], &b[PROJECT_BIAS], channels, channels, size);
    if (fits) {
        Block k = {{n[0], n[1], (size_t)channels, 3, 1, 1, b[TAPS].buf, b[TAPS_BIAS].buf},
                   b[LEAVE].buf,
                   b[LEAVE_BIAS].buf,
                   b[EXPAND].buf,
                   b[EXPAND_BIAS].buf,
                   b[PROJECT].buf,
                   b[PROJECT_BIAS].buf,
                   b[CAP].buf};
        Py_BEGIN_ALLOW_THREADS
        float *room = malloc(TILE * 4 * (size_t)channels * size);
        enough = room != NULL;
        if (enough)
            ON_PATH(path, float_block, &k, b[X].buf, b[ENTERED].buf, (size_t)n[3], (size_t)n[4],
                    b[OUT].buf, b[KEPT].len ? b[KEPT].buf : NULL, room);
        free(room);
        Py_END_ALLOW_THREADS
    }
    return given(fits, enough, b, BUFFERS);
}

/* back_to_spatial(wide, grad, height, width, channels, leave, expand, project, cap, past, mixed,
   first, last, path): places first…last - 1 of the way back through a block; gradient_paths.h. */
static PyObject *back_to_spatial(PyObject *Py_UNUSED(self), PyObject *args)
{
    enum { WIDE_, GRAD, LEAVE, EXPAND, PROJECT, CAP, PAST, MIXED, BUFFERS };
    Py_buffer b[BUFFERS];
    Py_ssize_t n[5]; /* height, width, channels, first, last */
    int path, enough = 1;
    if (!PyArg_ParseTuple(args, "y*y*nnny*y*y*y*w*w*nni", &b[WIDE_], &b[GRAD], &n[0], &n[1], &n[2],
                          &b[LEAVE], &b[EXPAND], &b[PROJECT], &b[CAP], &b[PAST], &b[MIXED], &n[3],
                          &n[4], &path))
        return NULL;
    const size_t size = sizeof(float);
    int fits = block_fits(n);
    uint64_t channels = (uint64_t)n[2], all = fits ? (uint64_t)(n[0] * n[1]) * channels : 0;
    fits = fits && holds(&b[WIDE_], 2 * all, size) && holds(&b[GRAD], all, size)
           && holds(&b[PAST], all, size) && holds(&b[MIXED], all, size)
           && holds(&b[CAP], channels, size) && is_matrix(&b[LEAVE], NULL, n[2], n[2], size)
           && is_matrix(&b[EXPAND], NULL, 2 * n[2], n[2], size)
           && is_matrix(&b[PROJECT], NULL, n[2], n[2], size);
    if (fits) {
        BlockBack k = {{n[0], n[1], (size_t)n[2], 3, 1, 1, NULL, NULL},
                       NULL, b[LEAVE].buf, b[EXPAND].buf, b[PROJECT].buf, b[CAP].buf};
        Py_BEGIN_ALLOW_THREADS
        float *room = malloc(TILE * 3 * (size_t)channels * size);
        enough = room != NULL;
        if (enough)
            ON_PATH(path, float_back_to_spatial, &k, b[WIDE_].buf, b[GRAD].buf, (size_t)n[3],
                    (size_t)n[4], b[PAST].buf, b[MIXED].buf, room);
        free(room);
        Py_END_ALLOW_THREADS
    }
    return given(fits, enough, b, BUFFERS);
}

/* back_to_input(entered, mixed, height, width, channels, taps, nothing, enter, past, first, last,
   path): places first…last - 1 of the rest of that way. nothing: zeros, a number each channel. */
static PyObject *back_to_input(PyObject *Py_UNUSED(self), PyObject *args)
{
    enum { ENTERED, MIXED, TAPS, NOTHING, ENTER, PAST, BUFFERS };
    Py_buffer b[BUFFERS];
    Py_ssize_t n[5]; /* height, width, channels, first, last */
    int path, enough = 1;
    if (!PyArg_ParseTuple(args, "y*y*nnny*y*y*w*nni", &b[ENTERED], &b[MIXED], &n[0], &n[1], &n[2],
                          &b[TAPS], &b[NOTHING], &b[ENTER], &b[PAST], &n[3], &n[4], &path))
        return NULL;
    const size_t size = sizeof(float);
    int fits = block_fits(n);
    uint64_t channels = (uint64_t)n[2], all = fits ? (uint64_t)(n[0] * n[1]) * channels : 0;
    fits = fits && holds(&b[ENTERED], all, size) && holds(&b[MIXED], all, size)
           && holds(&b[PAST], all, size) && holds(&b[TAPS], 9 * channels, size)
           && holds(&b[NOTHING], channels, size) && is_matrix(&b[ENTER], NULL, n[2], n[2], size);
    if (fits) {
        BlockBack k = {{n[0], n[1], (size_t)n[2], 3, 1, 1, b[TAPS].buf, b[NOTHING].buf},
                       b[ENTER].buf, NULL, NULL, NULL, NULL};
        Py_BEGIN_ALLOW_THREADS
        float *room = malloc(TILE * (size_t)channels * size);
        enough = room != NULL;
        if (enough)
            ON_PATH(path, float_back_to_input, &k, b[ENTERED].buf, b[MIXED].buf, (size_t)n[3],
                    (size_t)n[4], b[PAST].buf, room);
        free(room);
        Py_END_ALLOW_THREADS
    }
    return given(fits, enough, b, BUFFERS);
}

static PyMethodDef functions[] = {
    {"dense", dense, METH_VARARGS, "See layers.Dense."},
    {"depthwise", depthwise, METH_VARARGS, "See layers.Depthwise."},
    {"block", block, METH_VARARGS, "See layers.Block."},
    {"back_to_spatial", back_to_spatial, METH_VARARGS, "See gradients.BlockBack."},
    {"back_to_input", back_to_input, METH_VARARGS, "See gradients.BlockBack."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_kernels",
    .m_doc = "Layers of networks in C; see layers.py.",
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__kernels(void)
{
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddIntConstant(made, "BEST", best_path())) Py_CLEAR(made);
    return made;
}
