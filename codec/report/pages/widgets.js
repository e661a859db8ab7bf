/* What pages are put together from: elements, numbers as text, rows of buttons, tables that sort. */
"use strict";

const Widgets = (() => {
  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
  /** Plotly reads tags in its texts. */
  const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  const fixed = (value, digits) => (value == null ? "–" : value.toFixed(digits).replace("-", "−"));
  const signed = (value, digits = 1) =>
    value == null ? "–" : (value > 0 ? "+" : "") + fixed(value, digits);
  const decibels = (psnr) => (psnr == null ? "lossless" : `${fixed(psnr, 2)} dB`);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const seconds = (value) => (value == null ? "–" : value.toPrecision(2) * 1 + " s");
  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

  /** A range for an axis, with some room around the values. */
  function spread(values, room = 0.12) {
    if (!values.length) return undefined;
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const more = room * (high - low || 1);
    return [low - more, high + more];
  }

  function choices(host, options, chosen, pick) {
    const tabs = host.getAttribute("role") === "tablist";
    const state = tabs ? "aria-selected" : "aria-pressed";
    const buttons = Object.entries(options).map(([key, text]) =>
      make("button", { type: "button", "data-key": key, role: tabs ? "tab" : null,
        onclick: () => { set(key); pick(key); } }, text));
    const set = (key) => buttons.forEach((b) => b.setAttribute(state, String(b.dataset.key === key)));
    set(chosen);
    host.replaceChildren(...buttons);
    if (tabs) {
      host.addEventListener("keydown", (e) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
        if (!step) return;
        const at = buttons.indexOf(document.activeElement);
        const to = buttons[(at + step + buttons.length) % buttons.length];
        to.focus();
        to.click();
      });
    }
  }

  /** A table whose columns sort. columns: {title, value(row), text(row)}; least: mark the smallest. */
  function table(host, columns, rows, { sorted = null, sortable = true } = {}) {
    const best = columns.map((column) => {
      if (!column.least) return null;
      const values = rows.map(column.value).filter((v) => v != null);
      return values.length > 1 ? Math.min(...values) : null;
    });
    const body = make("tbody");
    const heads = columns.map((column, i) => {
      if (!sortable) return make("th", { scope: "col", class: column.class }, column.title);
      const button = make("button", { type: "button", onclick: () => sort(i) }, column.title);
      return make("th", { scope: "col", "aria-sort": "none" }, button);
    });
    const line = (row) => make("tr", {}, ...columns.map((column, i) => {
      const value = column.value(row);
      const mark = best[i] !== null && value === best[i] ? "best" : null;
      const kind = i === 0 ? "th" : "td";
      return make(kind, { scope: i ? null : "row", class: mark ?? column.class }, column.text(row));
    }));
    function sort(i) {
      const rising = heads[i].getAttribute("aria-sort") !== "ascending";
      const order = (a, b) => (a == null) - (b == null)
        || (rising ? 1 : -1) * (typeof a === "string" ? a.localeCompare(b) : a - b);
      const sortedRows = [...rows].sort((a, b) => order(columns[i].value(a), columns[i].value(b)));
      heads.forEach((h, k) => h.setAttribute("aria-sort",
        k === i ? (rising ? "ascending" : "descending") : "none"));
      body.replaceChildren(...sortedRows.map(line));
    }
    body.replaceChildren(...rows.map(line));
    host.replaceChildren(make("thead", {}, make("tr", {}, ...heads)), body);
    if (sortable && sorted !== null) sort(sorted);
  }

  return { make, short, plain, fixed, signed, decibels, css, seconds, count, spread, choices, table };
})();
