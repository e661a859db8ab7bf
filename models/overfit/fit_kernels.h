/*
 * All stages for one kind of machine, and their table. Included once for each, with LANES, VECTORS
 * and NAME defined.
 */
#include "fit_lanes.h"
#include "fit_products.h"
#include "fit_symbols.h"
#include "fit_context.h"
#include "fit_features.h"
#include "fit_upsampling.h"
#include "fit_synthesis.h"

static void NAME(pack)(Fit *fit)
{
    NAME(pack_context)(fit, (void *)fit->packed);
    NAME(pack_synthesis)(fit, NAME(synthesis_weights)(fit));
}

/* Floats that a thread's scratch has. */
static size_t NAME(scratch)(const Fit *fit)
{
    size_t context = sizeof(NAME(Context)) / sizeof(float)
                     + 2 * (CONTEXT_ROWS + REACH) * stride_of(TILE) + 2 * MARGIN;
    size_t rows = NAME(ROWS) * stride_of(fit->width);
    size_t bands = sizeof(NAME(Synthesis)) / sizeof(float)
                   + NAME(band_floats)(fit, fit->band_rows + 4 * fit->convs) + rows;
    return context > bands ? context : bands;
}

static const Kernels NAME(kernels) = {
    LANES,
    (sizeof(NAME(ContextWeights)) + sizeof(NAME(SynthesisWeights))) / sizeof(float),
    NAME(pack),
    NAME(scratch),
    NAME(quantise),
    NAME(features),
    NAME(context),
    NAME(features_back),
    NAME(join_gradients),
    NAME(upsample),
    NAME(synthesis),
    NAME(upsample_back),
    NAME(step_grids),
};

#undef vf
#undef vi
#undef vu
#undef load
#undef store
#undef splat
#undef choose
#undef total
#undef floor_of
#undef exp_of
#undef log2_of
#undef first
#undef dot
#undef BITS_OF
#undef FLOAT_OF
#undef LESS
#undef TO_FLOAT
#undef TO_INT
#undef WIDE
#undef LANES
#undef VECTORS
#undef NAME
