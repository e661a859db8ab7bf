// The page: opens what is dropped, chosen or linked (?src=…), and makes files of photos.

import { ask } from "./src/client.js";
import "./src/element.js";
import { CodecError } from "./src/errors.js";
import { readImage } from "./src/pixels.js";

const $ = (id) => document.getElementById(id);
const weights = new URL(document.querySelector("meta[name=lictor-weights]").content, document.baseURI);
const LICTOR = [0x4c, 0x49, 0x43];
let turn = 0; // of what was last asked for; what comes late is not shown
let shown = null; // { picture, name }
let photo = null; // { image, file }, of which files are made

// ---- what is said

function say(text, bad = false) {
  $("error").hidden = !(text && bad);
  $("status").hidden = !(text && !bad);
  $(bad ? "error" : "status").textContent = text;
}

function inWords(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function tellFetching(done, all) {
  $("progress").hidden = false;
  $("progress").max = all || 1;
  if (all) $("progress").value = done;
  say(`Fetching the weights, once: ${inWords(done)}${all ? ` of ${inWords(all)}` : ""}`);
}

function facts(entries) {
  $("facts").replaceChildren(...entries.flatMap(([name, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, value];
    return [term, text];
  }));
}

function describe({ width, height, channels, depth, info, icc, signalling }, times) {
  const kind = ["gray", "gray and alpha", "RGB", "RGB and alpha"][channels - 1];
  const colours = icc ? "ICC profile" : Object.keys(signalling).join(", ") || "sRGB";
  const was = photo ? `; the photo has ${photo.file.size.toLocaleString("en")}` : "";
  facts([
    ["Picture", `${width} × ${height}, ${kind}, ${depth} bits`],
    ["File", `${info.bytes.toLocaleString("en")} bytes, ${info.bpp.toFixed(3)} bits per pixel${was}`],
    ["Coded by", info.methods.join(", ") + (info.model ? ` (${info.model})` : "")],
    ["Quality", info.mapped ? `up to ${info.quality}` : String(info.quality)],
    ["Colours", colours],
    ...times.map(([name, milliseconds]) => [name, `${(milliseconds / 1000).toFixed(2)} s`]),
  ]);
}

// ---- what is done

/** Runs what was asked for; of several only the last is shown. */
async function run(what) {
  const own = ++turn;
  try {
    await what(() => own === turn);
    if (own === turn) say("");
  } catch (error) {
    if (own === turn) say(error instanceof CodecError ? error.message : String(error), true);
  } finally {
    if (own === turn) $("progress").hidden = true;
  }
}

async function show(data, name, wanted, times = []) {
  const { png, milliseconds, ...picture } = await ask("show", data, { weights, progress: tellFetching });
  if (!wanted()) return;
  $("picture").alt = name;
  await $("picture").showPng(png, picture.info);
  shown = { picture, name };
  describe(picture, [...times, ["Decoded in", milliseconds]]);
  $("encoder").hidden = !photo;
  $("result").hidden = false;
  document.title = `${name} – Lictor`;
}

function isLictor(data) {
  return LICTOR.every((byte, i) => data[i] === byte);
}

function open(bytes, name) {
  return run(async (wanted) => {
    say("Decoding…");
    const data = new Uint8Array(await bytes);
    if (!wanted()) return;
    photo = null;
    compare(false);
    await show(data, name, wanted);
  });
}

async function openFile(file) {
  if (!file) return;
  const start = new Uint8Array(await file.slice(0, LICTOR.length).arrayBuffer());
  if (isLictor(start) || !file.type.startsWith("image/")) {
    open(file.arrayBuffer(), file.name);
    return;
  }
  await run(async () => {
    photo = { image: await readImage(file), file };
    URL.revokeObjectURL($("original").src);
    $("original").src = URL.createObjectURL(file);
  });
  if (photo?.file === file) encode();
}

function encode() {
  const quality = Number($("quality").value);
  return run(async (wanted) => {
    say("Encoding…");
    const start = performance.now(), { image, file } = photo;
    const data = await ask("encode", image, { weights, quality, progress: tellFetching });
    if (!wanted()) return;
    const name = `${file.name.replace(/\.[^.]*$/, "")}.bin`;
    const kept = URL.createObjectURL(new Blob([data]));
    URL.revokeObjectURL($("keep").href);
    [$("keep").href, $("keep").download] = [kept, name];
    await show(data, name, wanted, [["Encoded in", performance.now() - start]]);
  });
}

async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new CodecError(
      `${url} cannot be fetched; its host must allow it (CORS), or download it and drop it here`,
    );
  }
  if (!response.ok) throw new CodecError(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

function openLink(link) {
  const url = new URL(link, document.baseURI);
  open(fetched(url.href), decodeURIComponent(url.pathname.split("/").pop()) || url.host);
}

function compare(original) {
  $("compare").setAttribute("aria-pressed", String(original));
  $("original").hidden = !original;
  $("picture").hidden = original;
}

// ---- what is asked

$("file").addEventListener("change", () => openFile($("file").files[0]));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  openFile(event.dataTransfer.files[0]);
});
$("link").addEventListener("submit", (event) => {
  event.preventDefault();
  openLink($("url").value);
});
$("quality").addEventListener("input", () => { $("chosen").value = $("quality").value; });
$("quality").addEventListener("change", encode);
$("compare").addEventListener("click", () => compare($("original").hidden));
$("size").addEventListener("click", () => {
  const actual = $("stage").classList.toggle("actual");
  $("size").setAttribute("aria-pressed", String(actual));
});
$("save").addEventListener("click", async () => {
  const { picture, name } = shown;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await ask("png", picture, { weights }));
  link.download = `${name.replace(/\.[^.]*$/, "")}.png`;
  link.click();
  URL.revokeObjectURL(link.href);
});

const asked = new URLSearchParams(location.search).get("src");
if (asked) openLink(asked);

// So that the page works without a network once it was open (not from file:, nor by plain http).
navigator.serviceWorker?.register("offline.js").catch(() => {});
