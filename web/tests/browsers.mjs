// What browsers make of files, against what Python does, and how long it takes them:
//
//     npm install --no-save puppeteer-core
//     node tests/browsers.mjs FOLDER [chrome,firefox] [SCREENSHOTS]
//
// FOLDER holds NAME.bin and NAME.png, what the Python package decodes it to. Each file is decoded three
// times by the page's worker, weights in memory; the time is the least, of the wall and of all processes.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import puppeteer from "puppeteer-core";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const TYPES = { html: "text/html", js: "text/javascript", css: "text/css", wasm: "application/wasm" };
const BROWSERS = {
  chrome: { executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] },
  firefox: { browser: "firefox", executablePath: "/usr/bin/firefox-esr" },
};
const [folder, which = "chrome,firefox", screenshots] = process.argv.slice(2);
const names = readdirSync(folder).filter((f) => f.endsWith(".bin")).map((f) => f.slice(0, -4)).sort();

/** Serves the repository, and the folder as /files/. */
const server = createServer(({ url }, response) => {
  const path = decodeURIComponent(new URL(url, "http://x").pathname);
  const file = path.startsWith("/files/") ? join(folder, path.slice(7)) : join(ROOT, path);
  if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return response.writeHead(404).end();
  const type = TYPES[file.split(".").pop()] ?? "application/octet-stream";
  return response.writeHead(200, { "content-type": type }).end(readFileSync(file));
}).listen(0);
const base = `http://127.0.0.1:${server.address().port}`;

/** Seconds of CPU of a process and all below it. */
function cpuOf(root) {
  const stats = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      const fields = readFileSync(`/proc/${name}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
      return [{ pid: Number(name), parent: Number(fields[1]), ticks: Number(fields[11]) + Number(fields[12]) }];
    } catch {
      return []; // it has ended
    }
  });
  const below = (pid) => stats.filter((s) => s.parent === pid).reduce(
    (sum, s) => sum + s.ticks + below(s.pid), 0);
  return below(root) / 100;
}

/** In the page: decodes a file as the page does, and compares what is shown with a PNG. */
async function decodeAndCompare(name, weights) {
  const { ask } = await import("/web/src/client.js");
  const data = new Uint8Array(await (await fetch(`/files/${name}.bin`)).arrayBuffer());
  const { png, milliseconds } = await ask("show", data, { weights });
  const pixels = async (blob) => {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  };
  const [own, wanted] = [await pixels(png), await pixels(await (await fetch(`/files/${name}.png`)).blob())];
  let most = own.length === wanted.length ? 0 : Infinity, other = 0;
  for (let i = 0; i < own.length; i++) {
    const off = Math.abs(own[i] - wanted[i]);
    if (off) other++;
    if (off > most) most = off;
  }
  return { most, other, all: own.length, milliseconds };
}

/** In the page: decodes a file again. */
async function decodeAgain(name, weights) {
  const { ask } = await import("/web/src/client.js");
  const data = new Uint8Array(await (await fetch(`/files/${name}.bin`)).arrayBuffer());
  return (await ask("show", data, { weights })).milliseconds;
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];

for (const browser of which.split(",")) {
  const opened = await puppeteer.launch({ headless: true, ...BROWSERS[browser] });
  const page = await opened.newPage(), groups = new Map();
  page.on("pageerror", (error) => console.error(browser, error.message));
  await page.setViewport({ width: 1000, height: 900 });
  await page.goto(`${base}/web/index.html`);
  const weights = `${base}/checkpoints/`;
  for (const name of names) {
    const found = await page.evaluate(decodeAndCompare, name, weights);
    const walls = [], cpus = [];
    for (let turn = 0; turn < 3; turn++) {
      const before = cpuOf(opened.process().pid);
      walls.push(await page.evaluate(decodeAgain, name, weights));
      cpus.push(cpuOf(opened.process().pid) - before);
    }
    const group = name.replace(/^.*?-/, "");
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push({ ...found, name, wall: Math.min(...walls) / 1000, cpu: Math.min(...cpus) });
  }
  for (const [group, all] of groups) {
    const share = all.reduce((s, f) => s + f.other, 0) / all.reduce((s, f) => s + f.all, 0);
    console.log(
      `${browser} ${await opened.version()} ${group}: ${all.length} files, farthest ${Math.max(...all.map((f) => f.most))}`
      + ` (${(1e6 * share).toFixed(1)} of a million samples differ), wall ${median(all.map((f) => f.wall)).toFixed(2)} s`
      + ` (most ${Math.max(...all.map((f) => f.wall)).toFixed(2)}), CPU ${median(all.map((f) => f.cpu)).toFixed(2)} s`
      + ` (most ${Math.max(...all.map((f) => f.cpu)).toFixed(2)})`,
    );
  }
  if (screenshots) {
    await page.goto(`${base}/web/index.html?src=${base}/files/${names[0]}.bin`);
    await page.waitForFunction(() => !document.getElementById("result").hidden, { timeout: 60000 });
    await page.screenshot({ path: join(screenshots, `${browser}.png`), fullPage: true });
  }
  await opened.close();
}
server.close();
