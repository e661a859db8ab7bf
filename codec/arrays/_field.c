/*
 * lictor.codec.arrays._field: field.h and field_fit.h as a Python module; field.py says what is
 * what.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "direct_module.h"
#include "field_fit.h"
#include "low_rank_module.h"
#include "numbers_module.h"

typedef struct {
    PyObject_HEAD
    int busy, finished;     /* it has no errors any more */
    Field field;
} FieldObject;

static int enter(FieldObject *self)
{
    if (self->finished) {
        PyErr_SetString(PyExc_RuntimeError, "this field is finished");
        return -1;
    }
    if (self->busy) {
        PyErr_SetString(PyExc_RuntimeError, "this field is in use by another thread");
        return -1;
    }
    self->busy = 1;
    return 0;
}

static void field_dealloc(FieldObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    field_free(&self->field);
    release(self);
    Py_DECREF(type);
}

/* Field(channels, count, height, width) */
static PyObject *field_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    int channels, count, height, width;
    if (!PyArg_ParseTuple(args, "iiii", &channels, &count, &height, &width))
        return NULL;
    if (channels < 1 || count < 1 || height < 1 || width < 1
        || (double)channels * count * height * width > 1e11) {
        PyErr_SetString(PyExc_ValueError, "a field of no such shape");
        return NULL;
    }
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    FieldObject *self = (FieldObject *)alloc(type, 0);
    if (self != NULL && field_init(&self->field, channels, count, height, width)) {
        Py_DECREF((PyObject *)self);
        return PyErr_NoMemory();
    }
    return (PyObject *)self;
}

static int is_there(const Field *f, int channel, int pass)
{
    if (channel >= 0 && channel < f->channels && pass >= 0 && pass < FIELD_PASSES)
        return 1;
    PyErr_SetString(PyExc_ValueError, "there is no such channel or pass");
    return 0;
}

static int are_taps(const Field *f, int channel, int pass, const Py_buffer *taps, FieldWeights *w)
{
    size_t count = (size_t)taps->len / sizeof(FieldTap);
    int good = taps->len % (Py_ssize_t)sizeof(FieldTap) == 0 && count <= FIELD_MAX_TAPS
               && (uintptr_t)taps->buf % sizeof(int32_t) == 0;
    w->taps = taps->buf;
    w->count = (int32_t)count;
    for (size_t i = 0; good && i < count; i++) {
        const FieldTap *t = w->taps + i;
        good = t->distance >= 0 && t->distance <= channel && t->place >= 0 && t->place < 9
               && t->weight >= -FIELD_MAX_WEIGHT && t->weight <= FIELD_MAX_WEIGHT
               && field_has(f, t->place);
        int own = t->distance > 0;
        for (int k = 0; k < 4; k++)
            own |= FIELD_OWN[pass][k] == t->place;
        good = good && own;
    }
    for (int i = 0; i < 3; i++)
        good = good && w->spread[i] >= 0 && w->spread[i] <= (i ? FIELD_MAX_WEIGHT : 1 << 30);
    if (!good)
        PyErr_SetString(PyExc_ValueError, "weights that there are not");
    return good;
}

/* predict(channel, pass, taps, bias, predictions i64[n]) */
static PyObject *predict(FieldObject *self, PyObject *args)
{
    Py_buffer taps, predictions;
    int channel, pass;
    FieldWeights w = {0};
    if (!PyArg_ParseTuple(args, "iiy*iw*", &channel, &pass, &taps, &w.bias, &predictions))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    if (is_there(f, channel, pass) && are_taps(f, channel, pass, &taps, &w)
        && holds(&predictions, field_pass(f, pass), 8) && !enter(self)) {
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = field_predict(f, channel, pass, &w, predictions.buf);
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = error ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&taps);
    PyBuffer_Release(&predictions);
    return result;
}

/* expect(channel, pass, taps, bias, spread0, spread1, spread2, contexts u8[64], rounded i32[n],
   index u8[n]) */
