/** What a page may put into a call, and what becomes of it. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { mapIdentify, mapTrack } from "../heap/mapping.ts";
import { isForHeap, readMessage } from "../heap/message.ts";
import type { HeapSettings } from "../heap/types.ts";

const settings: HeapSettings = {
  appId: "1535634150",
  mapping: "heap",
  heapScript: "current",
  region: "US",
  secureCookie: false,
  disableTextCapture: false,
  junkIdentities: ["Undefined", "[object Object]"],
};

function tracked(properties: object): object | undefined {
  return mapTrack(readMessage({ event: "Viewed", properties }), settings)?.properties;
}

test("dates become ISO texts, wherever they stand", () => {
  const at = new Date(Date.UTC(2026, 10, 23, 18, 24));
  assert.deepEqual(tracked({ at, in: { at }, list: [at] }), {
    at: "2026-11-23T18:24:00.000Z",
    "in.at": "2026-11-23T18:24:00.000Z",
    list: '["2026-11-23T18:24:00.000Z"]',
  });
});

test("what JSON cannot hold is left out", () => {
  const odd = { a: undefined, b: () => 1, c: NaN, d: Infinity, e: new Date(NaN), f: Symbol("f") };
  assert.deepEqual(tracked({ ...odd, kept: 1 }), { kept: 1 });
});

test("things that say what their JSON is are taken at their word", () => {
  assert.deepEqual(tracked({ price: { toJSON: () => "9.90" } }), { price: "9.90" });
});

test("half a surrogate pair becomes U+FFFD, in names and arrays too, and escapes stay", () => {
  assert.deepEqual(tracked({ "\ud800": "\udfff", list: ["\ud83d", "\\ud800", "😀"] }), {
    "\ufffd": "\ufffd",
    list: '["\ufffd","\\\\ud800","😀"]',
  });
});

test("texts are cut to 1,023 characters and longer names dropped", () => {
  const properties = { text: "😀".repeat(1024), ["k".repeat(1024)]: 1, ["k".repeat(1023)]: 2 };
  assert.deepEqual(tracked(properties), {
    text: "😀".repeat(1023),
    ["k".repeat(1023)]: 2,
  });
});

test("who and what are never cut", () => {
  const fits = mapIdentify(readMessage({ userId: "😀".repeat(255) }), settings);
  assert.equal(fits?.identity, "😀".repeat(255));
  assert.equal(mapIdentify(readMessage({ userId: "u".repeat(256) }), settings), undefined);
  assert.equal(mapTrack(readMessage({ event: "e".repeat(1025) }), settings), undefined);
});

test("an id that names nobody changes nobody", () => {
  for (const userId of ["undefined", " UNDEFINED ", "[object Object]"]) {
    const message = readMessage({ userId, traits: { plan: "pro" } });
    assert.equal(mapIdentify(message, settings), undefined);
  }
});

test("without an id the traits still go, in both mappings", () => {
  const message = readMessage({ userId: null, traits: { plan: "pro" } });
  assert.deepEqual(mapIdentify(message, settings), { identity: "", properties: { plan: "pro" } });
  const classic = mapIdentify(message, { ...settings, mapping: "segment-classic" });
  assert.deepEqual(classic?.properties, { plan: "pro", segment_library: "" });
});

const table = new URL("../../tests/browser/identity_cases.json", import.meta.url);
const { junkIdentities, cases } = JSON.parse(readFileSync(table, "utf8"));

for (const [userId, expected] of cases as [string, string][]) {
  test(`the id ${JSON.stringify(userId)} counts in the page as on the server: ${expected}`, () => {
    const unit = mapIdentify(readMessage({ userId, traits: {} }), { ...settings, junkIdentities });
    const counts = unit ? (unit.identity ? "somebody" : "no_user_id") : "junk_identity";
    assert.equal(counts, expected);
    if (expected === "somebody") assert.equal(unit?.identity, userId);
  });
}

test("the integrations object counts as on the server", () => {
  const rows: [object | undefined, boolean][] = [
    [undefined, true],
    [{ all: false }, false],
    [{ All: true, all: false }, true],
    [{ All: null, all: false }, false],
    [{ Heap: { x: 1 }, all: false }, true],
    [{ Heap: null, all: false }, false],
    [{ Heap: false, All: true }, false],
  ];
  for (const [integrations, expected] of rows) {
    assert.equal(isForHeap(readMessage({ integrations })), expected, JSON.stringify(integrations));
  }
});
