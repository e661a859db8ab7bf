// A service worker: the page's own files from the network where there is one, else as they were last.
// Weights are kept apart, by the code that fetches them (src/weights.js).

const CACHE = "lictor-page";
const FILES = ["./", "index.html", "page.css", "page.js"];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

function isOwn(request) {
  const url = new URL(request.url), scope = new URL(self.registration.scope);
  const own = url.origin === scope.origin && url.pathname.startsWith(scope.pathname);
  const list = url.pathname.endsWith("/index.json"); // of the weights, wherever they are
  return request.method === "GET" && (own || list) && !url.pathname.endsWith(".safetensors")
    && !url.pathname.endsWith(".bin");
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: request.mode === "navigate" });
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener("fetch", (event) => {
  if (isOwn(event.request)) event.respondWith(answer(event.request));
});
