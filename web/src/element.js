/**
 * <lictor-img src="photo.bin" alt="…">: a picture, as <img> shows others.
 *
 * Attributes: src, alt, loading="lazy" as of <img>; weights: the folder of the weights, if it is not
 * that of the package. Events: load, error (its `detail` is the CodecError). CSS: sized like an
 * inline-block; object-fit goes on to the picture; ::part(img) is the <img> inside.
 */

import { ask } from "./client.js";
import { CodecError } from "./errors.js";

const STYLE = `
:host { display: inline-block; max-width: 100%; }
:host([hidden]) { display: none; }
img { display: block; width: 100%; height: 100%; object-fit: inherit; }
:host(:not([width]):not([height])) img { height: auto; }
`;

export class LictorImage extends HTMLElement {
  static observedAttributes = ["src", "alt", "weights", "loading"];

  #img = document.createElement("img");
  #turn = 0;
  #url = "";
  /** @type {IntersectionObserver | undefined} */
  #watch;
  /** @type {Promise<void> | undefined} */
  #shown;
  /** @type {import("./decode.js").Info | null} what its file says, once it is loaded */
  info = null;
  /** Whether nothing is being loaded. */
  complete = true;

  constructor() {
    super();
    const style = document.createElement("style");
    style.textContent = STYLE;
    this.#img.part.add("img");
    this.attachShadow({ mode: "open" }).append(style, this.#img);
  }

  connectedCallback() {
    if (!this.hasAttribute("role")) this.#img.alt = this.alt;
    this.#later();
  }

  disconnectedCallback() {
    this.#watch?.disconnect();
  }

  /** @param {string} name @param {string | null} before @param {string | null} now */
  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name === "alt") this.#img.alt = now ?? "";
    else if (this.isConnected) this.#later();
  }

  get src() {
    const src = this.getAttribute("src");
    return src === null ? "" : new URL(src, document.baseURI).href;
  }

  set src(value) {
    this.setAttribute("src", value);
  }

  get alt() {
    return this.getAttribute("alt") ?? "";
  }

  set alt(value) {
    this.setAttribute("alt", value);
  }

  /** Of the picture, in pixels; 0 until it is loaded. */
  get naturalWidth() {
    return this.#img.naturalWidth;
  }

  get naturalHeight() {
    return this.#img.naturalHeight;
  }

  /** What is shown, as a PNG of its own; "" until it is loaded. */
  get currentSrc() {
    return this.#url;
  }

  /** Resolves once the picture of now is shown; rejects with what stands in its way. */
  async decode() {
    await this.#shown;
  }

  /** Shows a file that is at hand. @param {Blob | ArrayBuffer | Uint8Array} file */
  show(file) {
    const bytes = file instanceof Blob ? file.arrayBuffer() : Promise.resolve(file);
    return this.#run(bytes);
  }

  #later() {
    this.#watch?.disconnect();
    if (!this.hasAttribute("src")) return;
    if (this.getAttribute("loading") !== "lazy") {
      this.#load();
      return;
    }
    this.#watch = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      this.#watch?.disconnect();
      this.#load();
    }, { rootMargin: "400px" });
    this.#watch.observe(this);
  }

  #load() {
    const { src } = this;
    this.#run(fetched(src)).catch(() => {}); // the event says it
  }

  /** @param {Promise<ArrayBuffer | Uint8Array>} bytes */
  #run(bytes) {
    const turn = ++this.#turn;
    this.complete = false;
    this.#shown = this.#put(bytes, turn).catch((error) => {
      if (turn === this.#turn) {
        this.complete = true;
        this.dispatchEvent(new CustomEvent("error", { detail: error }));
      }
      throw error;
    });
    this.#shown.catch(() => {});
    return this.#shown;
  }

  /** @param {Promise<ArrayBuffer | Uint8Array>} bytes @param {number} turn */
  async #put(bytes, turn) {
    const data = new Uint8Array(/** @type {ArrayBuffer} */ (await bytes));
    const weights = this.getAttribute("weights");
    const options = weights ? { weights: new URL(weights, document.baseURI) } : {};
    const { png, info } = await ask("show", data, options);
    if (turn === this.#turn) await this.showPng(png, info); // else another is wanted by now
  }

  /** Shows what was decoded. @param {Blob} png @param {import("./decode.js").Info} info */
  async showPng(png, info) {
    const url = URL.createObjectURL(png);
    this.#img.src = url;
    await this.#img.decode();
    URL.revokeObjectURL(this.#url);
    this.#url = url;
    this.info = info;
    this.complete = true;
    this.dispatchEvent(new Event("load"));
  }
}

/** @param {string} url */
async function fetched(url) {
  let response;
  try {
    response = await fetch(url);
  } catch {
    throw new CodecError(`${url} cannot be fetched; its host must allow it (CORS)`);
  }
  if (!response.ok) throw new CodecError(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

if (!customElements.get("lictor-img")) customElements.define("lictor-img", LictorImage);