static PyObject *expect(FieldObject *self, PyObject *args)
{
    Py_buffer taps, rounded, contexts, index;
    int channel, pass;
    FieldWeights w;
    if (!PyArg_ParseTuple(args, "iiy*iiiiy*w*w*", &channel, &pass, &taps, &w.bias, &w.spread[0],
                          &w.spread[1], &w.spread[2], &contexts, &rounded, &index))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    if (is_there(f, channel, pass) && are_taps(f, channel, pass, &taps, &w)
        && holds(&rounded, field_pass(f, pass), 4) && holds(&contexts, FIELD_LEVELS, 1)
        && holds(&index, field_pass(f, pass), 1) && !enter(self)) {
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = field_predict_rounded(f, channel, pass, &w, rounded.buf);
        if (!error) {
            FieldContexts own;
            field_contexts(&own, contexts.buf);
            field_levels(f, channel, pass, &w, &own, index.buf);
        }
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = error ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&taps);
    PyBuffer_Release(&rounded);
    PyBuffer_Release(&contexts);
    PyBuffer_Release(&index);
    return result;
}

/* restore(channel, pass, rounded i32[n], residuals i32[n]) -> whether all values are in range;
   they are stored. What was given is written over. */
static PyObject *restore(FieldObject *self, PyObject *args)
{
    Py_buffer rounded, residuals;
    int channel, pass;
    if (!PyArg_ParseTuple(args, "iiw*w*", &channel, &pass, &rounded, &residuals))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    if (is_there(f, channel, pass)) {
        size_t n = field_pass(f, pass);
        if (holds(&rounded, n, 4) && holds(&residuals, n, 4)
            && field_largest(rounded.buf, n) <= FIELD_MAX_SYMBOL && !enter(self)) {
            int wrong, error = 0;
            Py_BEGIN_ALLOW_THREADS
            wrong = field_values(rounded.buf, residuals.buf, n);
            if (!wrong)
                error = field_store(f, channel, pass, rounded.buf)
                        || field_store_errors(f, channel, pass, residuals.buf);
            Py_END_ALLOW_THREADS
            self->busy = 0;
            result = error ? PyErr_NoMemory() : PyBool_FromLong(!wrong);
        } else if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "a prediction outside its range");
        }
    }
    PyBuffer_Release(&rounded);
    PyBuffer_Release(&residuals);
    return result;
}

/* contexts(channel, pass, taps, bias, bounds i64[DIRECT_BOUNDS], index u8[n]) */
static PyObject *contexts(FieldObject *self, PyObject *args)
{
    Py_buffer taps, bounds, index;
    int channel, pass;
    FieldWeights w = {0};
    if (!PyArg_ParseTuple(args, "iiy*iy*w*", &channel, &pass, &taps, &w.bias, &bounds, &index))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    if (is_there(f, channel, pass) && are_taps(f, channel, pass, &taps, &w)
        && holds(&bounds, DIRECT_BOUNDS, 8) && holds(&index, field_pass(f, pass), 1)
        && !enter(self)) {
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = direct_contexts(f, channel, pass, &w, bounds.buf, index.buf);
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = error ? PyErr_NoMemory() : Py_NewRef(Py_None);
    }
    PyBuffer_Release(&taps);
    PyBuffer_Release(&bounds);
    PyBuffer_Release(&index);
    return result;
}

/* store(channel, pass, values i32[n], root, plane i16 or i32[…] or None) -> whether the plane, which
   gets the values, holds them; else nothing is stored */
static PyObject *store(FieldObject *self, PyObject *args)
{
    Py_buffer values, plane;
    int channel, pass, root;
    if (!PyArg_ParseTuple(args, "iiy*pz*", &channel, &pass, &values, &root, &plane))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    Levels own = {NULL, 1};
    if (is_there(f, channel, pass)) {
        size_t n = field_pass(f, pass);
        size_t whole = (size_t)f->count * (size_t)f->height * (size_t)f->width;
        if (holds(&values, n, 4) && (!plane.buf || are_levels(&plane, whole, &own))) {
            int64_t most = field_largest(values.buf, n);
            int fits = own.wide || most <= INT16_MAX, error = 0;
            if (most > FIELD_MAX_SYMBOL) {
                PyErr_SetString(PyExc_ValueError, "a value outside its range");
            } else if (!enter(self)) {
                int32_t *room = root && fits ? malloc((n + 1) * sizeof *room) : NULL;
                error = root && fits && !room;
                if (fits && !error) {
                    Py_BEGIN_ALLOW_THREADS
                    error = direct_store(f, channel, pass, values.buf, root, room);
                    if (own.all)
                        field_scatter(f, pass, values.buf, &own);
                    Py_END_ALLOW_THREADS
                }
                free(room);
                self->busy = 0;
                result = error ? PyErr_NoMemory() : PyBool_FromLong(fits);
            }
        }
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&plane);
    return result;
}

