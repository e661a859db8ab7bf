/*
 * lictor.entropy._rans: the entropy coder of rans.h as a Python module.
 *
 * Three types, each the twin of a class in reference.py:
 *   Tables    integer tables compiled for coding and decoding; immutable
 *   Encoder   push() turns symbols into slots, finish() codes them backwards once
 *   Decoder   pull() decodes, ended() compares the final state
 *
 * and `paths`, the names of the versions that this CPU can run, best first.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "rans.h"

/* ---------------------------------------------------------------- tables */

typedef struct {
    PyObject_HEAD
    RansTables rans;
} Tables;

static void tables_dealloc(Tables *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    rans_tables_free(&self->rans);
    release(self);
    Py_DECREF(type);
}

/* Tables(frequencies u16[], lengths u16[T], offsets i32[T], shifts u8[T]) */
static int tables_fill(Tables *self, const Py_buffer *frequencies, const Py_buffer *lengths,
                       const Py_buffer *offsets, const Py_buffer *shifts)
{
    Py_ssize_t count = shifts->len;
    if (lengths->len != 2 * count || offsets->len != 4 * count || frequencies->len % 2)
        return -1;
    return rans_tables_fill(&self->rans, frequencies->buf, (size_t)frequencies->len / 2,
                            lengths->buf, offsets->buf, shifts->buf, (size_t)count);
}

static PyObject *tables_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    Py_buffer view[4];
    if (!PyArg_ParseTuple(args, "y*y*y*y*", &view[0], &view[1], &view[2], &view[3]))
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Tables *self = (Tables *)alloc(type, 0);
    int error = self ? tables_fill(self, &view[0], &view[1], &view[2], &view[3]) : -3;
    for (int i = 0; i < 4; i++)
        PyBuffer_Release(&view[i]);
    if (error == -1)
        PyErr_SetString(PyExc_ValueError, "these arrays are no tables");
    else if (error == -2)
        PyErr_NoMemory();
    if (error) {
        Py_XDECREF((PyObject *)self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyType_Slot tables_slots[] = {
    {Py_tp_doc, "Tables compiled for the coder; made by lictor.entropy.Tables."},
    {Py_tp_new, tables_new},
    {Py_tp_dealloc, tables_dealloc},
    {0, NULL},
};

static PyType_Spec tables_spec = {
    .name = "lictor.entropy._rans.Tables",
    .basicsize = sizeof(Tables),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = tables_slots,
};

/* --------------------------------------------------------------- module */

typedef struct {
    PyTypeObject *tables_type;
} State;

/* The argument as Tables, or NULL with an exception. */
static Tables *as_tables(PyObject *self, PyObject *object)
{
    State *state = PyType_GetModuleState(Py_TYPE(self));
    if (state == NULL)
        return NULL;
    if (Py_TYPE(object) != state->tables_type) {
        PyErr_SetString(PyExc_TypeError, "expected compiled tables");
        return NULL;
    }
    return (Tables *)object;
}

/*
 * The coders give the GIL away while they work. Two threads in one coder would corrupt it, so the
 * second gets an exception; `busy` itself is only touched with the GIL held.
 */
static int enter(int *busy)
{
    if (*busy) {
        PyErr_SetString(PyExc_RuntimeError, "this coder is in use by another thread");
        return -1;
    }
    *busy = 1;
    return 0;
}

/* The path of this name, or NULL with an exception. */
static const Path *as_path(const char *name)
{
    const Path *paths[MAX_PATHS];
    size_t count = rans_paths(paths);
    for (size_t i = 0; i < count; i++)
        if (strcmp(paths[i]->name, name) == 0)
            return paths[i];
    PyErr_SetString(PyExc_ValueError, "this CPU has no such path");
    return NULL;
}

/* --------------------------------------------------------------- encoder */

typedef struct {
    PyObject_HEAD
    int busy;
    RansEncoder rans;           /* owns a reference to the tables of each of its segments */
} Encoder;

static PyObject *owner(const RansTables *tables)
{
    return (PyObject *)((char *)tables - offsetof(Tables, rans));
}

static void encoder_dealloc(Encoder *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    for (size_t i = 0; i < self->rans.segment_count; i++)
        Py_DECREF(owner(self->rans.segments[i].tables));
    rans_encoder_free(&self->rans);
    release(self);
    Py_DECREF(type);
}

/* Encoder(path) */
static PyObject *encoder_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    const char *name;
    if (!PyArg_ParseTuple(args, "s", &name))
        return NULL;
    const Path *path = as_path(name);
    if (path == NULL)
        return NULL;
    allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Encoder *self = (Encoder *)alloc(type, 0);
    if (self != NULL)
        self->rans.path = path;
    return (PyObject *)self;
}

/*
 * push(symbols i32[n], index u8[n], tables, checksum)
 * -> -1, or the position of a symbol without a code
 */
static PyObject *encoder_push(Encoder *self, PyObject *args)
{
    Py_buffer symbols, index;
    PyObject *object;
    int checksum;
    if (!PyArg_ParseTuple(args, "y*y*Op", &symbols, &index, &object, &checksum))
        return NULL;
    PyObject *result = NULL;
    Tables *tables = as_tables((PyObject *)self, object);
    if (tables == NULL)
        goto done;
    if (symbols.len / 4 != index.len || symbols.len % 4 || (uintptr_t)symbols.buf % 4) {
        PyErr_SetString(PyExc_ValueError, "one int32 symbol for each uint8 index, aligned");
        goto done;
    }
    if (enter(&self->busy))
        goto done;
    size_t segments = self->rans.segment_count;
    ptrdiff_t status;
    Py_BEGIN_ALLOW_THREADS
    status = rans_push(&self->rans, &tables->rans, symbols.buf, index.buf, (size_t)index.len,
                       checksum);
    Py_END_ALLOW_THREADS
    if (self->rans.segment_count > segments)
        Py_INCREF((PyObject *)tables);
    self->busy = 0;
    result = status == NO_MEMORY ? PyErr_NoMemory() : PyLong_FromSsize_t(status);
done:
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&index);
    return result;
}

