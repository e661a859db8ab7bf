// A service worker: the page's own files from the network where there is one, else as they were last.
// Weights are kept apart, by the code that fetches them (src/weights.js).

const CACHE = "lictor-page";
const PAGE = "index.html";
// A test holds this against the folder.
const FILES = [
  "index.html", "page.css", "page.js", "src/boxes.js", "src/client.js", "src/coders.js",
  "src/decode.js", "src/element.js", "src/encode.js", "src/errors.js", "src/format.js",
  "src/index.js", "src/jobs.js", "src/lictor.wasm", "src/metadata.js", "src/methods.js",
  "src/network.js", "src/overfit.js", "src/pixels.js", "src/png.js", "src/reader.js", "src/session.js",
  "src/slope.js", "src/tile_encoders.js", "src/vp8l.js", "src/vp8l_write.js", "src/wasm.js",
  "src/weights.js", "src/weights_file.js", "src/wiener.js", "src/worker.js", "src/write.js",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

const OWN = new Set(FILES.map((file) => new URL(file, self.registration.scope).pathname));

async function answer(request) {
  const cache = await caches.open(CACHE), page = request.mode === "navigate";
  try {
    const response = await fetch(request);
    if (response.ok && !page) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(page ? PAGE : request);
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const own = request.mode === "navigate" || OWN.has(new URL(request.url).pathname);
  if (own && request.method === "GET") event.respondWith(answer(request));
});