/* fit(seen i16 or i32[all], counts i32[P], taps i32[P * 64 * 3], biases i32[P], spreads i32[P * 3],
   levels u8[all] or None, predictions i64[all / every, rounded up] or None, every) -> how many
   taps. Residuals take the place of what was seen; without levels it stays as it is. */
static PyObject *fit(FieldObject *self, PyObject *args)
{
    Py_buffer seen, counts, taps, biases, spreads, levels = {0}, predictions = {0};
    Py_ssize_t every;
    if (!PyArg_ParseTuple(args, "w*w*w*w*w*z*z*n", &seen, &counts, &taps, &biases, &spreads, &levels,
                          &predictions, &every))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width;
    size_t all = plane * (size_t)f->channels, units = (size_t)f->channels * FIELD_PASSES;
    Levels own;
    every = every > 0 ? every : 1;
    if (are_levels(&seen, all, &own) && holds(&counts, units, 4) && holds(&biases, units, 4)
        && holds(&taps, units * FIELD_MAX_TAPS * 3, 4) && holds(&spreads, units * 3, 4)
        && (!levels.buf || holds(&levels, all, 1))
        && (!predictions.buf || holds(&predictions, (all - 1) / (size_t)every + 1, 8))
        && levels_largest(&own, all) <= FIELD_MAX_SYMBOL && !enter(self)) {
        FitResult out = {counts.buf, taps.buf, biases.buf, spreads.buf,
                         {levels.buf ? own.all : NULL, own.wide},
                         levels.buf, predictions.buf, (size_t)every, 0};
        int error;
        Py_BEGIN_ALLOW_THREADS
        error = field_reach(f, &f->values, levels_largest(&own, all));
        for (int32_t c = 0; !error && c < f->channels; c++) {
            Levels one = levels_from(&own, (size_t)c * plane);
            field_store_plane(f, c, &one);
        }
        error = error || fit_field(f, &out);
        Py_END_ALLOW_THREADS
        self->busy = 0;
        result = error ? PyErr_NoMemory() : PyLong_FromSize_t(out.used);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "a value outside its range");
    }
    PyBuffer_Release(&seen);
    PyBuffer_Release(&counts);
    PyBuffer_Release(&taps);
    PyBuffer_Release(&biases);
    PyBuffer_Release(&spreads);
    PyBuffer_Release(&levels);
    PyBuffer_Release(&predictions);
    return result;
}

/* order(values i16 or i32[all]): puts them in the order of coding, in place */
static PyObject *order(FieldObject *self, PyObject *args)
{
    Py_buffer values;
    if (!PyArg_ParseTuple(args, "w*", &values))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    Levels own;
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width;
    size_t all = plane * (size_t)f->channels;
    if (are_levels(&values, all, &own) && !enter(self)) {
        size_t bytes = plane * (own.wide ? 4 : 2);
        void *room = malloc(bytes);
        for (int32_t c = 0; room && c < f->channels; c++) {
            Levels one = levels_from(&own, (size_t)c * plane), before = {room, own.wide};
            memcpy(room, one.all, bytes);
            field_order(f, &before, &one);
        }
        free(room);
        self->busy = 0;
        result = room ? Py_NewRef(Py_None) : PyErr_NoMemory();
    }
    PyBuffer_Release(&values);
    return result;
}

/* ordered(out i16 or i32[all]): all values, in the order of coding */
static PyObject *ordered(FieldObject *self, PyObject *args)
{
    Py_buffer out;
    if (!PyArg_ParseTuple(args, "w*", &out))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    Levels own;
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width;
    if (are_levels(&out, plane * (size_t)f->channels, &own)) {
        if (f->values.wide && !own.wide)
            PyErr_SetString(PyExc_ValueError, "values that do not fit");
        else if (!enter(self)) {
            for (int32_t c = 0; c < f->channels; c++) {
                Levels one = levels_from(&own, (size_t)c * plane);
                field_take_ordered(f, c, &one);
            }
            self->busy = 0;
            result = Py_NewRef(Py_None);
        }
    }
    PyBuffer_Release(&out);
    return result;
}

/* narrow() -> whether 16 bits hold all values; nothing can be restored afterwards */
static PyObject *narrow(FieldObject *self, PyObject *Py_UNUSED(args))
{
    if (enter(self))
        return NULL;
    field_drop(&self->field, &self->field.errors);
    self->finished = 1;
    self->busy = 0;
    return PyBool_FromLong(!self->field.values.wide);
}

