/**
 * A call as the server would receive it. Pages may put anything into a call (dates, undefined, things
 * with a `toJSON`); what its JSON says is what both sides map, so that they cannot disagree.
 */

import { isBlank } from "./text.ts";
import type { Json, Members } from "./types.ts";

export interface Message {
  /** Empty when the user is not known. */
  userId: string;
  anonymousId: string;
  event: string;
  traits: Members;
  properties: Members;
  context: Members;
  integrations: Members;
}

/** The message in what analytics.js hands over. */
export function readMessage(raw: unknown): Message {
  const fields = JSON.parse(wellFormed(JSON.stringify(raw))) as Members;
  return {
    userId: identityText(fields.userId),
    anonymousId: identityText(fields.anonymousId),
    event: typeof fields.event === "string" ? fields.event : "",
    traits: membersOf(fields.traits),
    properties: membersOf(fields.properties),
    context: membersOf(fields.context),
    integrations: membersOf(fields.integrations),
  };
}

/** Whether the call's integrations object lets it go to Heap; analytics.js itself knows no `all`. */
export function isForHeap({ integrations }: Message): boolean {
  return (integrations.Heap ?? integrations.All ?? integrations.all) !== false;
}

/** Blanks name nobody. */
function identityText(id: Json | undefined): string {
  const text = typeof id === "string" || typeof id === "number" ? String(id) : "";
  return isBlank(text) ? "" : text;
}

/** The value when it is an object; anything else counts as an empty one. */
export function membersOf(value: Json | undefined): Members {
  return typeof value === "object" && value && !Array.isArray(value) ? value : {};
}

/** JSON with U+FFFD for every half of a surrogate pair, which is the only one written as an escape. */
function wellFormed(json: string): string {
  return json.replace(/\\(u[dD][89a-fA-F][0-9a-fA-F]{2}|[^])/g, (escape, code: string) =>
    code.length > 1 ? "\ufffd" : escape,
  );
}
