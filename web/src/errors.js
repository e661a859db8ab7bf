/**
 * Everything that can be wrong with a file, by name, as in codec/errors.py. Each message is one line
 * that says what is wrong and what to do.
 */

export class CodecError extends Error {
  /** @param {string} message @param {ErrorOptions} [options] */
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Something about a .bin file that was to be decoded. */
export class FileError extends CodecError {}

/** It does not begin with the magic bytes. */
export class NotALictorFile extends FileError {}

/** A format version that this release does not read. */
export class UnsupportedVersion extends FileError {}

/** A well-formed file that uses something this release does not know. */
export class UnsupportedFeature extends FileError {}

/** A checksum is wrong, or a value is outside what the format allows. */
export class CorruptFile extends FileError {}

/** The file ends before what it declares. */
export class TruncatedFile extends CorruptFile {}

/** The file is whole, but other latents came out of it than its encoder put in. */
export class LatentMismatch extends FileError {}

/** The weights that a file names are not here, cannot be fetched, or are other ones. */
export class ModelUnavailable extends CodecError {}

/** The picture needs more memory than there is, or than was allowed. */
export class OutOfMemory extends CodecError {}

/** A picture, or an option, that cannot be encoded. */
export class UnsupportedImage extends CodecError {}

const NAMES = {
  CodecError, FileError, NotALictorFile, UnsupportedVersion, UnsupportedFeature, CorruptFile,
  TruncatedFile, LatentMismatch, ModelUnavailable, OutOfMemory, UnsupportedImage,
};

/** An error as it crosses to another thread. @param {unknown} error */
export function packed(error) {
  return error instanceof CodecError
    ? { name: error.name, message: error.message }
    : { name: "Error", message: String(/** @type {Error} */ (error)?.stack ?? error) };
}

/** And back. @param {{name: string, message: string}} error */
export function unpacked({ name, message }) {
  const Kind = NAMES[/** @type {keyof typeof NAMES} */ (name)];
  return Kind ? new Kind(message) : new Error(message);
}

/** @param {string} message */
export function damaged(message) {
  return new CorruptFile(`${message}; the file is damaged, get another copy of it`);
}