/* take(out i16[all] if they are narrow, else i32[all]): all values */
static PyObject *take(FieldObject *self, PyObject *args)
{
    Py_buffer out;
    if (!PyArg_ParseTuple(args, "w*", &out))
        return NULL;
    PyObject *result = NULL;
    Field *f = &self->field;
    int wide = f->values.wide;
    size_t plane = (size_t)f->count * (size_t)f->height * (size_t)f->width;
    if (!self->finished)
        PyErr_SetString(PyExc_RuntimeError, "this field is not finished");
    else if (holds(&out, plane * (size_t)f->channels, wide ? 4 : 2)) {
        Py_BEGIN_ALLOW_THREADS
        for (int32_t c = 0; c < f->channels; c++) {
            if (wide)
                field_take_plane_32(f, f->values.all, c, (int32_t *)out.buf + (size_t)c * plane);
            else
                field_take_plane_16(f, f->values.all, c, (int16_t *)out.buf + (size_t)c * plane);
        }
        Py_END_ALLOW_THREADS
        result = Py_NewRef(Py_None);
    }
    PyBuffer_Release(&out);
    return result;
}

static PyMethodDef field_methods[] = {
    {"predict", (PyCFunction)predict, METH_VARARGS, "Predictions; see field.Field."},
    {"expect", (PyCFunction)expect, METH_VARARGS, "Predictions and contexts; see field.Field."},
    {"restore", (PyCFunction)restore, METH_VARARGS, "Residuals to values; see field.Field."},
    {"store", (PyCFunction)store, METH_VARARGS, "Values of a pass; see field.Field."},
    {"contexts", (PyCFunction)contexts, METH_VARARGS, "Contexts of values; see field.Field."},
    {"ordered", (PyCFunction)ordered, METH_VARARGS, "Its values in order; see field.Fitted."},
    {"order", (PyCFunction)order, METH_VARARGS, "Values in order; see field.Fitted."},
    {"narrow", (PyCFunction)narrow, METH_NOARGS, "Ends a field; see field.Field."},
    {"take", (PyCFunction)take, METH_VARARGS, "All values; see field.Field."},
    {"fit", (PyCFunction)fit, METH_VARARGS, "Everything of an encoder; see field.Field."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot field_slots[] = {
    {Py_tp_doc, "The C twin of lictor.codec.arrays.field.Slow."},
    {Py_tp_new, field_new},
    {Py_tp_dealloc, field_dealloc},
    {Py_tp_methods, field_methods},
    {0, NULL},
};

static PyType_Spec field_spec = {
    .name = "lictor.codec.arrays._field.Field",
    .basicsize = sizeof(FieldObject),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = field_slots,
};

static PyMethodDef functions[] = {
    {"roots", roots, METH_VARARGS, "Square roots; see direct.py."},
    {"search", search, METH_VARARGS, "Contexts of predictions; see direct.py."},
    {"split", split, METH_VARARGS, "Values to two parts; see direct.py."},
    {"join", join, METH_VARARGS, "Two parts to values; see direct.py."},
    {"difference", difference, METH_VARARGS, "Along an axis; see differences.py."},
    {"count", count, METH_VARARGS, "Symbols by context; see shared_tables.py."},
    {"merge", merge, METH_VARARGS, "Contexts that share a table; see shared_tables.py."},
    {"quantise", quantise, METH_VARARGS, "Integers of numbers; see quick.py."},
    {"scale", scale, METH_VARARGS, "Numbers of integers; see quick.py."},
    {"grid", grid, METH_VARARGS, "The error of a grid; see quick.py."},
    {"missed", missed, METH_VARARGS, "What guesses are off by; see low_rank_exact.py."},
    {"impute", impute, METH_VARARGS, "What is missing; see low_rank_exact.py."},
    {"trim", trim, METH_NOARGS, "Freed memory to the system; see quick.py."},
    {"compare", compare, METH_VARARGS, "How far apart arrays are; see quick.py."},
    {NULL, NULL, 0, NULL},
};

static int field_exec(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &field_spec, NULL);
    if (type == NULL)
        return -1;
    int error = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return error;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, field_exec},
    {0, NULL},
};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_field",
    .m_doc = "Fields of integers in C; see field.py.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC PyInit__field(void)
{
    return PyModuleDef_Init(&module);
}
