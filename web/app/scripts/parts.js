/**
 * Puts new content into parts of a page, changing what differs and leaving alone what somebody is at: what has the
 * focus or the selection, what was typed, what was opened. What was left alone is done again with the next beat.
 * An element with `data-keep` belongs to a script, which hears `part:changed` on the part.
 */

import htmx from "htmx.org";
import { Idiomorph } from "idiomorph";

import { showButtons } from "./copying.js";
import { showTimes } from "./times.js";

const withheld = new Map();
let isHeld = false;

/** Shows the content of parts, by name. */
export function showParts(parts) {
  for (const [name, text] of Object.entries(parts)) showPart(name, text);
}

/** Shows what could not be shown before. */
export function withheldAgain() {
  for (const [name, text] of [...withheld]) showPart(name, text);
}

function showPart(name, text) {
  const part = document.getElementById(`part-${name}`);
  withheld.delete(name);
  if (!part) return;
  const fresh = document.createElement("div");
  fresh.innerHTML = text;
  showButtons(fresh);
  showTimes(fresh);
  isHeld = false;
  Idiomorph.morph(part, fresh.childNodes, {
    morphStyle: "innerHTML",
    callbacks: { beforeNodeMorphed: mayMorph, beforeNodeRemoved: (node) => !holds(node) },
  });
  htmx.process(part);
  if (isHeld) withheld.set(name, text);
  part.dispatchEvent(new CustomEvent("part:changed", { bubbles: true }));
}

function mayMorph(old, fresh) {
  if (old instanceof Element) {
    if (old.hasAttribute("data-keep")) return false;
    if (old.matches("details")) fresh.toggleAttribute("open", old.open);
    if (old.matches("dialog[open]") || isTypedIn(old)) return hold();
    return true;
  }
  return old.nodeValue === fresh.nodeValue || !isSelected(old) || hold();
}

function holds(node) {
  if (node.contains(document.activeElement) || isSelected(node)) return !hold();
  if (node instanceof Element && (node.matches("details[open]") || node.querySelector("details[open]"))) return !hold();
  return false;
}

function hold() {
  isHeld = true;
  return false;
}

function isTypedIn(element) {
  if (!element.matches("input, textarea, select")) return false;
  return element === document.activeElement || element.value !== (element.defaultValue ?? element.value);
}

function isSelected(node) {
  const selection = getSelection();
  return selection && !selection.isCollapsed && selection.containsNode(node, true);
}
