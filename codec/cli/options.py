"""Options and arguments that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import click

from lictor.codec import kinds, sizes
from lictor.codec.format import names
from lictor.codec.inputs import STREAM, UsageError, show
from lictor.codec.picture.arguments import METHODS
from lictor.codec.picture.tuning import TUNES
from lictor.codec.quality import LOSSLESS
from lictor.codec.runtime.runtime import FORCED, RUNTIMES
from lictor.codec.runtime.threads import cores
from lictor.models import zoo


class Size(click.ParamType):
    """A number of bytes: 40MB, 500kB, 1.5 GB, 16KiB or 1000000."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> int:
        """As click asks for it; its error is click's."""
        try:
            return sizes.parse(value)
        except ValueError as e:
            self.fail(str(e), param, ctx)


Command = Callable[..., Any]


def together(*given: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one, in this order in the help."""

    def add(command: Command) -> Command:
        for option in reversed(given):
            command = option(command)
        return command

    return add


def whole(
    *names: str, least: int, most: int | None = None, default: int, help: str, **more: Any
) -> Any:
    """An option that is a whole number between two others, and whose default is shown."""
    between = click.IntRange(least, most)
    return click.option(*names, type=between, default=default, show_default=True, help=help, **more)


json = click.option("--json", "as_json", is_flag=True, help="Report as JSON, one line a file.")
json_object = click.option("--json", "as_json", is_flag=True, help="Report as one JSON object.")


class QualityNumber(click.FloatRange):
    """A number from 0 to 100, or the word "lossless"."""

    name = "quality"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """As click asks for it; its error is click's."""
        return value if value == LOSSLESS else super().convert(value, param, ctx)


quality = click.option(
    "-q",
    "--quality",
    type=QualityNumber(0, 100),
    default=50.0,
    show_default=True,
    metavar="Q",
    help="0 (smallest file) to 100 (best picture), in steps of 0.25; or lossless. With --tune psnr "
    "files of a quality are smaller, and look worse.",
)
method = together(
    click.option(
        "--method",
        type=click.Choice(METHODS),
        default=METHODS[0],
        show_default=True,
        help="Pictures: how to code them, auto for what suits each part best; see docs/methods.md.",
    ),
    click.option("--lossless", is_flag=True, help="Pictures: as --quality lossless."),
)
"""The options of `encode` and `verify` that choose among methods."""
model = click.option(
    "--model",
    metavar="NAME|PATH",
    help="A checkpoint that `lictor models` lists, or a .safetensors file of your own; or overfit, "
    "overfit-s, -m or -l: networks of the picture's own, trained for minutes.  [default: "
    f"{zoo.TUNED['eyes']}; with --tune psnr {zoo.TUNED['psnr']}]",
)
measured_model = click.option(
    "--model",
    default=zoo.TUNED["psnr"],
    show_default=True,
    metavar="NAME|PATH",
    help="A checkpoint that `lictor models` lists, or a .safetensors file of your own.",
)
"""Of what measures networks, whatever bits are spent for."""
effort = whole(
    "--effort",
    least=0,
    most=9,
    default=0,
    metavar="0-9",
    help="Search for each picture's best latents: 1 takes seconds, 9 minutes a megapixel. Files "
    "get smaller, pictures better; decoding stays as it is. With --model overfit: how long "
    "networks are trained.",
)
keep_best = click.option(
    "--keep-best",
    is_flag=True,
    help="Ctrl-C ends the training of --model overfit, and codes the best so far.",
)
strip = click.option(
    "--strip", is_flag=True, help="Leave EXIF and the ICC profile out; colours become sRGB."
)
salvage = click.option(
    "--salvage",
    is_flag=True,
    help="Take what is there of pictures that are cut or damaged and paint over what is not; the "
    "status is 1 if anything is.",
)
roi = together(
    click.option(
        "--roi",
        multiple=True,
        metavar="MAP|X,Y,W,H[:WEIGHT]",
        help="Where quality is wanted: a gray picture of any size, scaled to the picture, white "
        "where it is and black where not; or a box in pixels, with a weight of 0 to 1 if it is "
        "wanted less. Repeat it for several.",
    ),
    click.option(
        "--roi-task",
        type=click.Choice(["classify"]),
        help="Quality where a classifier looks, EfficientNet-Lite0.",
    ),
    click.option(
        "--roi-drop",
        type=click.FloatRange(0, 100, min_open=True),
        default=40.0,
        show_default=True,
        metavar="D",
        help="How much lower than --quality it is where it is not wanted.",
    ),
)
"""The options of `encode` that say where quality is wanted."""
tune = click.option(
    "--tune",
    type=click.Choice(TUNES),
    help="Pictures: spend bits for what eyes see, or for PSNR; that chooses the weights. With a "
    "--model that was not trained for eyes: fewer bits where texture hides errors.  [default: "
    "eyes; psnr with --psnr or --roi-task]",
)
targets = together(
    click.option(
        "--size",
        type=Size(),
        metavar="BYTES",
        help="Pictures: at most so many bytes a file, 40kB or 40KiB, as near as quality comes.",
    ),
    click.option("--bpp", type=float, metavar="B", help="Pictures: bits per pixel of the file."),
    click.option("--psnr", type=float, metavar="DB", help="Pictures: PSNR of what is decoded."),
    click.option(
        "--ssim",
        type=float,
        metavar="S",
        help="Pictures: SSIM, 0 to 1; needs pytorch-msssim.",
    ),
    click.option(
        "--strict",
        is_flag=True,
        help="The status is 1 where one of these is missed by more than 1 %; the file is made.",
    ),
)
"""The options of `encode` that say what files of pictures are to reach."""
features = together(
    click.option("--max-error", type=float, metavar="E", help="Arrays: no value further off."),
    click.option("--mse", type=float, metavar="M", help="Arrays: mean squared error, at most."),
    click.option(
        "--bits", type=float, metavar="B", help="Arrays, weights: bits per value, of the file."
    ),
    click.option("--axis", type=int, metavar="N", help="Arrays: axis of the channels, else found."),
    click.option(
        "--chunk",
        type=int,
        metavar="N",
        help="Arrays: rows of the first axis that decode alone; 0: all in one. Else large arrays "
        "are cut into chunks of about two million values.",
    ),
)
"""The options of `encode` that are for arrays."""
presets = together(
    click.option(
        "--preset",
        type=click.Choice(list(kinds.PRESETS)),
        help="Arrays that are something else: kv, keys and values (layers, 2, tokens, channels); "
        "embedding, vectors in rows.",
    ),
    click.option("--divergence", type=float, metavar="D", help="--preset kv: nats, at most."),
    click.option("--sinks", type=int, metavar="N", help="--preset kv: first tokens kept, else 4."),
    click.option("--recent", type=int, metavar="N", help="--preset kv: last tokens kept."),
)
"""The options of `encode` for what --preset names."""
calibration = click.option(
    "--calibration",
    metavar="FILE",
    help="Keys and values: the calibration of their model, as lictor.kv.calibrate makes it. "
    "Weights: that of their network, by lictor.training.calibrated, with -q or --bits.",
)
quantiser = click.option(
    "--quantiser",
    metavar="NAME",
    help="Weights with -q or --bits: what makes whole numbers of steps of them, plain, trellis, "
    "deepcabac, nested, factors or qswd; with a --calibration diagonal, feedback or lord, too.  "
    "[default: trellis; with a --calibration feedback]",
)
by_data = together(
    click.option(
        "--network",
        metavar="MODULE:NAME",
        help="Weights, with --data: what makes their network, a torch Module. They are calibrated "
        "by what it is shown, for -q, --bits, --kl or --max-drop.",
    ),
    click.option(
        "--data",
        metavar="FOLDER|MODULE:NAME",
        help="Weights: pictures, or what gives batches. Half calibrate, the rest measures.",
    ),
    click.option(
        "--shown",
        metavar="SIDE[:MEAN:SPREAD]",
        help="Weights: how pictures are shown, (x / 255 - mean) / spread.  [default: 224:0.5:0.5]",
    ),
    click.option(
        "--kl",
        type=click.FloatRange(0),
        metavar="X",
        help="Weights: the smallest file whose answers diverge by at most so many nats.",
    ),
    click.option(
        "--max-drop",
        type=click.FloatRange(0, 1),
        metavar="X",
        help="Weights: the smallest file of which at most this share of first answers are others; "
        "where subfolders are the classes, by which accuracy falls at most.",
    ),
)
"""The options of `encode` for weights whose network is there."""
chain = click.option(
    "--chain",
    is_flag=True,
    help="Weights: each file has the one before it, in the order of their names, for its --base.",
)
weights = together(
    click.option(
        "--kind",
        type=click.Choice([kind.name for kind in kinds.KINDS]),
        help="What inputs are; else by their names: .safetensors, .pt and .pth are weights, but "
        "with --max-error, --mse, --axis, --chunk or a --model they are arrays.",
    ),
    click.option(
        "--base",
        metavar="FILE",
        help="Weights: a .safetensors file that who decodes will have, as the checkpoint before; "
        "only what differs is coded.",
    ),
    chain,
)
"""The options of `encode` that are for weights."""


def bases(
    chain: bool, base: str | None, sources: Sequence[str], given: Sequence[str]
) -> dict[str, str]:
    """The base of each file of a chain but the first: what `given` has for the one before.

    Raises UsageError.
    """
    if chain and base:
        raise UsageError("--chain has bases of its own; leave --base out")
    return dict(zip(sources[1:], given, strict=False)) if chain else {}


def threads(workers: int, jobs: Sequence[Any]) -> int:
    """That one file may have: as many as there might be processes, if it is alone."""
    return (workers or cores()) if len(jobs) == 1 else 1


workers = whole(
    "-j",
    "--jobs",
    "workers",
    least=0,
    default=1,
    metavar="N",
    help="Work on N files at a time, each in a process of its own with its share of the cores; "
    "0: as many as there are cores. One file of weights "
    "is worked on by N threads. With --json, rows then come as files are finished.",
)
suffix = click.option(
    "--suffix",
    type=click.Choice(names.SUFFIXES),
    default=names.SUFFIXES[0],
    show_default=True,
    help="What outputs in a folder are called; a single output may have any name.",
)
skip = click.option(
    "--skip-existing",
    "skip",
    is_flag=True,
    help="Leave out inputs whose output is there and whole, to go on where a run ended.",
)
device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    metavar="NAME",
    help="Where networks run: cpu, cuda, or auto for a GPU where there is one. A file decodes to "
    "the same latents on all.",
)


