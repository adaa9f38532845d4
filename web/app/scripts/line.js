/**
 * The line to the server over which what moves comes: one per tab, open while the tab is seen. A page says what it
 * wants: parts of its own (`data-part`), or another line (`data-line`), whose rows `debugger.js` takes.
 *
 * `data-live` in the bar says how it stands: `on`; `off`, with the age of what is shown; `busy` where the session has
 * as many lines as it may, and the page is asked for every 5 s instead; `paused` in a tab that nobody sees, and where
 * somebody holds a list (`data-held`).
 */

import { showParts, withheldAgain } from "./parts.js";
import { clockTime, tick } from "./times.js";

const SILENT_MS = 2500;
const AGAIN_MS = 1000;
const HIDDEN_MS = 5000;
const ASK_EVERY_MS = 5000;
const ASKED_TIMES = 6; // before a line is tried again
const WORDS = { on: "live", off: "not live", busy: "every 5 s", paused: "paused" };

const shown = document.querySelector("[data-live]");
let source = null;
let opened = "";
let state = "paused";
let heardAt = 0; // on this machine's clock
let asOf = Date.now(); // on the server's
let again = 0;
let hiding = 0;

if (shown) {
  open();
  setInterval(watch, 1000);
  document.addEventListener("visibilitychange", seen);
  document.addEventListener("htmx:pushedIntoHistory", () => setTimeout(reopen));
  document.addEventListener("line:changed", open);
  document.addEventListener("line:failed", lost);
}

function address() {
  const own = document.querySelector("[data-line]");
  if (own) return own.dataset.line;
  const moves = document.querySelector("main [data-part]");
  return moves ? `/live?page=${encodeURIComponent(location.pathname + location.search)}` : "/live";
}

function open() {
  close();
  if (document.visibilityState === "hidden") return become("paused");
  opened = address();
  heardAt = performance.now();
  source = new EventSource(opened);
  source.addEventListener("beat", (event) => heard(Number(event.data)));
  source.addEventListener("parts", (event) => showParts(JSON.parse(event.data)));
  source.addEventListener("rows", (event) => tell("line:rows", JSON.parse(event.data)));
  source.addEventListener("busy", () => ask());
  source.addEventListener("over", over);
  source.addEventListener("error", lost);
}

function close() {
  clearTimeout(again);
  source?.close();
  source = null;
}

function reopen() {
  if (source && address() !== opened) open();
}

function heard(atMs) {
  heardAt = performance.now();
  asOf = atMs;
  become("on");
  withheldAgain();
}

/** A list of its own is read anew before news go on, so that nothing is missing and nothing there twice. */
function lost() {
  close();
  become("off");
  again = setTimeout(resume, AGAIN_MS);
}

function resume() {
  if (document.querySelector("[data-line]")) tell("line:resume");
  else open();
}

function over() {
  close();
  become("off");
  shown.querySelector("[role=status]").textContent = "signed out";
  clearTimeout(again);
}

/** Every second: whether the line is still there, and how old things are. */
function watch() {
  tick(state === "on" ? asOf : undefined);
  if (source && performance.now() - heardAt > SILENT_MS) lost();
  if (state === "off") showAge();
}

function seen() {
  clearTimeout(hiding);
  if (document.visibilityState === "hidden") {
    hiding = setTimeout(() => {
      close();
      become("paused");
    }, HIDDEN_MS);
  } else if (!source) {
    resume();
  }
}

/** Without a line: the whole page, now and then, for its parts. */
async function ask(times = 0) {
  close();
  become("busy");
  try {
    const answer = await fetch(location.href);
    if (answer.redirected) return over();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const parts = page.querySelectorAll("[data-part]");
    if (answer.ok) showParts(Object.fromEntries(Array.from(parts, (one) => [one.dataset.part, one.innerHTML])));
    asOf = Date.now();
  } catch {
    return lost();
  }
  again = setTimeout(() => (times < ASKED_TIMES ? ask(times + 1) : open()), ASK_EVERY_MS);
}

function become(state_) {
  const next = state_ === "on" && document.querySelector("[data-held]") ? "paused" : state_;
  if (state === next && shown.dataset.live === next) return;
  state = next;
  shown.dataset.live = next;
  shown.querySelector("[role=status]").textContent = WORDS[next];
  shown.querySelector(".age").textContent = "";
  if (next === "off") showAge();
  tell("line:state", next);
}

function showAge() {
  const seconds = Math.max(0, Math.round((performance.now() - heardAt) / 1000));
  shown.querySelector(".age").textContent = `data from ${clockTime(asOf)}, ${seconds} s ago`;
}

function tell(name, detail) {
  document.dispatchEvent(new CustomEvent(name, { detail }));
}
