/**
 * Times as people want to read them: in UTC, as the server writes them, or in the browser's own zone; the choice is
 * remembered. Ages (`data-age`) move on by themselves.
 */

const KEY = "headgate.clock";
const button = document.querySelector("[data-clock]");
let offsetMs = 0; // the server's clock against this one

if (button) {
  button.addEventListener("click", () => {
    remember(isLocal() ? "utc" : "local");
    showChoice();
    showTimes(document);
  });
  showChoice();
}

/** Writes the times within an element as they were chosen to be. */
export function showTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.dataset.utc ??= time.textContent;
    if (time.hasAttribute("data-age")) time.textContent = ago(time);
    else time.textContent = isLocal() ? local(time) : time.dataset.utc;
  }
}

/** A second has passed; `nowMs` is the server's time, where it is known. */
export function tick(nowMs) {
  if (nowMs !== undefined) offsetMs = nowMs - Date.now();
  for (const time of document.querySelectorAll("time[data-age]")) {
    const words = ago(time);
    if (time.textContent !== words) time.textContent = words;
  }
}

/** The time of day of an instant, as times were chosen to be. */
export function clockTime(atMs) {
  const at = new Date(atMs);
  return isLocal() ? at.toLocaleTimeString(undefined, { hourCycle: "h23" }) : at.toISOString().slice(11, 19);
}

function ago(time) {
  const at = new Date(time.getAttribute("datetime"));
  const seconds = Math.max(0, Math.floor((Date.now() + offsetMs - at) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ago`;
  return isLocal() ? local(time) : time.dataset.utc;
}

function local(time) {
  const at = new Date(time.getAttribute("datetime"));
  const day = { day: "numeric", month: "short", year: "numeric" };
  const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  if (time.dataset.form === "clock") return at.toLocaleTimeString(undefined, { ...clock, fractionalSecondDigits: 3 });
  return at.toLocaleString(undefined, { ...day, ...clock, timeZoneName: "short" });
}

function showChoice() {
  button.textContent = isLocal() ? "Local time" : "UTC";
  button.title = isLocal() ? "Show times in UTC" : "Show times in this browser's zone";
}

function isLocal() {
  try {
    return localStorage.getItem(KEY) === "local";
  } catch {
    return false;
  }
}

function remember(choice) {
  try {
    localStorage.setItem(KEY, choice);
  } catch {
    return; // for this page alone then
  }
}