def _force(context: click.Context, option: click.Parameter, name: str | None) -> None:
    """For this command and the workers that it starts."""
    if name is None:
        return
    before = os.environ.get(FORCED)
    os.environ[FORCED] = name

    def undo() -> None:
        os.environ.pop(FORCED)
        if before is not None:
            os.environ[FORCED] = before

    context.call_on_close(undo)


runtime = click.option(
    "--runtime",
    type=click.Choice(list(RUNTIMES)),
    expose_value=False,
    callback=_force,
    help="What computes networks: light, on the CPU and without PyTorch, or torch. Unless told, by "
    "this or LICTOR_RUNTIME, the light one where it can.",
)
paths = click.argument("paths", nargs=-1, required=True, metavar="IN... OUT")


def inputs_and_output(paths: tuple[str, ...], as_json: bool) -> tuple[tuple[str, ...], str]:
    """What `paths` are: all but the last, and the last. Raises UsageError."""
    *inputs, output = paths
    if not inputs:
        raise UsageError(f"{show(output)}: an input and an output are needed; name both")
    if output == STREAM and as_json:
        raise UsageError("--json and the output - both need standard output; name a file")
    return tuple(inputs), output


def chosen(quality: Any, method: str, lossless: bool) -> tuple[Any, str]:
    """Quality and method, once --lossless is taken in; quality None if the line has none.

    Raises UsageError.
    """
    source = click.get_current_context().get_parameter_source("quality")
    given = None if source is click.core.ParameterSource.DEFAULT else quality
    if lossless and given not in (None, LOSSLESS):
        raise UsageError("--lossless and --quality say different things; leave one out")
    given = LOSSLESS if lossless else given
    if given == LOSSLESS and method not in (METHODS[0], LOSSLESS):
        raise UsageError(f"--method {method} is not lossless; leave it out")
    return given, method


inputs = click.argument("inputs", nargs=-1, required=True, metavar="IN...")