/* finish(lanes=0) -> bytes; lanes 1, 4, 8 or 32, or 0 for as many as suit the size */
static PyObject *encoder_finish(Encoder *self, PyObject *args)
{
    int lanes = 0;
    if (!PyArg_ParseTuple(args, "|i", &lanes))
        return NULL;
    if (lanes != 0 && lanes != 1 && lanes != 4 && lanes != 8 && lanes != 32) {
        PyErr_SetString(PyExc_ValueError, "lanes must be 0, 1, 4, 8 or 32");
        return NULL;
    }
    if (enter(&self->busy))
        return NULL;
    Coded coded = {0};
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = rans_finish(&self->rans, lanes, &coded);
    Py_END_ALLOW_THREADS
    PyObject *result = NULL;
    if (error)
        PyErr_NoMemory();
    else
        result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)rans_coded_size(&coded));
    if (result != NULL)
        rans_coded_write(&coded, (uint8_t *)PyBytes_AsString(result));
    rans_coded_free(&coded);
    self->busy = 0;
    return result;
}

static PyObject *encoder_checksum(Encoder *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(self->rans.crc);
}

static PyGetSetDef encoder_getset[] = {
    {"checksum", (getter)encoder_checksum, NULL, "CRC-32 of the symbols pushed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef encoder_methods[] = {
    {"push", (PyCFunction)encoder_push, METH_VARARGS, "Add symbols; see coder.Encoder.push."},
    {"finish", (PyCFunction)encoder_finish, METH_VARARGS, "The stream; see coder.Encoder.finish."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot encoder_slots[] = {
    {Py_tp_doc, "The C twin of lictor.entropy.reference.Encoder."},
    {Py_tp_new, encoder_new},
    {Py_tp_dealloc, encoder_dealloc},
    {Py_tp_methods, encoder_methods},
    {Py_tp_getset, encoder_getset},
    {0, NULL},
};

static PyType_Spec encoder_spec = {
    .name = "lictor.entropy._rans.Encoder",
    .basicsize = sizeof(Encoder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = encoder_slots,
};

/* --------------------------------------------------------------- decoder */

typedef struct {
    PyObject_HEAD
    int busy;
    RansDecoder rans;
} Decoder;

static void decoder_dealloc(Decoder *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    rans_decoder_free(&self->rans);
    release(self);
    Py_DECREF(type);
}

/* Decoder(data, path) */
static PyObject *decoder_new(PyTypeObject *type, PyObject *args, PyObject *Py_UNUSED(kwargs))
{
    Py_buffer data;
    const char *name;
    if (!PyArg_ParseTuple(args, "y*s", &data, &name))
        return NULL;
    Decoder *self = NULL;
    const Path *path = as_path(name);
    if (path != NULL) {
        allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
        self = (Decoder *)alloc(type, 0);
    }
    if (self != NULL && rans_decoder_open(&self->rans, path, data.buf, (size_t)data.len)) {
        Py_DECREF((PyObject *)self);
        self = NULL;
        PyErr_NoMemory();
    }
    PyBuffer_Release(&data);
    return (PyObject *)self;
}

/*
 * pull(index u8[n], tables, out i32[n], checksum) -> whether the stream had as many symbols;
 * IndexError if a table is missing, and nothing is decoded
 */
static PyObject *decoder_pull(Decoder *self, PyObject *args)
{
    Py_buffer index, out;
    PyObject *object;
    int checksum;
    if (!PyArg_ParseTuple(args, "y*Ow*p", &index, &object, &out, &checksum))
        return NULL;
    PyObject *result = NULL;
    Tables *tables = as_tables((PyObject *)self, object);
    if (tables == NULL)
        goto done;
    if (out.len / 4 != index.len || out.len % 4 || (uintptr_t)out.buf % 4) {
        PyErr_SetString(PyExc_ValueError, "one int32 of output for each uint8 index, aligned");
        goto done;
    }
    if (enter(&self->busy))
        goto done;
    int error;
    Py_BEGIN_ALLOW_THREADS
    error = rans_pull(&self->rans, &tables->rans, index.buf, out.buf, (size_t)index.len, checksum);
    Py_END_ALLOW_THREADS
    self->busy = 0;
    if (error)
        PyErr_SetString(PyExc_IndexError, "an index is beyond the tables");
    else
        result = PyBool_FromLong(!self->rans.failed);
done:
    PyBuffer_Release(&index);
    PyBuffer_Release(&out);
    return result;
}

/* ended() -> (whether all states are final, bytes left over, unused bits that are set) */
static PyObject *decoder_ended(Decoder *self, PyObject *Py_UNUSED(args))
{
    if (enter(&self->busy))
        return NULL;
    End end = rans_ended(&self->rans);
    self->busy = 0;
    return Py_BuildValue("(Oni)", end.final ? Py_True : Py_False, (Py_ssize_t)end.left,
                         (int)end.unused);
}

static PyObject *decoder_failed(Decoder *self, void *Py_UNUSED(closure))
{
    return PyBool_FromLong(self->rans.failed);
}

static PyObject *decoder_checksum(Decoder *self, void *Py_UNUSED(closure))
{
    return PyLong_FromUnsignedLong(self->rans.crc);
}

static PyMethodDef decoder_methods[] = {
    {"pull", (PyCFunction)decoder_pull, METH_VARARGS, "Decode; see coder.Decoder.pull."},
    {"ended", (PyCFunction)decoder_ended, METH_NOARGS, "Final state; see coder.Decoder.close."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef decoder_getset[] = {
    {"failed", (getter)decoder_failed, NULL, "Whether the stream was too short.", NULL},
    {"checksum", (getter)decoder_checksum, NULL, "CRC-32 of the symbols pulled.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot decoder_slots[] = {
    {Py_tp_doc, "The C twin of lictor.entropy.reference.Decoder."},
    {Py_tp_new, decoder_new},
    {Py_tp_dealloc, decoder_dealloc},
    {Py_tp_methods, decoder_methods},
    {Py_tp_getset, decoder_getset},
    {0, NULL},
};

static PyType_Spec decoder_spec = {
    .name = "lictor.entropy._rans.Decoder",
    .basicsize = sizeof(Decoder),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = decoder_slots,
};

/* ---------------------------------------------------------------- set-up */

static PyObject *add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return type;
}

static PyObject *path_names(void)
{
    const Path *paths[MAX_PATHS];
    size_t count = rans_paths(paths);
    PyObject *names = PyTuple_New((Py_ssize_t)count);
    for (size_t i = 0; names != NULL && i < count; i++) {
        PyObject *name = PyUnicode_FromString(paths[i]->name);
        if (name == NULL || PyTuple_SetItem(names, (Py_ssize_t)i, name) < 0)
            Py_CLEAR(names);
    }
    return names;
}

static int rans_exec(PyObject *module)
{
    rans_set_up();
    State *state = PyModule_GetState(module);
    state->tables_type = (PyTypeObject *)add_type(module, &tables_spec);
    PyObject *encoder = add_type(module, &encoder_spec);
    PyObject *decoder = add_type(module, &decoder_spec);
    PyObject *paths = path_names();
    int error = !state->tables_type || !encoder || !decoder || !paths ||
                PyModule_AddObjectRef(module, "paths", paths) < 0;
    Py_XDECREF(encoder);
    Py_XDECREF(decoder);
    Py_XDECREF(paths);
    return error ? -1 : 0;
}

static int rans_traverse(PyObject *module, visitproc visit, void *arg)
{
    State *state = PyModule_GetState(module);
    Py_VISIT(state->tables_type);
    return 0;
}

static int rans_clear(PyObject *module)
{
    State *state = PyModule_GetState(module);
    Py_CLEAR(state->tables_type);
    return 0;
}

static void rans_free(void *module)
{
    rans_clear((PyObject *)module);
}

static PyModuleDef_Slot rans_slots[] = {
    {Py_mod_exec, rans_exec},
    {0, NULL},
};

static PyModuleDef rans_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_rans",
    .m_doc = "Interleaved rANS coder of lictor.entropy, in C.",
    .m_size = sizeof(State),
    .m_slots = rans_slots,
    .m_traverse = rans_traverse,
    .m_clear = rans_clear,
    .m_free = rans_free,
};

PyMODINIT_FUNC PyInit__rans(void)
{
    return PyModuleDef_Init(&rans_module);
}
