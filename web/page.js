// The page: opens what is dropped, chosen, linked (?src=…) or pasted as a link.

import { ask } from "./src/client.js";
import "./src/element.js";
import { CodecError } from "./src/errors.js";

const $ = (id) => document.getElementById(id);
const weights = new URL(document.querySelector("meta[name=lictor-weights]").content, document.baseURI);
let turn = 0;
let shown = null;

function say(text, bad = false) {
  $("error").hidden = !(text && bad);
  $("status").hidden = !(text && !bad);
  $(bad ? "error" : "status").textContent = text;
}

function megabytes(bytes) {
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function tellFetching(done, all) {
  $("progress").hidden = false;
  $("progress").max = all || 1;
  if (all) $("progress").value = done;
  say(`Fetching the weights, once: ${megabytes(done)}${all ? ` of ${megabytes(all)}` : ""}`);
}

function facts(entries) {
  $("facts").replaceChildren(...entries.flatMap(([name, value]) => {
    const [term, text] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, text.textContent] = [name, value];
    return [term, text];
  }));
}

function describe(picture, milliseconds) {
  const { width, height, channels, depth, info, icc, signalling } = picture;
  const kind = ["gray", "gray and alpha", "RGB", "RGB and alpha"][channels - 1];
  const colours = icc ? "ICC profile" : Object.keys(signalling).join(", ") || "sRGB";
  facts([
    ["Picture", `${width} × ${height}, ${kind}, ${depth} bits`],
    ["File", `${info.bytes.toLocaleString("en")} bytes, ${info.bpp.toFixed(3)} bits per pixel`],
    ["Coded by", info.methods.join(", ") + (info.model ? ` (${info.model})` : "")],
    ["Quality", info.mapped ? `up to ${info.quality}` : String(info.quality)],
    ["Colours", colours],
    ["Decoded in", `${(milliseconds / 1000).toFixed(2)} s`],
  ]);
}

async function open(bytes, name) {
  const own = ++turn;
  say("Decoding…");
  try {
    const data = new Uint8Array(await bytes);
    const { png, milliseconds, ...picture } = await ask("show", data, { weights, progress: tellFetching });
    if (own !== turn) return;
    $("picture").alt = name;
    await $("picture").showPng(png, picture.info);
    shown = { picture, name };
    describe(picture, milliseconds);
    $("result").hidden = false;
    document.title = `${name} – Lictor`;
    say("");
  } catch (error) {
    if (own === turn) say(error instanceof CodecError ? error.message : String(error), true);
  } finally {
    if (own === turn) $("progress").hidden = true;
  }
}

function openFile(file) {
  if (file) open(file.arrayBuffer(), file.name);
}

async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new CodecError(`${url} cannot be fetched; its host must allow it (CORS), or download it and drop it here`);
  }
  if (!response.ok) throw new CodecError(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

function openLink(link) {
  const url = new URL(link, document.baseURI);
  open(fetched(url.href), decodeURIComponent(url.pathname.split("/").pop()) || url.host);
}

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
$("size").addEventListener("click", () => {
  const actual = $("stage").classList.toggle("actual");
  $("size").setAttribute("aria-pressed", String(actual));
});
$("save").addEventListener("click", async (event) => {
  if ($("save").href.startsWith("blob:")) return;
  event.preventDefault();
  const { picture, name } = shown;
  const url = URL.createObjectURL(await ask("png", picture, { weights }));
  const link = document.createElement("a");
  [link.href, link.download] = [url, name.replace(/\.[^.]*$/, "") + ".png"];
  link.click();
  URL.revokeObjectURL(url);
});

const asked = new URLSearchParams(location.search).get("src");
if (asked) openLink(asked);

// So that the page works without a network once it was open (not from file:, nor by plain http).
navigator.serviceWorker?.register("offline.js").catch(() => {});
