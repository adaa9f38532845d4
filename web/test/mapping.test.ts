/** What Heap is told in the page, case by case: the very tables that the server's mapping is held to. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { mapIdentify, mapTrack } from "../heap/mapping.ts";
import { readMessage } from "../heap/message.ts";
import type { HeapSettings } from "../heap/types.ts";

interface Case {
  name: string;
  message: Record<string, unknown>;
  settings?: Partial<HeapSettings>;
  expected: Record<string, unknown>;
}

const TABLES = new URL("../../tests/unit/destinations/", import.meta.url);
const IN_THE_PAGE = ["identity", "event", "properties"];

const settings: HeapSettings = {
  appId: "1535634150",
  mapping: "heap",
  heapScript: "current",
  region: "US",
  secureCookie: false,
  disableTextCapture: false,
  junkIdentities: ["undefined"],
};

/** The cases that hold on the server only, each with the reason. */
const serverOnly = new Map<string, string>(
  Object.entries(JSON.parse(readFileSync(new URL("server_only.json", import.meta.url), "utf8"))),
);

for (const table of ["heap_cases.json", "classic_cases.json"]) {
  const { message: common, cases } = JSON.parse(readFileSync(new URL(table, TABLES), "utf8"));
  for (const one of cases as Case[]) {
    test(`${table}: ${one.name}`, () => {
      const agrees = () => compare({ ...common, ...one.message }, one);
      if (serverOnly.has(one.name)) assert.throws(agrees, "it holds in the page too: strike it");
      else agrees();
    });
  }
}

test("every case that is said to hold on the server only is in a table", () => {
  const named = ["heap_cases.json", "classic_cases.json"].flatMap((table) =>
    JSON.parse(readFileSync(new URL(table, TABLES), "utf8")).cases.map((one: Case) => one.name),
  );
  assert.deepEqual([...serverOnly.keys()].filter((name) => !named.includes(name)), []);
});

/** Whether the page tells Heap what the case expects, as far as pages tell it. */
function compare(raw: Record<string, unknown>, { settings: given, expected }: Case): void {
  const message = readMessage(raw);
  const map = { track: mapTrack, identify: mapIdentify }[String(raw.type)];
  const unit = map?.(message, { ...settings, ...given });
  if (expected.discard) {
    assert.equal(unit, undefined);
    return;
  }
  assert.ok(unit, "nothing is sent");
  for (const [field, value] of Object.entries(expected)) {
    if (IN_THE_PAGE.includes(field) && !(raw.type === "track" && field === "identity")) {
      assert.deepEqual(unit[field as keyof typeof unit], value);
    }
  }
}
