/**
 * Single keys, listed at `/help/keys`, where they can be switched off. They never act while somebody types, nor
 * together with Ctrl, Alt or Meta. A page takes part by what it holds: rows are links of class `row`, and whatever
 * has `data-key="p"` is clicked by that key.
 */

import { isCopied, say } from "./copying.js";

const KEY = "headgate.keys";
const PLACES = {
  o: "/",
  m: "/messages",
  s: "/sources",
  d: "/destinations",
  a: "/audiences",
  t: "/traits",
  p: "/profiles",
};
let isGoing = false;

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || !areOn()) return;
  if (event.target.closest("input, textarea, select, [contenteditable], dialog")) return;
  const act = isGoing ? goTo : press;
  isGoing = false;
  if (act(event.key, event.target)) event.preventDefault();
});

for (const button of document.querySelectorAll("[data-keys-switch]")) {
  const show = () => (button.textContent = areOn() ? "Switch the keys off" : "Switch the keys on");
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, areOn() ? "off" : "on");
    show();
  });
  show();
}

function press(key, target) {
  if (key === "g") return (isGoing = true);
  if (key === "/") return focus(document.getElementById("search"));
  if (key === "?") return goToAddress("/help/keys");
  if (key === "r") return location.reload() ?? true;
  if (key === "j" || key === "k") return step(key === "j" ? 1 : -1);
  if (key === "c" && target.closest("[data-id]")) return copyId(target);
  const wanted = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  wanted?.click();
  return Boolean(wanted);
}

async function copyId(target) {
  const id = target.closest("[data-id]").dataset.id;
  say((await isCopied(id, target)) ? `${id || "Nothing"} copied` : `Copy it by hand: ${id}`);
}

function goTo(key) {
  return key in PLACES && goToAddress(PLACES[key]);
}

/** Only where the rail or the menu leads, too: what is not there yet is not gone to. */
function goToAddress(path) {
  const link = document.querySelector(`a[href="${path}"]`);
  link?.click();
  return Boolean(link);
}

/** The next row, or the one before it; from the one that is open, where focus is on none. */
function step(by) {
  const rows = [...document.querySelectorAll("main a.row")];
  const open = rows.findIndex((row) => row.closest("tr.selected"));
  const at = rows.includes(document.activeElement) ? rows.indexOf(document.activeElement) : open;
  return focus(rows[at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by]);
}

function focus(element) {
  element?.focus();
  return Boolean(element);
}

function areOn() {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}
