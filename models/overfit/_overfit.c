/*
 * lictor.models.overfit._overfit: networks, tiles and samples of overfitted pictures.
 *
 *   write_networks(size, start, exponents, spreads, numbers) -> bytes
 *   read_networks(bytes) -> (size, start, exponents, spreads, numbers), or None
 *   encode(networks, grids, height, width, path) -> bytes
 *   decode(networks, stream, grids, height, width, path) -> whether all is well
 *   synthesize(networks, grids, height, width, top, left, bottom, right, samples, channels, depth,
 *              path)
 *   paths   how many versions this CPU can run; path 0 is the best, all give the same
 *
 * coder.py checks what needs words; here is only what keeps memory safe.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "paths.h"

enum { MOST_SIDE = 1 << 20 };

static int pick_path(Path *path, int number)
{
    Path paths[MOST_PATHS];
    if (number < 0 || number >= paths_here(paths))
        return 0;
    *path = paths[number];
    return 1;
}

/* Networks ready for use, for the caller to free; NULL with an error set. */
static Network *networks_of(const Py_buffer *bytes)
{
    Parameters parameters;
    Network *n = NULL;
    if (!parameters_read(&parameters, bytes->buf, (size_t)bytes->len) || parameters.start) {
        PyErr_SetString(PyExc_ValueError, "these bytes are no networks");
    } else if ((n = malloc(sizeof *n)) == NULL) {
        PyErr_NoMemory();
    } else {
        network_start(n, &parameters);
    }
    return n;
}

/* Whether a buffer has all grids of a picture. */
static int grids_in(Grids *grids, const Py_buffer *buffer, int height, int width)
{
    if (height < 1 || width < 1 || height > MOST_SIDE || width > MOST_SIDE)
        return 0;
    return grids_lay_out(grids, height, width, buffer->buf) == (size_t)buffer->len;
}

static PyObject *unfit(void)
{
    PyErr_SetString(PyExc_ValueError, "these arguments do not go together");
    return NULL;
}

static PyObject *bytes_and_free(uint8_t *bytes, size_t length)
{
    PyObject *result = bytes ? PyBytes_FromStringAndSize((const char *)bytes, (Py_ssize_t)length)
                             : PyErr_NoMemory();
    free(bytes);
    return result;
}

static int parameters_fit(const Parameters *p, const Py_buffer *exponents, const Py_buffer *spreads,
                          const Py_buffer *numbers)
{
    if (p->size < 0 || p->size >= SIZE_COUNT || p->start < 0 || p->start > 65535 || exponents->len != GROUPS || spreads->len != GROUPS
        || numbers->len != 2 * (Py_ssize_t)parameter_count(&SIZES[p->size]))
        return 0;
    for (int g = 0; g < GROUPS; g++) {
        int exponent = ((const uint8_t *)exponents->buf)[g];
        if (exponent < 1 || exponent > 15 || ((const uint8_t *)spreads->buf)[g] >= SPREADS)
            return 0;
    }
    return 1;
}

static PyObject *write_networks(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer exponents, spreads, numbers;
    Parameters p;
    if (!PyArg_ParseTuple(args, "iiy*y*y*", &p.size, &p.start, &exponents, &spreads, &numbers))
        return NULL;
    PyObject *result = NULL;
    if (!parameters_fit(&p, &exponents, &spreads, &numbers)) {
        unfit();
    } else {
        size_t length = 0;
        memcpy(p.exponents, exponents.buf, GROUPS);
        memcpy(p.spreads, spreads.buf, GROUPS);
        memcpy(p.numbers, numbers.buf, (size_t)numbers.len);
        uint8_t *bytes = parameters_write(&p, &length);
        result = bytes_and_free(bytes, length);
    }
    PyBuffer_Release(&exponents);
    PyBuffer_Release(&spreads);
    PyBuffer_Release(&numbers);
    return result;
}

static PyObject *read_networks(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer bytes;
    Parameters p;
    if (!PyArg_ParseTuple(args, "y*", &bytes))
        return NULL;
    int good = parameters_read(&p, bytes.buf, (size_t)bytes.len);
    PyBuffer_Release(&bytes);
    if (!good)
        Py_RETURN_NONE;
    Py_ssize_t count = parameter_count(&SIZES[p.size]);
    return Py_BuildValue("(iiy#y#y#)", p.size, p.start, (const char *)p.exponents, (Py_ssize_t)GROUPS,
                         (const char *)p.spreads, (Py_ssize_t)GROUPS, (const char *)p.numbers,
                         2 * count);
}

