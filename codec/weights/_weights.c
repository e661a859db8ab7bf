/*
 * lictor.codec.weights._weights: words.h and trellis.h as a Python module; words.py says what is
 * what.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdlib.h>

#include "trellis.h"
#include "words.h"

/* The layout of four numbers, for `count` words; NULL with an exception if it is none. */
static const WordLayout *checked(WordLayout *layout, Py_ssize_t bytes, size_t *count)
{
    if (!words_layout_is_valid(layout) || bytes % layout->item) {
        PyErr_SetString(PyExc_ValueError, "these words have no such layout");
        return NULL;
    }
    *count = (size_t)bytes / (size_t)layout->item;
    return layout;
}

static size_t rows_of(const WordLayout *layout)
{
    return (size_t)(layout->raw + 7) / 8;
}

static int holds(const Py_buffer *buffer, size_t count, size_t size)
{
    if ((size_t)buffer->len == count * size && (uintptr_t)buffer->buf % size == 0)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a buffer of another size");
    return 0;
}

static PyObject *done(int error)
{
    if (error)
        return NULL;
    Py_RETURN_NONE;
}

/* split(words, item, raw, sign, low, symbols i32[n], planes u8[rows * n]) */
static PyObject *py_split(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer words, symbols, planes;
    WordLayout l;
    size_t count;
    if (!PyArg_ParseTuple(args, "y*iiiiw*w*", &words, &l.item, &l.raw, &l.sign, &l.low, &symbols,
                          &planes))
        return NULL;
    int error = !checked(&l, words.len, &count) || !holds(&symbols, count, 4)
                || !holds(&planes, count * rows_of(&l), 1);
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        words_split(&l, words.buf, count, symbols.buf, planes.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&words);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&planes);
    return done(error);
}

/* join(symbols i32[n], planes u8[rows * n], item, raw, sign, low, words) */
static PyObject *py_join(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer words, symbols, planes;
    WordLayout l;
    size_t count;
    if (!PyArg_ParseTuple(args, "y*y*iiiiw*", &symbols, &planes, &l.item, &l.raw, &l.sign, &l.low,
                          &words))
        return NULL;
    int error = !checked(&l, words.len, &count) || !holds(&symbols, count, 4)
                || !holds(&planes, count * rows_of(&l), 1);
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        words_join(&l, symbols.buf, planes.buf, count, words.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&planes);
    PyBuffer_Release(&words);
    return done(error);
}

typedef void Repack(const uint8_t *from, size_t count, int width, uint8_t *to);

