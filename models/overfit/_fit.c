/*
 * lictor.models.overfit._fit: the loss of an overfitted picture and its gradients as a Python
 * module; fitting.py says what is what.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "fit.h"

static const char CAPSULE[] = "lictor.models.overfit._fit";

typedef struct {
    Fit *fit;
    const Kernels *kernels;
} Handle;

static void release(PyObject *capsule)
{
    Handle *handle = PyCapsule_GetPointer(capsule, CAPSULE);
    fit_end(handle->fit);
    free(handle);
}

static int complain(void)
{
    PyErr_SetString(PyExc_ValueError, "these arguments do not go together");
    return 0;
}

/* Whether a fit can have these sides and networks. */
static int sensible(const Fit *f, Py_ssize_t picture, int threads)
{
    int n = f->neighbours + f->features;
    return f->height > 0 && f->width > 0 && f->height <= 1 << 20 && f->width <= 1 << 20
           && picture == (Py_ssize_t)sizeof(float) * 3 * f->height * f->width && f->tile_height > 0
           && f->tile_height <= TILE && f->tile_height % 64 == 0 && f->tile_width > 0
           && f->tile_width <= TILE && f->tile_width % 64 == 0 && f->neighbours > 0
           && f->neighbours <= MOST_NEIGHBOURS && f->features > 0 && f->features <= 6
           && (n == 8 || n == 16 || n == 24) && f->hidden > 0 && f->hidden % 8 == 0
           && f->hidden <= MOST_HIDDEN && f->convs > 0 && f->convs <= 2 && threads > 0
           && threads <= 256;
}

static PyObject *create(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer picture;
    Fit given = {0};
    int threads, lanes;
    if (!PyArg_ParseTuple(args, "y*(ii)(ii)(iiii)ii", &picture, &given.height, &given.width,
                          &given.tile_height, &given.tile_width, &given.neighbours, &given.features,
                          &given.hidden, &given.convs, &threads, &lanes))
        return NULL;
    PyObject *capsule = NULL;
    Handle *handle = NULL;
    if (!sensible(&given, picture.len, threads)) {
        complain();
    } else if (!(handle = calloc(1, sizeof *handle)) || !(handle->fit = malloc(sizeof given))) {
        PyErr_NoMemory();
    } else {
        int failed = 0;
        size_t floats = (size_t)picture.len / sizeof(float);
        *handle->fit = given;
        handle->kernels = kernels_of(lanes);
        handle->fit->picture = plane(floats, &failed);
        if (failed || !fit_begin(handle->fit, handle->kernels, threads)) {
            PyErr_NoMemory();
        } else {
            memcpy(handle->fit->picture, picture.buf, (size_t)picture.len);
            capsule = PyCapsule_New(handle, CAPSULE, release);
        }
    }
    if (!capsule && handle) {
        fit_end(handle->fit);
        free(handle);
    }
    PyBuffer_Release(&picture);
    return capsule;
}

/* loss(fit, latents, parameters, gradient, x_hat or None, means and scales or None, temperature,
   deviation, seed, rate weight, error weight, learn, move) gives bits of each grid and the sum of
   squared errors. */