static PyObject *encode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer networks, symbols;
    int height, width, number;
    Path path;
    Grids grids;
    if (!PyArg_ParseTuple(args, "y*w*iii", &networks, &symbols, &height, &width, &number))
        return NULL;
    PyObject *result = NULL;
    Network *n = NULL;
    if (!grids_in(&grids, &symbols, height, width) || !pick_path(&path, number)) {
        unfit();
    } else if ((n = networks_of(&networks)) != NULL) {
        size_t length = 0;
        uint8_t *stream;
        Py_BEGIN_ALLOW_THREADS
        stream = tile_encode(&path, n, &grids, &length);
        Py_END_ALLOW_THREADS
        result = bytes_and_free(stream, length);
    }
    free(n);
    PyBuffer_Release(&networks);
    PyBuffer_Release(&symbols);
    return result;
}

static PyObject *decode(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer networks, stream, symbols;
    int height, width, number;
    Path path;
    Grids grids;
    if (!PyArg_ParseTuple(args, "y*y*w*iii", &networks, &stream, &symbols, &height, &width,
                          &number))
        return NULL;
    PyObject *result = NULL;
    Network *n = NULL;
    if (!grids_in(&grids, &symbols, height, width) || !pick_path(&path, number)) {
        unfit();
    } else if ((n = networks_of(&networks)) != NULL) {
        int status;
        Py_BEGIN_ALLOW_THREADS
        status = tile_decode(&path, n, &grids, stream.buf, (size_t)stream.len);
        Py_END_ALLOW_THREADS
        result = status == OVERFIT_NO_MEMORY ? PyErr_NoMemory()
                                             : PyBool_FromLong(status == OVERFIT_OK);
    }
    free(n);
    PyBuffer_Release(&networks);
    PyBuffer_Release(&stream);
    PyBuffer_Release(&symbols);
    return result;
}

/* Whether an area lies in the picture, and the samples are those of the area. */
static int area_fits(const Area *a, const Grids *grids, const Picture *out, const Py_buffer *samples)
{
    if (a->top < 0 || a->left < 0 || a->bottom > grids->height || a->right > grids->width
        || a->top >= a->bottom || a->left >= a->right
        || (out->channels != 1 && out->channels != 3) || (out->depth != 8 && out->depth != 16))
        return 0;
    return samples->len == (Py_ssize_t)(a->bottom - a->top) * (a->right - a->left) * out->channels
                               * (out->depth / 8);
}

static PyObject *synthesize(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer networks, symbols, samples;
    int height, width, number;
    Path path;
    Grids grids;
    Area a;
    Picture out;
    if (!PyArg_ParseTuple(args, "y*w*iiiiiiw*iii", &networks, &symbols, &height, &width, &a.top,
                          &a.left, &a.bottom, &a.right, &samples, &out.channels, &out.depth,
                          &number))
        return NULL;
    PyObject *result = NULL;
    Network *n = NULL;
    if (!grids_in(&grids, &symbols, height, width) || !area_fits(&a, &grids, &out, &samples)
        || !pick_path(&path, number)) {
        unfit();
    } else if ((n = networks_of(&networks)) != NULL) {
        int fine;
        out.samples = samples.buf;
        out.stride = (ptrdiff_t)(a.right - a.left) * out.channels;
        Py_BEGIN_ALLOW_THREADS
        fine = path.synthesize(n, &grids, &a, &out);
        Py_END_ALLOW_THREADS
        result = fine ? Py_NewRef(Py_None) : PyErr_NoMemory();
    }
    free(n);
    PyBuffer_Release(&networks);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&samples);
    return result;
}

static PyMethodDef functions[] = {
    {"write_networks", write_networks, METH_VARARGS, "See above."},
    {"read_networks", read_networks, METH_VARARGS, "See above."},
    {"encode", encode, METH_VARARGS, "See above."},
    {"decode", decode, METH_VARARGS, "See above."},
    {"synthesize", synthesize, METH_VARARGS, "See above."},
    {NULL, NULL, 0, NULL},
};

static int exec_module(PyObject *self)
{
    Path paths[MOST_PATHS];
    laplace_set_up();
    return PyModule_AddIntConstant(self, "paths", paths_here(paths));
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, exec_module},
    {0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "lictor.models.overfit._overfit",
    .m_doc = "Overfitted pictures in C; see coder.py.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__overfit(void)
{
    return PyModuleDef_Init(&definition);
}
