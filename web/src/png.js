/** A decoded picture as PNG, with all that its file says of colours: browsers show it as it is meant. */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const COLOUR_TYPES = [0, 0, 4, 2, 6];
const STORED_MOST = 65535;
const ADLER = 65521;

/** @typedef {import("./decode.js").Picture} Picture */

/**
 * @param {Picture} picture @param {(data: Uint8Array) => number} crc32
 * @param {{compress?: boolean}} [options] compress: for a file to keep; else it is made at once
 * @returns {Promise<Blob>}
 */
export async function toPng(picture, crc32, { compress = false } = {}) {
  const rows = compress ? filtered(picture) : plain(picture);
  const data = compress ? await deflated(rows) : stored(rows);
  /** @type {Uint8Array[]} */
  const parts = [Uint8Array.from(SIGNATURE)];
  const chunk = (/** @type {string} */ name, /** @type {Uint8Array} */ body) => {
    const bytes = new Uint8Array(12 + body.length), view = new DataView(bytes.buffer);
    view.setUint32(0, body.length);
    for (let i = 0; i < 4; i++) bytes[4 + i] = name.charCodeAt(i);
    bytes.set(body, 8);
    view.setUint32(8 + body.length, crc32(bytes.subarray(4, 8 + body.length)));
    parts.push(bytes);
  };
  const head = new DataView(new ArrayBuffer(13));
  head.setUint32(0, picture.width);
  head.setUint32(4, picture.height);
  head.setUint8(8, picture.depth);
  head.setUint8(9, COLOUR_TYPES[picture.channels]);
  chunk("IHDR", new Uint8Array(head.buffer));
  colourChunks(picture, chunk);
  if (picture.exif) chunk("eXIf", picture.exif);
  chunk("IDAT", data);
  chunk("IEND", new Uint8Array(0));
  return new Blob(/** @type {BlobPart[]} */ (parts), { type: "image/png" });
}

/** @param {Picture} picture @param {(name: string, body: Uint8Array) => void} chunk */
function colourChunks({ icc, signalling }, chunk) {
  const { cICP, sRGB, gAMA, cHRM, mDCV, cLLI } = signalling;
  const words = (/** @type {number[]} */ values, /** @type {number} */ size = 4) => {
    const view = new DataView(new ArrayBuffer(size * values.length));
    values.forEach((v, i) => (size === 2 ? view.setUint16(2 * i, v) : view.setUint32(4 * i, v)));
    return new Uint8Array(view.buffer);
  };
  if (cICP) chunk("cICP", Uint8Array.from(cICP));
  if (icc) {
    const name = [105, 99, 99, 0, 0]; // "icc", its end, deflate
    chunk("iCCP", Uint8Array.from([...name, ...stored(icc)]));
  } else if (sRGB !== undefined) {
    chunk("sRGB", Uint8Array.of(sRGB));
  }
  if (gAMA) chunk("gAMA", words([gAMA]));
  if (cHRM) chunk("cHRM", words(cHRM));
  if (mDCV) chunk("mDCV", Uint8Array.from([...words(mDCV.slice(0, 8), 2), ...words(mDCV.slice(8))]));
  if (cLLI) chunk("cLLI", words(cLLI));
}

/** Rows of samples, high bytes first, each after a byte for its filter. @param {Picture} picture */
function plain({ width, height, channels, depth, samples }) {
  const wide = width * channels, bytes = (wide * depth) / 8;
  const rows = new Uint8Array((bytes + 1) * height);
  for (let y = 0; y < height; y++) {
    const at = y * (bytes + 1) + 1, row = samples.subarray(y * wide, (y + 1) * wide);
    if (depth === 8) {
      rows.set(row, at);
      continue;
    }
    for (let i = 0; i < wide; i++) {
      rows[at + 2 * i] = row[i] >> 8;
      rows[at + 2 * i + 1] = row[i] & 255;
    }
  }
  return rows;
}

/** The same, by the filter of PNG that leaves the least in each row. @param {Picture} picture */
function filtered(picture) {
  const rows = plain(picture), { width, height, channels, depth } = picture;
  const pixel = (channels * depth) / 8, wide = width * pixel + 1;
  const out = new Uint8Array(rows.length);
  const zero = new Uint8Array(wide), trial = new Uint8Array(wide);
  for (let y = 0; y < height; y++) {
    const row = rows.subarray(y * wide, (y + 1) * wide);
    const above = y ? rows.subarray((y - 1) * wide, y * wide) : zero;
    let least = Infinity;
    for (const filter of [1, 2, 4]) {
      trial[0] = filter;
      let sum = 0;
      for (let i = 1; i < wide; i++) {
        const left = i > pixel ? row[i - pixel] : 0, corner = i > pixel ? above[i - pixel] : 0;
        const guess = filter === 1 ? left : filter === 2 ? above[i] : paeth(left, above[i], corner);
        trial[i] = row[i] - guess;
        sum += Math.min(trial[i], 256 - trial[i]);
      }
      if (sum < least) {
        least = sum;
        out.set(trial, y * wide);
      }
    }
  }
  return out;
}

/** @param {number} left @param {number} above @param {number} corner */
function paeth(left, above, corner) {
  const p = left + above - corner;
  const toLeft = Math.abs(p - left), toAbove = Math.abs(p - above), toCorner = Math.abs(p - corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** zlib without compression. @param {Uint8Array} data */
function stored(data) {
  const blocks = Math.max(1, Math.ceil(data.length / STORED_MOST));
  const out = new Uint8Array(2 + data.length + 5 * blocks + 4), view = new DataView(out.buffer);
  out.set([0x78, 0x01]);
  let to = 2;
  for (let block = 0; block < blocks; block++) {
    const part = data.subarray(block * STORED_MOST, (block + 1) * STORED_MOST);
    out[to] = block === blocks - 1 ? 1 : 0;
    view.setUint16(to + 1, part.length, true);
    view.setUint16(to + 3, ~part.length & 0xffff, true);
    out.set(part, to + 5);
    to += 5 + part.length;
  }
  let a = 1, b = 0;
  for (let i = 0; i < data.length; ) {
    for (const end = Math.min(i + 3800, data.length); i < end; i++) b += a += data[i];
    a %= ADLER;
    b %= ADLER;
  }
  view.setUint32(to, b * 65536 + a);
  return out;
}

/** @param {Uint8Array} data */
async function deflated(data) {
  const stream = new Blob([/** @type {BlobPart} */ (data)]).stream();
  return new Uint8Array(
    await new Response(stream.pipeThrough(new CompressionStream("deflate"))).arrayBuffer(),
  );
}