static PyObject *loss(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *capsule;
    Py_buffer latents, parameters, gradient, x_hat, told;
    float temperature, deviation, rate_weight, error_weight;
    unsigned int seed;
    int learn, move;
    if (!PyArg_ParseTuple(args, "Oy*y*w*z*z*ffIffpp", &capsule, &latents, &parameters,
                          &gradient, &x_hat, &told, &temperature, &deviation, &seed, &rate_weight, &error_weight,
                          &learn, &move))
        return NULL;
    PyObject *result = NULL;
    Handle *handle = PyCapsule_GetPointer(capsule, CAPSULE);
    Fit *fit = handle ? handle->fit : NULL;
    if (fit
        && ((size_t)latents.len != fit->symbols * sizeof(float)
            || (size_t)parameters.len != (size_t)fit->at.count * sizeof(float)
            || gradient.len != parameters.len || (move && !learn) || !(temperature >= 0)
            || (x_hat.buf
                && ((size_t)x_hat.len
                        != 3 * (size_t)fit->height * (size_t)fit->width * sizeof(float)
                    || x_hat.readonly))
            || (told.buf
                && ((size_t)told.len != 2 * fit->symbols * sizeof(float) || told.readonly)))) {
        complain();
    } else if (fit) {
        double bits[GRIDS] = {0}, error, *sums = calloc((size_t)fit->at.count, sizeof *sums);
        if (!sums) {
            PyErr_NoMemory();
        } else {
            fit->latents = latents.buf;
            fit->parameters = parameters.buf;
            fit->x_hat = x_hat.buf;
            fit->means = told.buf;
            fit->scales = told.buf ? fit->means + fit->symbols : NULL;
            fit->temperature = temperature;
            fit->deviation = deviation;
            fit->seed = seed;
            fit->rate_weight = rate_weight;
            fit->error_weight = error_weight;
            fit->learn = learn;
            fit->move = move;
            Py_BEGIN_ALLOW_THREADS error = fit_loss(fit, handle->kernels, sums, bits);
            Py_END_ALLOW_THREADS for (int i = 0; i < fit->at.count; i++)((float *)gradient.buf)[i] =
                (float)sums[i];
            free(sums);
            result = Py_BuildValue("(dddddddddd)d", bits[0], bits[1], bits[2], bits[3], bits[4],
                                   bits[5], bits[6], bits[7], bits[8], bits[9], error);
        }
    }
    PyBuffer_Release(&latents);
    PyBuffer_Release(&parameters);
    PyBuffer_Release(&gradient);
    PyBuffer_Release(&x_hat);
    PyBuffer_Release(&told);
    return result;
}

/* step(fit, latents, mean, square, size, root, epsilon): a step of Adam by the gradients of the
 * last loss. */
static PyObject *step(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *capsule;
    Py_buffer buffers[3];
    float size, root, epsilon;
    if (!PyArg_ParseTuple(args, "Ow*w*w*fff", &capsule, &buffers[0], &buffers[1], &buffers[2],
                          &size, &root, &epsilon))
        return NULL;
    PyObject *result = NULL;
    Handle *handle = PyCapsule_GetPointer(capsule, CAPSULE);
    Fit *fit = handle ? handle->fit : NULL;
    Py_ssize_t bytes = fit ? (Py_ssize_t)(fit->symbols * sizeof(float)) : 0;
    if (fit && (buffers[0].len != bytes || buffers[1].len != bytes || buffers[2].len != bytes)) {
        complain();
    } else if (fit) {
        fit->latents = buffers[0].buf;
        fit->mean = buffers[1].buf;
        fit->square = buffers[2].buf;
        fit->step_size = size;
        fit->root = root;
        fit->epsilon = epsilon;
        Py_BEGIN_ALLOW_THREADS pool_run(fit, handle->kernels->step_grids, symbol_jobs(fit));
        Py_END_ALLOW_THREADS result = Py_NewRef(Py_None);
    }
    for (int i = 0; i < 3; i++)
        PyBuffer_Release(&buffers[i]);
    return result;
}

/* inside(fit, values, gradients) copies what the last loss took for symbols, and its gradients by
 * them. */
static PyObject *inside(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *capsule;
    Py_buffer values, gradients;
    if (!PyArg_ParseTuple(args, "Ow*w*", &capsule, &values, &gradients))
        return NULL;
    PyObject *result = NULL;
    Handle *handle = PyCapsule_GetPointer(capsule, CAPSULE);
    Py_ssize_t bytes = handle ? (Py_ssize_t)(handle->fit->symbols * sizeof(float)) : 0;
    if (handle && (values.len != bytes || gradients.len != bytes)) {
        complain();
    } else if (handle) {
        memcpy(values.buf, handle->fit->value, (size_t)bytes);
        memcpy(gradients.buf, handle->fit->gradient, (size_t)bytes);
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&gradients);
    return result;
}

/* lanes(most): how many floats the kernels take at once that `create` takes for so many. */
static PyObject *lanes(PyObject *Py_UNUSED(self), PyObject *args)
{
    int most;
    if (!PyArg_ParseTuple(args, "i", &most))
        return NULL;
    return PyLong_FromLong(kernels_of(most)->lanes);
}

static PyMethodDef functions[] = {
    {"create", create, METH_VARARGS, "See fitting.py."},
    {"loss", loss, METH_VARARGS, "See fitting.py."},
    {"step", step, METH_VARARGS, "See fitting.py."},
    {"inside", inside, METH_VARARGS, "See fitting.py."},
    {"lanes", lanes, METH_VARARGS, "See fitting.py."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_fit",
    .m_doc = "Fits overfitted pictures; see fitting.py.",
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit__fit(void)
{
    return PyModule_Create(&module);
}
