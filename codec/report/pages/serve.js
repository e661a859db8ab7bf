/* `lictor serve`: sends the picture with each quality, shows what comes back. */
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const settings = JSON.parse(byId("settings").textContent);
  const viewer = new Viewer(byId("viewer"));
  const urls = new Set();
  let file = null; // what was dropped last
  let original = null; // its picture, as a URL
  let busy = false;
  let wanted = null; // the quality to encode at next; null if there is none

  // ---- small things

  function url(base64, type) {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const made = URL.createObjectURL(new Blob([bytes], { type }));
    urls.add(made);
    return made;
  }

  /** Give back what is no longer shown. */
  function keepOnly(kept) {
    for (const made of urls) {
      if (!kept.includes(made)) {
        URL.revokeObjectURL(made);
        urls.delete(made);
      }
    }
  }

  const size = (bytes) =>
    bytes < 1e4 ? `${bytes} bytes` : bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB`
      : `${Number((bytes / 1e6).toFixed(2))} MB`;
  const decibels = (psnr) => (psnr === null ? "lossless" : `${psnr.toFixed(2)} dB`);
  const stem = (name) => name.replace(/\.[^.]*$/, "") || "picture";

  function say(id, text) {
    byId(id).textContent = text;
    byId(id).hidden = !text;
  }

  async function ask(path, body) {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body });
    } catch {
      throw new Error("the server does not answer; is lictor serve still running?");
    }
    const text = await answer.text();
    let content;
    try {
      content = JSON.parse(text);
    } catch {
      throw new Error(text.split("\n")[0] || `the server answered ${answer.status}`);
    }
    if (!answer.ok) throw new Error(content.error);
    return content;
  }

  function figures(pairs) {
    byId("figures").replaceChildren(...pairs.map(([name, value]) => {
      const [box, number, title] = ["div", "b", "span"].map((tag) => document.createElement(tag));
      number.textContent = value;
      title.textContent = name;
      box.append(number, title);
      return box;
    }));
  }

  function offer(id, href, name) {
    const link = byId(id);
    link.hidden = !href;
    if (href) {
      link.href = href;
      link.download = name;
    }
  }

  // ---- a new file

  async function take(taken) {
    if (!taken) return;
    wanted = null;
    say("error", "");
    if (taken.size > settings.most) {
      say("error", `${taken.name}: the file has ${size(taken.size)}, more than ${size(settings.most)}; `
        + "give a smaller one, or start lictor serve with a larger --max-upload");
      return;
    }
    say("about", `Reading ${taken.name}…`);
    file = taken;
    try {
      const about = await ask("api/open", taken);
      if (file !== taken) return; // another was dropped meanwhile
      opened(taken, about);
    } catch (error) {
      if (file !== taken) return;
      file = null;
      byId("result").hidden = true;
      say("about", "");
      say("error", `${taken.name}: ${error.message}`);
    }
  }

  function opened(taken, about) {
    const kind = ["gray", "gray with alpha", "RGB", "RGB with alpha"][about.channels - 1];
    say("about", [`${taken.name}: ${about.width}×${about.height} ${kind}, ${about.bit_depth} bits, `
      + size(about.bytes), ...about.notes].join("; "));
    document.body.classList.add("loaded");
    byId("result").hidden = false;
    original = url(about.picture, "image/png");
    byId("quality").disabled = Boolean(about.coded);
    if (about.coded) showCoded(taken, about);
    else encode();
  }

  function showCoded(taken, about) {
    const { coded } = about;
    byId("quality").value = coded.quality;
    byId("chosen").textContent = coded.quality;
    const label = `${taken.name} · quality ${coded.quality} · ${coded.bpp.toFixed(3)} bpp`;
    viewer.show({ original, left: { source: original, label } });
    figures([["file", size(about.bytes)], ["bits per pixel", coded.bpp.toFixed(3)],
      ["model", coded.model], ["decoding", `${about.decode_s.toFixed(2)} s`]]);
    offer("download", null);
    offer("decoded", original, `${stem(taken.name)}.png`);
    keepOnly([original]);
  }

  // ---- encoding: one request at a time, always for the newest quality

  async function encode() {
    wanted = Number(byId("quality").value);
    byId("chosen").textContent = wanted;
    if (busy) return;
    busy = true;
    while (wanted !== null && file) {
      const [quality, taken] = [wanted, file];
      wanted = null;
      document.body.classList.add("waiting");
      byId("busy").textContent = "Encoding…";
      try {
        const coded = await ask(`api/encode?quality=${quality}`, taken);
        if (file === taken) await showEncoded(taken, coded);
      } catch (error) {
        if (file === taken) say("error", `${taken.name}: ${error.message}`);
      }
    }
    busy = false;
    document.body.classList.remove("waiting");
    byId("busy").textContent = "";
  }

  async function showEncoded(taken, coded) {
    say("error", "");
    const decoded = url(coded.picture, "image/png");
    const bin = url(coded.file, "application/octet-stream");
    const quality = `quality ${coded.quality}`;
    await viewer.show({ original, left: { source: original, label: "Original" },
      right: { source: decoded,
        label: `${quality} · ${coded.bpp.toFixed(3)} bpp · ${decibels(coded.psnr)}` } });
    figures([["bits per pixel", coded.bpp.toFixed(3)], ["PSNR", decibels(coded.psnr)],
      ["file", size(coded.bytes)],
      ["of the picture's file", `${((100 * coded.bytes) / taken.size).toPrecision(3)} %`],
      ["encoding", `${coded.encode_s.toFixed(2)} s`],
      ["decoding", `${coded.decode_s.toFixed(2)} s`]]);
    offer("download", bin, `${stem(taken.name)}.bin`);
    offer("decoded", decoded, `${stem(taken.name)}-decoded.png`);
    keepOnly([original, decoded, bin]);
  }

  // ---- the page

  byId("model").textContent = settings.model;
  byId("most").textContent = size(settings.most);
  byId("quality").addEventListener("input", encode);
  byId("file").addEventListener("change", (e) => take(e.target.files[0]));
  document.addEventListener("dragover", (e) => {
    e.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (e) => {
    e.preventDefault();
    document.body.classList.remove("dropping");
    take(e.dataTransfer.files[0]);
  });
  Theme.start();
})();