/* The two ways between `count` bytes and their packed bits. */
static PyObject *repack(PyObject *args, Repack *way, int packing)
{
    Py_buffer from, to;
    int width;
    if (!PyArg_ParseTuple(args, "y*iw*", &from, &width, &to))
        return NULL;
    size_t count = (size_t)(packing ? from.len : to.len);
    const Py_buffer *packed = packing ? &to : &from;
    int error = 0;
    if (width < 1 || width > 7 || (size_t)packed->len != words_packed(count, width)) {
        PyErr_SetString(PyExc_ValueError, "a buffer of another size");
        error = 1;
    } else {
        Py_BEGIN_ALLOW_THREADS
        way(from.buf, count, width, to.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    return done(error);
}

/* pack(bytes u8[n], width, packed) */
static PyObject *py_pack(PyObject *Py_UNUSED(self), PyObject *args)
{
    return repack(args, words_pack, 1);
}

/* unpack(packed, width, bytes u8[n]) */
static PyObject *py_unpack(PyObject *Py_UNUSED(self), PyObject *args)
{
    return repack(args, words_unpack, 0);
}

/* Whether values from `start` on are in rows that there are. */
static int inside(Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, Py_ssize_t count)
{
    if (start >= 0 && columns > 0 && rows > 0 && start <= PY_SSIZE_T_MAX - count
        && (count == 0 || (start + count - 1) / columns < rows))
        return 1;
    PyErr_SetString(PyExc_ValueError, "values outside the rows and columns");
    return 0;
}

/* contexts(rows u8[r], columns u8[c], start, least, most, out u8[n]) */
static PyObject *py_contexts(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer rows, columns, out;
    Py_ssize_t start;
    unsigned char least, most;
    if (!PyArg_ParseTuple(args, "y*y*nbbw*", &rows, &columns, &start, &least, &most, &out))
        return NULL;
    int error = !inside(rows.len, columns.len, start, out.len);
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        words_contexts(rows.buf, columns.buf, (size_t)columns.len, (size_t)start, (size_t)out.len,
                       least, most, out.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&rows);
    PyBuffer_Release(&columns);
    PyBuffer_Release(&out);
    return done(error);
}

/* Whether no context is beyond the rows of `counts`. */
static int within(const uint8_t *contexts, size_t count, size_t rows)
{
    uint8_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = contexts[i] > most ? contexts[i] : most;
    if (most < rows)
        return 1;
    PyErr_SetString(PyExc_ValueError, "a context that there is not");
    return 0;
}

/* tally(symbols i32[n], contexts u8[n], width, counts i64[rows * width]) */
static PyObject *py_tally(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer symbols, contexts, counts;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(args, "y*y*nw*", &symbols, &contexts, &width, &counts))
        return NULL;
    size_t count = (size_t)contexts.len;
    int error = !holds(&symbols, count, 4) || !holds(&counts, (size_t)counts.len / 8, 8);
    if (!error && (width < 1 || width > 65536 || counts.len % (8 * width))) {
        PyErr_SetString(PyExc_ValueError, "counts of another width");
        error = 1;
    }
    error = error || !within(contexts.buf, count, (size_t)(counts.len / (8 * width)));
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        words_tally(symbols.buf, contexts.buf, count, (size_t)width, counts.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&contexts);
    PyBuffer_Release(&counts);
    return done(error);
}

/* sums(symbols i32[n], mask, start, rows i64[r], columns i64[c]) */
static PyObject *py_sums(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer symbols, rows, columns;
    int mask;
    Py_ssize_t start;
    if (!PyArg_ParseTuple(args, "y*inw*w*", &symbols, &mask, &start, &rows, &columns))
        return NULL;
    Py_ssize_t count = symbols.len / 4;
    int error = !holds(&symbols, (size_t)count, 4) || !holds(&rows, (size_t)rows.len / 8, 8)
                || !holds(&columns, (size_t)columns.len / 8, 8)
                || !inside(rows.len / 8, columns.len / 8, start, count);
    if (!error) {
        Py_BEGIN_ALLOW_THREADS
        words_sums(symbols.buf, mask, (size_t)columns.len / 8, (size_t)start, (size_t)count,
                   rows.buf, columns.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&columns);
    return done(error);
}

/* Levels of all strands; -1 if there is no memory. */
static int all_strands(const float *values, const uint8_t *contexts, size_t count, size_t strands,
                       const TrellisRates *rates, int32_t *levels)
{
    TrellisStep *steps = malloc((count / strands + 1) * sizeof *steps);
    if (steps == NULL)
        return -1;
    for (size_t s = 0; s < strands && s < count; s++)
        trellis_strand(values + s, contexts + s, (count - s - 1) / strands + 1, strands, rates,
                       steps, levels + s);
    free(steps);
    return 0;
}

/* viterbi(values f32[n], contexts u8[n], rates f32[2 * count * width], count, strands, levels) */
static PyObject *py_viterbi(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer values, contexts, costs, levels;
    Py_ssize_t rows, strands;
    if (!PyArg_ParseTuple(args, "y*y*y*nnw*", &values, &contexts, &costs, &rows, &strands,
                          &levels))
        return NULL;
    size_t count = (size_t)contexts.len;
    int error = !holds(&values, count, 4) || !holds(&levels, count, 4);
    Py_ssize_t width = rows > 0 ? costs.len / 4 / rows / 2 : 0;
    if (!error && (strands < 1 || width < 3 || width % 2 == 0 || width > 65535
                   || rows > PY_SSIZE_T_MAX / 8 / width || costs.len != 8 * rows * width)) {
        PyErr_SetString(PyExc_ValueError, "rates of another size");
        error = 1;
    }
    error = error || !holds(&costs, (size_t)(costs.len / 4), 4)
            || !within(contexts.buf, count, (size_t)rows);
    if (!error) {
        TrellisRates rates = {costs.buf, (size_t)rows, (int32_t)(width / 2)};
        int failed;
        Py_BEGIN_ALLOW_THREADS
        failed = all_strands(values.buf, contexts.buf, count, (size_t)strands, &rates, levels.buf);
        Py_END_ALLOW_THREADS
        if (failed) {
            PyErr_NoMemory();
            error = 1;
        }
    }
    PyBuffer_Release(&values);
    PyBuffer_Release(&contexts);
    PyBuffer_Release(&costs);
    PyBuffer_Release(&levels);
    return done(error);
}

/* advance(symbols i32[n], states u8[n], following u8[<= n], zero, quantiser) */
static PyObject *py_advance(PyObject *Py_UNUSED(self), PyObject *args)
{
    Py_buffer symbols, states, following;
    unsigned int zero;
    unsigned char quantiser;
    if (!PyArg_ParseTuple(args, "w*w*w*Ib", &symbols, &states, &following, &zero, &quantiser))
        return NULL;
    size_t count = (size_t)states.len;
    int error = !holds(&symbols, count, 4);
    if (!error && following.len > states.len) {
        PyErr_SetString(PyExc_ValueError, "more values follow than there are states");
        error = 1;
    }
    if (!error)
        trellis_advance(symbols.buf, states.buf, count, zero, following.buf,
                        (size_t)following.len, quantiser);
    PyBuffer_Release(&symbols);
    PyBuffer_Release(&states);
    PyBuffer_Release(&following);
    return done(error);
}

static PyMethodDef methods[] = {
    {"split", py_split, METH_VARARGS, "Words to symbols and planes."},
    {"join", py_join, METH_VARARGS, "Symbols and planes to words."},
    {"pack", py_pack, METH_VARARGS, "The low bits of bytes, close together."},
    {"unpack", py_unpack, METH_VARARGS, "What pack made, as bytes."},
    {"contexts", py_contexts, METH_VARARGS, "Levels of rows and columns together."},
    {"tally", py_tally, METH_VARARGS, "Count symbols by their contexts."},
    {"sums", py_sums, METH_VARARGS, "Sums of symbols by rows and columns."},
    {"viterbi", py_viterbi, METH_VARARGS, "Levels of a trellis."},
    {"advance", py_advance, METH_VARARGS, "From levels to points, and to what follows."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_weights",
    .m_doc = "What is quick of the codec of weights, in C.",
    .m_size = 0,
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__weights(void)
{
    return PyModuleDef_Init(&module);
}
