/** Which texts are dates: the table that the server's dates are held to. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { classicUtcDate, utcDate } from "../heap/dates.ts";

const table = new URL("../../tests/unit/destinations/date_cases.json", import.meta.url);
const cases = JSON.parse(readFileSync(table, "utf8")).cases as [string, string | null][];

for (const [text, expected] of cases) {
  test(`${JSON.stringify(text)} is ${expected ?? "no date"}`, () => {
    assert.equal(classicUtcDate(text), expected ?? text);
  });
}

test("a zone after a space counts, except in the classic mapping", () => {
  assert.equal(utcDate("2016-01-01 10:00:00+02:00"), "2016-01-01T08:00:00.000Z");
  assert.equal(classicUtcDate("2016-01-01 10:00:00+02:00"), "2016-01-01T10:00:00.000Z");
});
