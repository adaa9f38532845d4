/** The built files against the published package: what was changed in analytics.js, and nothing else. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";

import { assertNoOtherHost, NEUTRAL_PATHS, NOWHERE, REPLACEMENTS, replaced, withoutMap } from "../hosts.mjs";

const PUBLISHED = new URL("../node_modules/@segment/analytics-next/", import.meta.url);
const BUILT = new URL("../../src/headgate/web/", import.meta.url);
const HEAP_MAX_BYTES = 3.2 * 1024;

const built = (name: string) => readFileSync(new URL(name, BUILT));
const published = (name: string) => readFileSync(new URL(`dist/umd/${name}`, PUBLISHED), "utf8");
const withoutBanner = (text: string) => text.slice(text.indexOf("\n") + 1);
const back = (rows: [string, string, number][]) =>
  rows.map(([from, to, times]): [string, string, number] => [to, from, times]);

test("undone, the replacements give the published library", () => {
  const library = withoutBanner(built("analytics.js").toString());
  assert.notEqual(library, published("standalone.js"));
  assert.equal(replaced(library, back(REPLACEMENTS)), withoutMap(published("standalone.js")));
});

test("the neutral library differs from the other in its paths only", () => {
  const neutral = withoutBanner(built("analytics.neutral.js").toString());
  const library = withoutBanner(built("analytics.js").toString());
  assert.equal(replaced(neutral, back(NEUTRAL_PATHS)), library);
});

test("the chunks are as published, all of them", () => {
  const names = readdirSync(new URL("bundles/", BUILT)).filter((name) => name.endsWith(".js"));
  for (const name of names) assert.equal(built(`bundles/${name}`).toString(), withoutMap(published(name)));
  const asked = published("standalone.js").match(/"[0-9a-f]{20}"/g)?.map((hash) => hash.slice(1, -1));
  assert.ok(asked?.length);
  for (const hash of asked) assert.ok(names.some((name) => name.includes(hash)), hash);
});

test("no file points to a source map, which nobody could load", () => {
  for (const name of readdirSync(BUILT, { recursive: true }).map(String)) {
    if (name.endsWith(".js")) assert.ok(!built(name).includes("sourceMappingURL"), name);
  }
  assert.equal(withoutMap("a\n//# sourceMappingURL=a.js.map\n"), "a");
  assert.equal(withoutMap("a();//# sourceMappingURL"), "a();//# sourceMappingURL");
});

test("a text that is not there as often as its row says stops the build", () => {
  assert.throws(() => replaced("a a", [["a", "b", 1]]), /found 2 times, expected 1/);
  assert.throws(() => replaced("", [["a", "b", 1]]), /found 0 times, expected 1/);
});

test("a host of Segment's that no row names stops the build", () => {
  const library = built("analytics.js").toString();
  assertNoOtherHost([library]);
  for (const host of ["cdn.segment.com", "api.segment.io", "api.segmentapis.com"]) {
    assert.throws(() => assertNoOtherHost([library, `fetch("https://${host}/v2")`]), /still named/);
  }
  assert.ok(library.includes(NOWHERE));
});

test("the licence and the version are with the library", () => {
  const licence = readFileSync(new URL("LICENSE.MD", PUBLISHED), "utf8");
  assert.equal(built("bundles/LICENSE.md").toString(), licence);
  const { version } = JSON.parse(readFileSync(new URL("package.json", PUBLISHED), "utf8"));
  assert.ok(built("analytics.js").toString().startsWith(`/*! analytics.js ${version}, Copyright 2021 Segment`));
});

test("packed files hold what the plain ones hold", () => {
  const names = ["analytics.js", "analytics.neutral.js", "heap.js"];
  const chunks = readdirSync(new URL("bundles/", BUILT)).filter((name) => name.endsWith(".js"));
  for (const name of [...names, ...chunks.map((chunk) => `bundles/${chunk}`)]) {
    assert.deepEqual(gunzipSync(built(`${name}.gz`)), built(name));
    assert.deepEqual(brotliDecompressSync(built(`${name}.br`)), built(name));
  }
});

test("the Heap integration is small", () => {
  assert.ok(built("heap.js.gz").length < HEAP_MAX_BYTES);
});
