/* Two pictures of one size under a divider, zoomed and panned together.

   new Viewer(element) fills an element. show({original, left, right}) sets what is seen: URLs of
   pictures as `source`, and a `label` each; without `right`, left is shown alone. Sizes and positions below are CSS pixels of the stage;
   a picture's pixel (u, v) lies at (x + scale * u, y + scale * v). */
"use strict";

const MOST_ZOOM = 32;
const PIXELATED_FROM = 2;
const RESIDUAL_GAIN = 8;
const DOUBLE_TAP_MS = 320;

class Viewer {
  constructor(root) {
    this.shown = null;
    this.request = 0;
    this.residual = false;
    this.alone = false;
    this.at = 0.5;
    this.size = { width: 3, height: 2 };
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.pointers = new Map();
    this.grip = null;
    this.lastTap = null;
    this.build(root);
    this.listen();
    new ResizeObserver(() => this.resized()).observe(this.stage);
  }

  // ---- what is on the page

  build(root) {
    const make = (tag, attributes, ...children) => {
      const element = document.createElement(tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      element.append(...children);
      return element;
    };
    this.sides = ["left", "right"].map((name) => {
      const image = make("img", { class: "picture", alt: "", draggable: "false" });
      const canvas = make("canvas", { class: "picture", hidden: "" });
      const layer = make("div", { class: `layer ${name}` }, image, canvas);
      const label = make("output", { class: name });
      return { name, image, canvas, layer, label };
    });
    this.divider = make("div", {
      class: "divider", role: "slider", tabindex: "0", "aria-label": "Divider between the pictures",
      "aria-valuemin": "0", "aria-valuemax": "100", "aria-orientation": "horizontal",
    });
    this.stage = make("div", { class: "stage", tabindex: "0", role: "group" },
      ...this.sides.map((side) => side.layer), ...this.sides.map((side) => side.label), this.divider);
    const button = (text, title, action) => {
      const element = make("button", { type: "button", title }, text);
      element.addEventListener("click", action);
      return element;
    };
    this.residualButton = button(`Residual ×${RESIDUAL_GAIN}`,
      "Difference to the original, eight times as strong, on gray (R)", () => this.toggleResidual());
    this.residualButton.setAttribute("aria-pressed", "false");
    this.zoomText = make("span", { class: "zoom soft small", role: "status" });
    root.append(this.stage, make("div", { class: "row tools" },
      button("Fit", "The whole picture (0)", () => this.fit()),
      button("1:1", "One pixel of the picture to one of the page (1)", () => this.zoomTo(1)),
      button("4×", "Four times as large (4)", () => this.zoomTo(4)),
      this.residualButton,
      button("Full screen", "Full screen (F)", () => this.fullScreen()),
      this.zoomText));
    this.stage.setAttribute("aria-label",
      "Pictures. Arrow keys move the divider, or the picture when zoomed in; + and − zoom.");
  }

  // ---- what is shown

  async show({ original, left, right }) {
    this.shown = { original, left, right };
    this.alone = !right;
    if (this.alone) this.setResidual(false);
    this.residualButton.disabled = this.alone;
    const request = ++this.request;
    const whats = [left, right ?? { ...left, label: "" }];
    const loads = whats.map(async (what) => {
      const image = new Image();
      image.src = what.source;
      await image.decode();
      return image;
    });
    const images = await Promise.all(loads);
    if (request !== this.request) return; // something else was asked for meanwhile
    const size = { width: images[0].naturalWidth, height: images[0].naturalHeight };
    const resized = size.width !== this.size.width || size.height !== this.size.height;
    this.size = size;
    this.sides.forEach((side, i) => {
      const what = whats[i];
      side.image.src = what.source;
      side.image.alt = what.label;
      side.label.textContent = what.label;
    });
    this.stage.style.aspectRatio = `${size.width} / ${size.height}`;
    if (resized) this.fitted = true;
    if (this.residual) await this.drawResiduals(request);
    if (request !== this.request) return;
    this.sides.forEach((side) => {
      side.image.hidden = this.residual;
      side.canvas.hidden = !this.residual;
    });
    this.resized();
  }

  setResidual(on) {
    this.residual = on;
    this.residualButton.setAttribute("aria-pressed", String(on));
  }

  toggleResidual() {
    this.setResidual(!this.residual);
    return this.shown && this.show(this.shown);
  }

  async drawResiduals(request) {
    const original = await this.pixels(this.shown.original);
    for (const [i, side] of this.sides.entries()) {
      const decoded = await this.pixels([this.shown.left, this.shown.right][i].source);
      if (request !== this.request) return;
      const { data } = decoded;
      for (let k = 0; k < data.length; k += 4) {
        for (let c = k; c < k + 3; c++) data[c] = 128 + RESIDUAL_GAIN * (data[c] - original.data[c]);
        data[k + 3] = 255;
      }
      side.canvas.width = decoded.width;
      side.canvas.height = decoded.height;
      side.canvas.getContext("2d").putImageData(decoded, 0, 0);
    }
  }

  async pixels(source) {
    const image = new Image();
    image.src = source;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // ---- where it is

  fitScale() {
    const { clientWidth, clientHeight } = this.stage;
    return Math.min(clientWidth / this.size.width, clientHeight / this.size.height);
  }

  resized() {
    if (this.fitted) this.fit();
    else this.place();
  }

  fit() {
    this.view.scale = this.fitScale();
    this.fitted = true;
    this.place();
  }

  zoomTo(scale) {
    this.zoomAt(this.stage.clientWidth / 2, this.stage.clientHeight / 2, scale / this.view.scale);
  }

  /** Zoom by a factor; the point (x, y) of the stage stays where it is. */
  zoomAt(x, y, factor) {
    const { view } = this;
    const least = Math.min(this.fitScale(), 1);
    const scale = Math.min(Math.max(view.scale * factor, least), MOST_ZOOM);
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    this.fitted = Math.abs(scale - this.fitScale()) < 1e-6;
    this.place();
  }

  panBy(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.place();
  }

  moveDivider(at) {
    this.at = Math.min(Math.max(at, 0), 1);
    this.place();
  }

  /** Whether there is more of the picture than the stage shows. */
  get zoomed() {
    return this.view.scale > this.fitScale() + 1e-6;
  }

  place() {
    const { stage, view, size } = this;
    const inside = (offset, room, length) =>
      length <= room ? (room - length) / 2 : Math.min(0, Math.max(room - length, offset));
    view.x = inside(view.x, stage.clientWidth, size.width * view.scale);
    view.y = inside(view.y, stage.clientHeight, size.height * view.scale);
    const transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    const cut = (this.alone ? 1 : this.at) * stage.clientWidth;
    this.divider.hidden = this.alone;
    const clips = [`inset(0 ${stage.clientWidth - cut}px 0 0)`, `inset(0 0 0 ${cut}px)`];
    this.sides.forEach((side, i) => {
      side.image.style.transform = transform;
      side.canvas.style.transform = transform;
      side.layer.style.clipPath = clips[i];
    });
    this.divider.style.left = `${cut}px`;
    this.divider.setAttribute("aria-valuenow", String(Math.round(100 * this.at)));
    stage.classList.toggle("zoomed", this.zoomed);
    stage.classList.toggle("pixelated", view.scale > PIXELATED_FROM);
    this.zoomText.textContent = `${Math.round(100 * view.scale)} %`;
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (this.stage.requestFullscreen) this.stage.requestFullscreen();
  }

  // ---- mouse, touch and keys

  listen() {
    const { stage } = this;
    stage.addEventListener("pointerdown", (e) => this.down(e));
    stage.addEventListener("pointermove", (e) => this.move(e));
    stage.addEventListener("pointerup", (e) => this.up(e));
    stage.addEventListener("pointercancel", (e) => this.up(e));
    stage.addEventListener("wheel", (e) => {
      e.preventDefault();
      const lines = e.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
      this.zoomAt(...this.point(e), 2 ** ((-e.deltaY * lines) / 250));
    }, { passive: false });
    stage.addEventListener("keydown", (e) => this.key(e));
  }

  point(event) {
    const box = this.stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    if (event.button > 0) return;
    const [x, y] = this.point(event);
    this.pointers.set(event.pointerId, [x, y]);
    this.stage.setPointerCapture(event.pointerId);
    const near = event.target === this.divider;
    this.grip = this.pointers.size > 1 ? "pinch" : near || !this.zoomed ? "divider" : "pan";
    this.moved = false;
    this.from = [x, y];
    this.stage.classList.toggle("panning", this.grip === "pan");
    if (near) this.divider.focus({ preventScroll: true });
    else this.stage.focus({ preventScroll: true });
    event.preventDefault();
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const now = this.point(event);
    if (Math.hypot(now[0] - this.from[0], now[1] - this.from[1]) > 3) this.moved = true;
    if (!this.moved) return;
    if (this.grip === "pinch") this.pinch(event.pointerId, before, now);
    else if (this.grip === "pan") this.panBy(now[0] - before[0], now[1] - before[1]);
    else if (this.grip === "divider") this.moveDivider(now[0] / this.stage.clientWidth);
    this.pointers.set(event.pointerId, now);
  }

  pinch(id, before, now) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const apart = (p) => Math.max(Math.hypot(p[0] - other[0], p[1] - other[1]), 1);
    const middle = (p) => [(p[0] + other[0]) / 2, (p[1] + other[1]) / 2];
    const [x, y] = middle(now);
    const [oldX, oldY] = middle(before);
    this.panBy(x - oldX, y - oldY);
    this.zoomAt(x, y, apart(now) / apart(before));
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    this.stage.classList.remove("panning");
    const tapped = event.type === "pointerup" && this.grip !== "pinch" && !this.moved;
    if (this.pointers.size) this.grip = null; // what is left of a pinch
    if (tapped) this.tap(event);
  }

  /** Two taps or clicks in one place zoom in there, or show all again. */
  tap(event) {
    const [x, y] = this.point(event);
    const last = this.lastTap;
    this.lastTap = { x, y, time: event.timeStamp };
    if (!last || event.timeStamp - last.time > DOUBLE_TAP_MS) return;
    if (Math.hypot(x - last.x, y - last.y) > 24) return;
    this.lastTap = null;
    if (this.zoomed) this.fit();
    else this.zoomAt(x, y, Math.max(4, 2 * this.view.scale) / this.view.scale);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const middle = [this.stage.clientWidth / 2, this.stage.clientHeight / 2];
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const actions = {
      "+": () => this.zoomAt(...middle, 1.5), "=": () => this.zoomAt(...middle, 1.5),
      "-": () => this.zoomAt(...middle, 1 / 1.5), 0: () => this.fit(), 1: () => this.zoomTo(1),
      4: () => this.zoomTo(4), r: () => this.toggleResidual(), f: () => this.fullScreen(),
      Home: () => this.moveDivider(0), End: () => this.moveDivider(1),
    };
    const arrow = arrows[event.key];
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (arrow && this.zoomed && event.target !== this.divider) {
      this.panBy(-60 * arrow[0], -60 * arrow[1]);
    } else if (arrow && arrow[0]) {
      this.moveDivider(this.at + arrow[0] * (event.shiftKey ? 0.1 : 0.01));
    } else if (action) action();
    else return;
    event.preventDefault();
  }
}
