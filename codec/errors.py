"""Everything that can be wrong with a picture or a file, by name.

Each message is one line that says what is wrong and what to do. All are CodecErrors, so that
`except CodecError` catches whatever the input can cause and lets programming errors through.
"""


class CodecError(Exception):
    """Base of all errors that a picture, a file or an argument can cause."""


# ---- pictures, on the way in


class PictureWarning(UserWarning):
    """What of a Pillow image is not coded as it was: converted colours, frames left out."""


class ImageError(CodecError):
    """Something about a picture that was to be encoded."""


class NotAnImage(ImageError):
    """Not a picture at all: another kind of file, or another Python type."""


class DamagedImage(ImageError):
    """A picture file that ends early or cannot be decoded."""


class UnsupportedImage(ImageError):
    """Not coded, or not read here: unknown range, no pixels, a package that is missing."""


class ImageTooLarge(ImageError):
    """More pixels than the format or the reader of the picture allows."""


class UnwritableImage(ImageError):
    """The decoded picture does not fit the format it was to be written in."""


class UnsupportedArray(CodecError):
    """An array, or a file of arrays, of a kind that is not coded: complex, objects."""


class SelfCheckFailed(CodecError):
    """What was encoded does not decode to what it should, and nothing else would help."""


# ---- arguments


class InvalidOption(CodecError, ValueError):
    """An option that this kind of payload does not take: a region of arrays, bits of a picture."""


class InvalidTarget(CodecError, ValueError):
    """What the encoder should aim at is no number that can be reached, or several targets."""


class TargetMissed(UserWarning):
    """What a file was to reach cannot be had; the nearest was made."""


class InvalidQuality(CodecError, ValueError):
    """Quality is not a number in 0…100."""


class InvalidMethod(CodecError, ValueError):
    """A method that there is not, or that does not go with the other options."""


class InvalidEffort(CodecError, ValueError):
    """Effort is not a whole number in 0…9."""


class InvalidPrecision(CodecError, ValueError):
    """Precision is neither "float32" nor "bfloat16"."""


class DeviceUnavailable(CodecError, ValueError):
    """PyTorch knows no such device, or this machine has none, or it lacks float64."""


class InvalidRegion(CodecError, ValueError):
    """A region that is empty, or not inside the picture."""


class InvalidRoi(CodecError, ValueError):
    """What should say where quality is wanted: no box in the picture, no map, no drop."""


class UnknownFormat(CodecError, ValueError):
    """No picture format is known by that extension."""


class BadCurves(CodecError, ValueError):
    """A file of rate-distortion curves to compare with does not hold any."""


class BadResults(CodecError, ValueError):
    """A folder does not hold the results of a benchmark."""


class MissingPackage(CodecError):
    """Something optional was asked for, and a package that it needs is not installed."""


class UnknownCodec(CodecError, ValueError):
    """The benchmark knows no codec of that name."""


class TaskUnavailable(CodecError):
    """What looks at decoded pictures, or its weights, is not here."""


class ModelUnavailable(CodecError):
    """The model that was asked for, or that a file names, is not here or is another one."""


class CalibrationUnavailable(CodecError):
    """The calibration that a cache was coded with is not here, or is another one."""


class NoClassifier(CodecError):
    """A file that was to be classified was not written by a student."""


class NoLatents(CodecError):
    """A file whose latents were asked for was coded without a network."""


class OutOfMemory(CodecError):
    """The picture needs more memory than there is."""


# ---- files, on the way out


class FileError(CodecError):
    """Something about a .bin file that was to be decoded."""


class NotALictorFile(FileError):
    """It does not begin with the magic bytes."""


class UnsupportedVersion(FileError):
    """A format version that this release does not read."""


class UnsupportedFeature(FileError):
    """A well-formed file that uses something this release does not know."""


class CorruptFile(FileError):
    """A checksum is wrong, or a value is outside what the format allows."""


class TruncatedFile(CorruptFile):
    """The file ends before what it declares."""


class LatentMismatch(FileError):
    """The file is whole, but other latents came out of it than its encoder put in.

    Either the encoder was broken or this machine computes the model differently.
    """
