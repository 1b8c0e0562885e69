// One reader's way through the images: every answer is on the server's disk before the page goes on.
//
// An answer is named by reader and number and says how many entries of its log the page knows of, so that sending it
// again stores nothing twice. Until it is stored it also lies in the browser's own store, which outlives the tab.

import { View } from "./view.js";

const reader = document.body.dataset.reader;
const WHITE = 0.8;
const PATIENCE_MS = 8000;
const AGAIN_MS = 1000;
const at = (id) => document.getElementById(id);
const pictures = new Map();

let state = null; // what the server told: token, study, count, side, levels, answers
let view = null;
let number = 0; // the image in view, from 1
let pending = null; // the answer that is not stored yet
let flying = null; // [quality, real] of the one request that is on its way
let sending = null; // the promise that the answer will be stored
let moving = false; // from the wish to go on until the next image is in view
let inView = 0; // seconds
let since = null;

const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const seconds = () => inView + (since === null ? 0 : (performance.now() - since) / 1000);
const keyOf = () => `spinecho-study ${state.study} ${reader}`;
const complete = (answer) => answer[0] !== null && answer[1] !== null;
const unanswered = () => state.answers.findIndex((answer) => !complete(answer)) + 1;

function away(text) {
  at("away").textContent = text;
  at("away").hidden = !text;
}

// Ask until there is an answer; what the server refuses for good is said and thrown.
async function asked(address, options = {}) {
  for (;;) {
    let response = null;
    try {
      response = await fetch(address, { ...options, signal: AbortSignal.timeout(PATIENCE_MS), cache: "no-store" });
      const body = response.ok && address.startsWith("/image") ? await response.arrayBuffer() : await response.json();
      if (response.ok || response.status === 409) away("");
      if (response.ok || [403, 409].includes(response.status)) return [response.status, body];
      away(body.error + (response.status < 500 ? "." : ". Your answer is kept and is sent again."));
      if (response.status < 500) throw Object.assign(new Error(body.error), { refused: true });
    } catch (error) {
      if (error.refused) throw error;
      if (response === null || response.ok)
        away("The server is away. Your last answer is kept here and is sent again until it is stored; please wait.");
    }
    await pause(AGAIN_MS);
  }
}

async function learn() {
  const [, told] = await asked(`/state?reader=${encodeURIComponent(reader)}`);
  if (state !== null && told.study !== state.study) {
    away("Another study is served here now. Load the page again.");
    throw new Error("another study");
  }
  state = told;
}

function keep() {
  try {
    if (pending === null) localStorage.removeItem(keyOf());
    else localStorage.setItem(keyOf(), JSON.stringify({ ...pending, flying }));
  } catch { /* a browser without a store: the answer is still sent until it is stored */ }
}

// What the last page could not send. Its last request may have come through all the same; an answer that came from
// elsewhere since then goes before it.
async function recover() {
  let kept = null;
  try { kept = JSON.parse(localStorage.getItem(keyOf())); } catch { /* as above */ }
  if (kept === null || !state.answers[kept.number - 1]) return;
  const [quality, real, after] = state.answers[kept.number - 1];
  const came = kept.flying && kept.flying[0] === quality && kept.flying[1] === real && after === kept.after + 1;
  if (came || after === kept.after) {
    pending = { number: kept.number, quality: kept.quality, real: kept.real, after, seconds: kept.seconds };
    await stored();
  } else keep();
}

function stored() {
  sending ??= send().finally(() => { sending = null; });
  return sending;
}

async function send() {
  while (pending !== null) {
    const sent = pending;
    flying = [sent.quality, sent.real];
    keep();
    const body = JSON.stringify({ study: state.study, reader, ...sent });
    const headers = { "Content-Type": "application/json", "X-Token": state.token };
    const [status, told] = await asked("/answer", { method: "POST", headers, body, keepalive: true });
    if (status === 403) { // the server was started anew
      await pause(AGAIN_MS / 5);
      await learn();
      continue;
    }
    flying = null;
    state.answers[sent.number - 1] = told.now;
    if (pending === sent && status === 200) pending = null;
    else if (pending !== null) pending = { ...pending, after: told.now[2] };
    keep();
    tell();
  }
}

// What is shown of an image's answer: the one on its way, else the one stored.
function answerOf(n) {
  return pending !== null && pending.number === n ? [pending.quality, pending.real, pending.after] : state.answers[n - 1];
}

function choose(change) {
  if (moving || number === 0) return;
  const [quality, real, after] = answerOf(number);
  const wish = { number, quality, real, ...change, after, seconds: Math.round(100 * seconds()) / 100 };
  if (wish.quality === quality && wish.real === real) return;
  pending = wish;
  keep();
  tell();
  stored().catch(() => {});
}

