/* The report: everything is drawn from the JSON in #results; text only ever goes in as text. */
"use strict";

const Report = (() => {
  const results = JSON.parse(document.getElementById("results").textContent);
  const codecs = Object.fromEntries(results.codecs.map((codec) => [codec.name, codec]));
  const names = results.codecs.map((codec) => codec.name);
  const published = results.published ?? {};
  const byId = (id) => document.getElementById(id);

  const { make, short, plain, fixed, signed, decibels, css, seconds, count, spread, choices, table } =
    Widgets;
  const label = (name) => codecs[name]?.label || name;
  const colour = (name) => results.styles[name][Theme.dark ? "dark" : "light"];

  // ---- plots

  const plots = [];
  const hidden = new Set();
  const FEW_PUBLISHED = 8; // more would hide what was measured; they can be switched on
  if (Object.keys(published).length > FEW_PUBLISHED) {
    Object.keys(published).forEach((name) => hidden.add(`published ${name}`));
  }

  function layout(extra) {
    const line = { gridcolor: css("--grid"), linecolor: css("--line"), zeroline: false,
      automargin: true, ticks: "outside", tickcolor: css("--line"), ticklen: 4 };
    const narrow = innerWidth < 560;
    return {
      paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false,
      font: { color: css("--ink"), family: "system-ui, sans-serif", size: narrow ? 12 : 13.5 },
      margin: { l: narrow ? 44 : 60, r: 10, t: narrow ? 10 : 30, b: 48 }, hovermode: "closest",
      dragmode: narrow ? false : "zoom",
      modebar: { bgcolor: "transparent", color: css("--soft"), activecolor: css("--accent") },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--soft"), font: { color: css("--ink") } },
      ...extra,
      xaxis: { ...line, ...extra.xaxis }, yaxis: { ...line, ...extra.yaxis },
    };
  }

  const CONFIG = { responsive: true, displaylogo: false, displayModeBar: innerWidth >= 560,
    modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };

  function plot(host, draw) {
    const redraw = () => {
      const { traces, axes } = draw();
      Plotly.react(host, traces, layout(axes), CONFIG);
    };
    plots.push(redraw);
    redraw();
    return redraw;
  }

  function lineTrace(name, points, text) {
    const style = results.styles[name];
    const own = name === results.subject;
    return {
      type: "scatter", mode: "lines+markers", name: plain(label(name)), x: points.map((p) => p.x),
      y: points.map((p) => p.y), customdata: points, text: points.map(text),
      hovertemplate: "%{text}<extra></extra>", visible: !hidden.has(name),
      line: { color: colour(name), width: own ? 3.2 : 2, dash: style.dash },
      marker: { symbol: style.marker, size: own ? 9 : 8, color: colour(name) },
    };
  }

  const rd = { metric: "psnr", axis: "linear" };

  function rdTraces() {
    const metric = METRICS[rd.metric];
    const at = (x, p) => ({ x, y: metric.value(p), raw: p });
    const known = (points) => points.filter((p) => p.x != null && p.y != null);
    const thin = Object.entries(published).filter(([name]) => !hidden.has(`published ${name}`));
    const lines = thin.map(([name, curve]) => {
      const points = known((curve.bpp ?? []).map((bpp, i) => at(bpp, curve[rd.metric]?.[i])));
      return { type: "scatter", mode: "lines", x: points.map((p) => p.x), y: points.map((p) => p.y),
        line: { color: css("--soft"), width: 1 }, opacity: 0.75,
        hovertemplate: `${plain(name)} (published)<br>%{x:.3f} bpp, %{y:.2f}<extra></extra>` };
    });
    const own = names.map((name) => {
      const points = known((results.curves[name] ?? []).map((p) =>
        ({ ...at(p.bpp, p[rd.metric]), point: p, codec: name })));
      return lineTrace(name, points, (p) =>
        `<b>${plain(label(name))}</b>, quality ${plain(p.point.quality)}<br>${fixed(p.x, 3)} bpp, `
        + `${fixed(p.y, metric.digits)}${metric.unit}`
        + (rd.metric === "ms_ssim" ? ` (${fixed(p.raw, 4)})` : ""));
    });
    return [...lines, ...own.reverse()];
  }

  function xOfMeasured() {
    const all = names.filter((n) => !hidden.has(n)).flatMap((n) => results.curves[n] ?? []);
    const rates = all.map((p) => p.bpp).filter((b) => b > 0);
    if (!rates.length) return {};
    const [low, high] = [Math.min(...rates), Math.max(...rates)];
    if (rd.axis === "linear") return { range: [0, high * 1.05] };
    return { range: [Math.log10(low / 1.15), Math.log10(high * 1.15)] };
  }

  function yOfMeasured() {
    const metric = METRICS[rd.metric];
    const all = names.filter((n) => !hidden.has(n)).flatMap((n) => results.curves[n] ?? []);
    const values = all.map((p) => metric.value(p[rd.metric])).filter((v) => v != null);
    const range = spread(values, 0.06);
    return range ? { range: metric.reversed ? range.reverse() : range } : {};
  }

  function chip(name, text, redraw, trace) {
    const shown = () => String(!hidden.has(name));
    const swatch = () => {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("width", "26");
      svg.setAttribute("height", "10");
      const line = document.createElementNS(svg.namespaceURI, "line");
      const dash = { dash: "6 3", dot: "2 3", dashdot: "6 3 2 3" }[trace?.dash] ?? "none";
      const drawn = { x1: 1, x2: 25, y1: 5, y2: 5, "stroke-width": trace ? 3 : 1,
        stroke: trace ? colour(name) : css("--soft"), "stroke-dasharray": dash };
      for (const [key, value] of Object.entries(drawn)) line.setAttribute(key, value);
      svg.append(line);
      return svg;
    };
    const button = make("button", { type: "button", "aria-pressed": shown(), title: text,
      onclick: () => {
        if (!hidden.delete(name)) hidden.add(name);
        button.setAttribute("aria-pressed", shown());
        redraw();
      } }, swatch(), short(text, 60));
    plots.push(() => button.firstChild.replaceWith(swatch()));
    return button;
  }

  function drawCurves() {
    const known = Object.keys(METRICS).filter((key) =>
      names.some((name) => (results.curves[name] ?? []).some((p) => p[key] != null)));
    const tabs = Object.fromEntries(known.map((key) => [key, METRICS[key].tab]));
    rd.metric = known[0] ?? "psnr";
    const redraw = plot(byId("rd-plot"), () => ({
      traces: rdTraces(),
      axes: {
        xaxis: { title: { text: "bits per pixel" }, type: rd.axis, ...xOfMeasured() },
        yaxis: { title: { text: METRICS[rd.metric].axis }, ...yOfMeasured() },
      },
    }));
    choices(byId("metrics"), tabs, rd.metric, (key) => { rd.metric = key; redraw(); });
    choices(byId("axes"), { linear: "linear", log: "log" }, rd.axis,
      (key) => { rd.axis = key; redraw(); });
    const all = () => plots.forEach((draw) => draw());
    byId("codec-chips").replaceChildren(
      ...names.map((name) => chip(name, label(name), all, results.styles[name])));
    const thin = Object.keys(published);
    byId("published").hidden = !thin.length;
    byId("published").querySelector("summary").textContent =
      `${count(thin.length, "published curve")}, as thin lines`;
    byId("published-chips").replaceChildren(
      ...thin.map((name) => chip(`published ${name}`, name, redraw, null)));
    byId("rd-plot").on("plotly_click", ({ points: [point] }) => {
      const { codec, point: measured } = point.customdata ?? {};
      if (codec) pickRight(codec, measured.bpp);
    });
    byId("curves-about").textContent =
      `Means over ${count(results.images.length, "picture")}, from the bytes of real files. `
      + "Point at a line for its numbers; choose codecs below the plot."
      + (results.pictures.length ? " A click on a point shows pictures of it." : "");
    drawPoints(known);
  }

  function drawPoints(known) {
    const rows = names.flatMap((name) => (results.curves[name] ?? []).map((p) => ({ name, ...p })));
    const number = (title, key, digits) =>
      ({ title, value: (r) => r[key], text: (r) => fixed(r[key], digits) });
    const digits = { psnr: 2, ms_ssim: 4, ssimulacra2: 2, lpips: 4 };
    table(byId("points"), [
      { title: "Codec", value: (r) => label(r.name), text: (r) => label(r.name) },
      { title: "Quality", value: (r) => r.quality, text: (r) => String(r.quality) },
      number("bpp", "bpp", 4),
      ...known.map((key) => number(METRICS[key].tab, key, digits[key])),
      ...(rows.some((r) => r.psnr_of_mean_mse != null)
        ? [number("PSNR of mean MSE", "psnr_of_mean_mse", 2)] : []),
      { title: "Encode", value: (r) => r.encode_s, text: (r) => seconds(r.encode_s) },
      { title: "Decode", value: (r) => r.decode_s, text: (r) => seconds(r.decode_s) },
    ], rows);
  }

  // ---- BD-rates and time

  const rates = results.bd_rate ?? {};
  const rate = (name, metric, what) => rates.metric?.[metric]?.[name]?.[what] ?? null;

  function medianTime(name, key) {
    const times = (results.curves[name] ?? []).map((p) => p[key]).filter((t) => t > 0);
    times.sort((a, b) => a - b);
    const middle = times.length / 2;
    if (!times.length) return null;
    return times.length % 2 ? times[Math.floor(middle)] : (times[middle - 1] + times[middle]) / 2;
  }

  function drawRates() {
    if (!rates.anchor) return;
    byId("rates").hidden = false;
    byId("rates-about").textContent =
      `Bits beyond those of ${label(rates.anchor)} (the anchor) at equal quality, percent, `
      + "Bjontegaard with PCHIP, of the mean curves above; less is better. By picture: the mean of "
      + "each picture's own BD-rate. Times: medians over pictures, then over qualities.";
    const metrics = Object.keys(METRICS).filter((key) => rates.metric?.[key]);
    const columns = metrics.flatMap((key, i) => [
      { title: METRICS[key].tab, least: true,
        value: (n) => rate(n, key, "mean_curve"), text: (n) => signed(rate(n, key, "mean_curve")) },
      { title: `${METRICS[key].tab}, by picture`, least: true,
        value: (n) => rate(n, key, "per_image_mean"),
        text: (n) => signed(rate(n, key, "per_image_mean")) },
      i ? null : { title: "Worst picture", value: (n) => rate(n, key, "worst")?.[1] ?? null, text: (n) => {
        const [image, value] = rate(n, key, "worst") ?? [];
        return image === undefined ? "–" : `${signed(value)}  ${short(image, 24)}`;
      } },
    ]).filter(Boolean);
    const time = (title, key) =>
      ({ title, value: (n) => medianTime(n, key), text: (n) => seconds(medianTime(n, key)) });
    table(byId("rate-table"), [
      { title: "Codec", value: label, text: (n) => label(n) + (n === rates.anchor ? " (anchor)" : "") },
      ...columns, time("Encode", "encode_s"), time("Decode", "decode_s"),
      { title: "kMAC/pixel", value: (n) => codecs[n].kmac_per_pixel,
        text: (n) => fixed(codecs[n].kmac_per_pixel, 1) },
    ], names, { sorted: 1 });
    const others = Object.keys(published).filter((n) => metrics.some((key) =>
      rate(n, key, "mean_curve") !== null));
    byId("published-rates").hidden = !others.length;
    table(byId("published-table"), [
      { title: "Curve", value: (n) => n, text: (n) => n, class: "name" },
      ...metrics.map((key) => ({ title: METRICS[key].tab, value: (n) => rate(n, key, "mean_curve"),
        text: (n) => signed(rate(n, key, "mean_curve")) })),
      { title: "Source", value: (n) => published[n].source, text: (n) => published[n].source ?? "–" },
    ], others, { sorted: 1 });
  }

  function drawTimes() {
    const state = { key: "encode_s" };
    const has = names.filter((n) => rate(n, "psnr", "mean_curve") !== null
      && medianTime(n, "encode_s") !== null);
    if (has.length < 2) return;
    byId("times").hidden = false;
    const threads = results.machine?.threads;
    byId("times-about").textContent = `BD-rate at equal PSNR against ${label(rates.anchor)}; `
      + "further left is faster, further down is smaller."
      + (threads ? ` ${count(threads, "thread")}.` : "");
    const redraw = plot(byId("time-plot"), () => {
      const shown = has.filter((n) => !hidden.has(n))
        .sort((a, b) => medianTime(a, state.key) - medianTime(b, state.key));
      const what = state.key === "encode_s" ? "encode" : "decode";
      const traces = shown.map((n, i) => ({
        type: "scatter", mode: "markers+text", x: [medianTime(n, state.key)],
        y: [rate(n, "psnr", "mean_curve")], text: [plain(short(label(n), innerWidth < 560 ? 16 : 40))],
        textposition: i % 2 ? "bottom center" : "top center", // so that neighbours do not collide
        textfont: { size: 12 }, cliponaxis: false,
        marker: { symbol: results.styles[n].marker, size: n === results.subject ? 15 : 11,
          color: colour(n) },
        hovertemplate: `<b>${plain(label(n))}</b><br>%{x:.3g} s to ${what}<br>`
          + "BD-rate %{y:+.1f} %<extra></extra>",
      }));
      const rateOf = shown.map((n) => rate(n, "psnr", "mean_curve"));
      const logs = shown.map((n) => Math.log10(medianTime(n, state.key)));
      return { traces, axes: {
        xaxis: { title: { text: `seconds to ${what}, log` }, type: "log", dtick: 1,
          range: spread(logs, innerWidth < 560 ? 0.3 : 0.15) },
        yaxis: { title: { text: "BD-rate" }, ticksuffix: " %", range: spread(rateOf) },
      } };
    });
    choices(byId("time-of"), { encode_s: "Encode", decode_s: "Decode" }, state.key,
      (key) => { state.key = key; redraw(); });
  }

  // ---- pictures

  let viewer = null;
  const urls = new Map();
  const ORIGINAL = "original";

  /** Bytes of a text that has seven bits of them in each character (codec/report/sevenbit.py). */
  function unpacked(text) {
    const bytes = new Uint8Array(Math.floor((text.length * 7) / 8));
    let held = 0;
    let count = 0;
    let place = 0;
    for (let i = 0; i < text.length; i += 1) {
      held = ((held << 7) | (text.charCodeAt(i) & 127)) & 0x3fff;
      count += 7;
      if (count >= 8) {
        count -= 8;
        bytes[place] = held >> count;
        place += 1;
      }
    }
    return bytes;
  }

  /** Pictures become objects of the browser when they are first looked at. */
  function url(place) {
    if (!urls.has(place)) {
      const element = byId(`blob-${place}`);
      const bytes = unpacked(element.textContent);
      urls.set(place, URL.createObjectURL(new Blob([bytes], { type: element.dataset.type })));
      element.textContent = "";
    }
    return urls.get(place);
  }

  const picture = () => results.pictures[byId("picture").value];
  const pointsOf = (codec) =>
    picture().points.filter((p) => p.codec === codec).sort((a, b) => a.bpp - b.bpp);

  function nearest(points, bpp) {
    const far = (p) => Math.abs(Math.log(p.bpp / bpp));
    return points.reduce((best, p, i) => (far(p) < far(points[best]) ? i : best), 0);
  }

  function fillRates(side, bpp) {
    const codec = byId(`${side}-codec`).value;
    const select = byId(`${side}-rate`);
    const points = codec === ORIGINAL ? [] : pointsOf(codec);
    select.disabled = !points.length;
    select.replaceChildren(...points.map((p, i) =>
      make("option", { value: i }, `${fixed(p.bpp, 3)} bpp, ${decibels(p.psnr)}`)));
    if (!points.length) select.append(make("option", {}, "–"));
    else select.value = nearest(points, bpp);
  }

  const chosen = (side) => {
    const codec = byId(`${side}-codec`).value;
    return codec === ORIGINAL ? null : pointsOf(codec)[byId(`${side}-rate`).value];
  };

  function described(side) {
    const point = chosen(side);
    if (!point) return { source: url(picture().original), label: "Original" };
    return { source: url(point.blob),
      label: `${label(point.codec)} · ${fixed(point.bpp, 3)} bpp · ${decibels(point.psnr)}` };
  }

  function look() {
    return viewer.show({ original: url(picture().original), left: described("left"),
      right: described("right") });
  }

  function changePicture() {
    const before = ["left", "right"].map((side) => chosen.last?.[side] ?? 0.3);
    const available = new Set(picture().points.map((p) => p.codec));
    ["left", "right"].forEach((side, i) => {
      const select = byId(`${side}-codec`);
      const codec = select.value;
      select.replaceChildren(make("option", { value: ORIGINAL }, "Original"),
        ...names.filter((n) => available.has(n)).map((n) => make("option", { value: n }, label(n))));
      select.value = codec === ORIGINAL || available.has(codec) ? codec : ORIGINAL;
      fillRates(side, before[i]);
    });
    const last = results.pictures.length - 1;
    byId("previous").disabled = Number(byId("picture").value) === 0;
    byId("next").disabled = Number(byId("picture").value) === last;
    return look();
  }

  function remember() {
    chosen.last ??= {};
    for (const side of ["left", "right"]) {
      const point = chosen(side);
      if (point) chosen.last[side] = point.bpp;
    }
  }

  function changeCodec(side) {
    const other = side === "left" ? "right" : "left";
    fillRates(side, chosen.last?.[side] ?? chosen(other)?.bpp ?? 0.3);
    remember();
    look();
  }

  function step(by) {
    byId("picture").value = Number(byId("picture").value) + by;
    changePicture();
  }

  function pickRight(codec, bpp) {
    if (!viewer || !picture().points.some((p) => p.codec === codec)) return;
    byId("right-codec").value = codec;
    fillRates("right", bpp);
    remember();
    look();
    byId("pictures").scrollIntoView();
  }

  function showPictures() {
    if (!results.pictures.length) return;
    byId("pictures").hidden = false;
    const few = results.pictures.length < results.images.length
      ? `${results.pictures.length} of the ${results.images.length} pictures, those first where `
      : "Those first where ";
    const thinned = results.pictures.some((p) => p.left_out)
      ? " Not every quality is here, to keep this page small." : "";
    byId("pictures-about").textContent = names.length > 1
      ? `${few}${label(results.subject)} has the lowest PSNR beside the best other codec at equal `
        + `bpp (mean difference in parentheses). Pixels are exact.${thinned}`
      : `Pixels are exact.${thinned}`;
    byId("picture").replaceChildren(...results.pictures.map((p, i) =>
      make("option", { value: i }, p.name + (p.gap == null ? "" : ` (${signed(p.gap, 2)} dB)`))));
    viewer = new Viewer(byId("viewer"));
    const first = results.pictures[0];
    const own = first.points.some((p) => p.codec === results.subject)
      ? results.subject : first.points[0]?.codec ?? ORIGINAL;
    for (const [side, codec] of [["left", ORIGINAL], ["right", own]]) {
      byId(`${side}-codec`).append(make("option", { value: codec }));
      byId(`${side}-codec`).addEventListener("change", () => changeCodec(side));
      byId(`${side}-rate`).addEventListener("change", () => { remember(); look(); });
    }
    byId("picture").addEventListener("change", changePicture);
    byId("previous").addEventListener("click", () => step(-1));
    byId("next").addEventListener("click", () => step(1));
    changePicture();
  }

  // ---- the classifier, and how it was measured

  const TASK_MEASURES = { top1: "Top-1", top5: "Top-5", agreement: "Agreement",
    feature_distance: "Feature distance" };


  function drawTask() {
    const task = results.task;
    const has = (key) => Object.values(task?.curves ?? {}).flat().some((p) => p[key] != null);
    const measures = Object.entries(TASK_MEASURES).filter(([key]) => has(key));
    if (!measures.length) return;
    byId("task").hidden = false;
    byId("task-about").textContent =
      `What ${task.classifier ?? "a classifier"} sees in decoded pictures. Agreement: share of `
      + "pictures where its first answer is the one it gives on the original. Colours as above.";
    const state = { key: measures[0][0] };
    const redraw = plot(byId("task-plot"), () => ({
      traces: names.filter((n) => task.curves[n]).map((n) => {
        const points = task.curves[n].map((p) => ({ x: p.bpp, y: p[state.key], quality: p.quality }))
          .filter((p) => p.x != null && p.y != null);
        return lineTrace(n, points, (p) => `<b>${plain(label(n))}</b>, quality ${plain(p.quality)}`
          + `<br>${fixed(p.x, 3)} bpp, ${fixed(p.y, 3)}`);
      }),
      axes: { xaxis: { title: { text: "bits per pixel" } },
        yaxis: { title: { text: TASK_MEASURES[state.key] } } },
    }));
    choices(byId("task-metrics"), Object.fromEntries(measures), state.key,
      (key) => { state.key = key; redraw(); });
  }

  function list(host, pairs) {
    host.replaceChildren(...pairs.filter(([, value]) => value !== null && value !== "")
      .flatMap(([key, value]) => [make("dt", {}, key), make("dd", {}, String(value))]));
  }

  function drawHow() {
    list(byId("machine"), Object.entries(results.machine ?? {}).map(([k, v]) =>
      [k.replaceAll("_", " "), v]));
    list(byId("versions"), Object.entries({ lictor: results.lictor ?? "",
      commit: results.commit ?? "", ...results.versions }));
    byId("command").textContent = results.command ?? "";
    const failed = (results.failed ?? []).map(({ image, codec, quality, reason }) =>
      ({ name: [image, codec && label(codec), quality].filter((v) => v != null).join(", "), reason }));
    const skipped = [...(results.skipped ?? []), ...failed];
    byId("skipped").hidden = !skipped.length;
    byId("skipped").querySelector("ul").replaceChildren(...skipped.map((s) =>
      make("li", {}, make("b", {}, s.name), `: ${s.reason}`)));
    const written = (settings) => Object.entries(settings ?? {}).map(([k, v]) =>
      `${k} ${typeof v === "object" ? JSON.stringify(v) : v}`).join(", ") || "–";
    table(byId("settings"), [
      { title: "Codec", value: (c) => c.name, text: (c) => `${c.label || c.name} (${c.name})` },
      { title: "Version", value: (c) => c.version, text: (c) => c.version ?? "–" },
      { title: "Settings", value: () => "", text: (c) => written(c.settings), class: "settings" },
      { title: "Weights", value: (c) => c.weights, text: (c) => (c.weights ?? "–").slice(0, 12) },
    ], results.codecs, { sortable: false });
    table(byId("images"), [
      { title: "Picture", value: (i) => i.name, text: (i) => i.name, class: "name" },
      { title: "Size", value: (i) => i.width * i.height, text: (i) => `${i.width}×${i.height}` },
      { title: "SHA-256", value: (i) => i.sha256, text: (i) => (i.sha256 ?? "–").slice(0, 16) },
    ], results.images);
  }

  function start() {
    document.title = `${results.headline} · Lictor`;
    byId("headline").textContent = results.headline;
    byId("facts").textContent = [count(results.images.length, "picture"),
      count(names.length, "codec"), results.day, `lictor ${results.lictor ?? ""}`.trim()]
      .filter(Boolean).join(" · ");
    byId("foot").textContent = `Made by lictor report${results.lictor ? ` ${results.lictor}` : ""}. `
      + "This page is one file and loads nothing.";
    drawCurves();
    drawRates();
    drawTimes();
    drawTask();
    drawHow();
    Theme.listeners.push(() => plots.forEach((draw) => draw()));
    Theme.start();
  }

  start();
  return { showPictures, get viewer() { return viewer; } };
})();
