/** Which calls Heap may be told when the visitor has changed. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { readMessage } from "../heap/message.ts";
import type { Analytics } from "../heap/types.ts";
import { Visitor } from "../heap/visitor.ts";

interface World {
  visitor: Visitor;
  told: string[];
  kept: Map<string, unknown>;
  user: { userId: string | null; anonymousId: string };
}

/** analytics.js's idea of the visitor, and what Heap is told; `kept` lies in the page's storage from before. */
function world(user: World["user"], kept = new Map<string, unknown>()): World {
  const told: string[] = [];
  const heap = { resetIdentity: () => told.push("resetIdentity") };
  Object.assign(globalThis, { window: { heap } });
  const analytics = {
    user: () => ({ id: () => user.userId, anonymousId: () => user.anonymousId }),
    storage: {
      get: (key: string) => kept.get(key),
      set: (key: string, value: unknown) => void kept.set(key, value),
      clear: (key: string) => void kept.delete(key),
    },
  };
  return { visitor: new Visitor(analytics as unknown as Analytics), told, kept, user };
}

const nobody = () => ({ userId: null, anonymousId: "new" });
const ofNew = readMessage({ anonymousId: "new" });
const ofAnn = readMessage({ userId: "ann", anonymousId: "old" });

test("who logged in on a page before and is gone is logged out, once", () => {
  const { visitor, told, kept } = world(nobody(), new Map([["headgate_identified", 1]]));
  assert.ok(visitor.comesInTime(ofNew));
  visitor.logOut();
  assert.deepEqual(told, ["resetIdentity"]);
  assert.equal(kept.size, 0);
});

test("a visitor whom Heap was never told of is not logged out", () => {
  const { visitor, told } = world(nobody());
  assert.ok(visitor.comesInTime(ofNew));
  visitor.logOut();
  assert.deepEqual(told, []);
});

test("a call from before a logout comes in time until the next visitor's first", () => {
  const { visitor, told } = world(nobody());
  visitor.left();
  assert.ok(visitor.comesInTime(ofAnn));
  assert.deepEqual(told, []);
  assert.ok(visitor.comesInTime(ofNew));
  assert.deepEqual(told, ["resetIdentity"]);
  assert.ok(!visitor.comesInTime(ofAnn));
  assert.deepEqual(told, ["resetIdentity"]);
});

test("calls held back from before this page are followed by the logout", () => {
  const { visitor, told } = world(nobody());
  assert.ok(visitor.comesInTime(ofAnn));
  visitor.logOut();
  assert.deepEqual(told, ["resetIdentity"]);
});

test("without a logout every call counts, also of who was logged in before", () => {
  const { visitor, told } = world({ userId: "bob", anonymousId: "new" });
  assert.ok(visitor.comesInTime(readMessage({ userId: "bob", anonymousId: "new" })));
  assert.ok(visitor.comesInTime(ofAnn));
  assert.deepEqual(told, []);
});

test("one id is enough to know the visitor by, since a site may change the other", () => {
  const hashed = readMessage({ userId: "5f4dcc3b", anonymousId: "new" });
  const own = readMessage({ userId: "bob", anonymousId: "set by the site" });
  for (const message of [hashed, own]) {
    const { visitor, told } = world({ userId: "bob", anonymousId: "new" });
    visitor.left();
    assert.ok(visitor.comesInTime(message));
    assert.deepEqual(told, ["resetIdentity"]);
  }
});

test("a logout in a page that is being left is told again by the next", () => {
  const first = world(nobody());
  first.visitor.loggedIn();
  first.visitor.left();
  first.visitor.logOut(true);
  const second = world(nobody(), first.kept);
  second.visitor.logOut();
  assert.deepEqual([first.told, second.told], [["resetIdentity"], ["resetIdentity"]]);
  assert.equal(second.kept.size, 0);
});