async function picture(n) {
  if (!pictures.has(n)) {
    const coming = asked(`/image?reader=${encodeURIComponent(reader)}&number=${n}`);
    pictures.set(n, coming.then(([, bytes]) => new Uint16Array(bytes)));
    pictures.get(n).catch(() => pictures.delete(n));
    if (pictures.size > 8) pictures.delete(pictures.keys().next().value);
  }
  return pictures.get(n);
}

// Show an image as soon as the answer to the last one is stored.
async function go(n, history = "push") {
  if (moving || n < 1 || n > state.count) return;
  moving = true;
  document.body.classList.add("busy");
  try {
    await stored();
    const pixels = await picture(n);
    if (history === "push" && n !== number) window.history.pushState(null, "", `#${n}`);
    if (history === "replace") window.history.replaceState(null, "", `#${n}`);
    number = n;
    view.show(pixels);
    inView = 0;
    since = document.hidden ? null : performance.now();
    at("message").textContent = "";
  } finally {
    moving = false;
    document.body.classList.remove("busy");
    tell();
  }
  if (number < state.count) picture(number + 1).catch(() => {});
}

function next() {
  if (moving || number === 0) return;
  const answer = answerOf(number);
  if (!complete(answer)) {
    at("message").textContent = answer[0] === null ? "Quality is still missing." : "Real or synthetic is still missing.";
    return;
  }
  if (number < state.count) go(number + 1);
  else stored().then(() => (unanswered() ? go(unanswered()) : tell()), () => {});
}

function tell() {
  if (number === 0) return;
  const [quality, real] = answerOf(number);
  for (const button of document.querySelectorAll("[data-quality]"))
    button.setAttribute("aria-pressed", String(Number(button.dataset.quality) === quality));
  for (const button of document.querySelectorAll("[data-real]"))
    button.setAttribute("aria-pressed", String(button.dataset.real === String(real)));
  const n = state.answers.filter(complete).length;
  at("bar").style.width = `${(100 * n) / state.count}%`;
  at("progress").textContent = `Image ${number} of ${state.count} · ${n} answered`;
  at("next").classList.toggle("not", quality === null || real === null);
  if (n === state.count && pending === null)
    at("message").textContent = `All ${n} images are answered. Thank you! You may still change answers, or close this page.`;
}

function refreshed() {
  learn().then(tell, () => {});
}

const once = (work) => (event) => { if (event.detail < 2) work(); }; // the second click of a double click is none

function listen() {
  for (const button of document.querySelectorAll("[data-quality]"))
    button.addEventListener("click", () => choose({ quality: Number(button.dataset.quality) }));
  for (const button of document.querySelectorAll("[data-real]"))
    button.addEventListener("click", () => choose({ real: button.dataset.real === "true" }));
  at("next").addEventListener("click", once(next));
  at("back").addEventListener("click", () => go(number - 1));
  at("forth").addEventListener("click", () => go(number + 1));
  at("in").addEventListener("click", () => view.zoomed(1.5));
  at("out").addEventListener("click", () => view.zoomed(1 / 1.5));
  at("reset").addEventListener("click", () => view.reset());
  document.addEventListener("keydown", pressed);
  window.addEventListener("popstate", () => returned());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && since !== null) [inView, since] = [seconds(), null];
    else if (!document.hidden && since === null) since = performance.now();
    if (!document.hidden) refreshed(); // another tab may have answered meanwhile
  });
  window.addEventListener("pageshow", (event) => { if (event.persisted) refreshed(); });
}

function pressed(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const key = event.key.toLowerCase();
  const does = {
    r: () => choose({ real: true }),
    s: () => choose({ real: false }),
    enter: next,
    arrowleft: () => go(number - 1),
    arrowright: () => go(number + 1),
    "+": () => view.zoomed(1.25),
    "=": () => view.zoomed(1.25),
    "-": () => view.zoomed(0.8),
    0: () => view.reset(),
  };
  for (const quality of [1, 2, 3, 4, 5]) does[quality] = () => choose({ quality });
  if (!does[key] || (key === "enter" && event.target.tagName === "A")) return;
  event.preventDefault();
  if (!event.repeat || "+=-".includes(key)) does[key]();
}

// The browser's own back and forth; while an answer is on its way the page waits for it.
async function returned() {
  while (moving) await pause(50);
  if (named() !== number) await go(named(), "keep");
}

function named() {
  const n = Number(location.hash.slice(1));
  return Number.isInteger(n) && n >= 1 && n <= state.count ? n : unanswered() || state.count;
}

await learn();
view = new View(at("picture"), state.side, state.levels, WHITE, (text) => { at("window").textContent = text; });
listen();
await recover();
await go(named(), "replace");
