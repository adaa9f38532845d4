/**
 * The mapping `segment-classic`: the properties that Segment's classic Heap destination sends. The
 * twin of the server's `classic.py`, which says what that means and where it was learned.
 */

import { classicUtcDate } from "./dates.ts";
import { type Dialect, flatten, propertyText } from "./flatten.ts";
import type { Message } from "./message.ts";
import type { Json, Members, Properties } from "./types.ts";

const CLASSIC: Dialect = {
  prefix: (name) => (name ? `${name}.` : ""),
  date: classicUtcDate,
  arrayText: (items) =>
    JSON.stringify(items, (_, value) =>
      typeof value === "string" ? classicUtcDate(value) : value,
    ),
};

/** The user properties of an identify call. */
export function classicUserProperties(message: Message, traits: Members): Properties {
  const email = find(traits, "email") || emailIn(message.userId);
  const named = message.userId ? { ...traits, id: message.userId } : traits;
  return asSent(message, named, email);
}

/** The properties of a track call. */
export function classicEventProperties(message: Message, properties: Members): Properties {
  const email =
    find(find(message.context, "traits"), "email") ||
    find(properties, "email") ||
    find(message.context, "traits.email") ||
    emailIn(message.userId);
  return asSent(message, properties, email);
}

function asSent(message: Message, properties: Members, email: Json | undefined): Properties {
  if (email) {
    const { email: _, ...others } = properties;
    properties = { ...others, _email: email };
  }
  const library = find(message.context, "library.name");
  return {
    ...flatten(properties, CLASSIC),
    segment_library: typeof library === "string" ? propertyText(library, CLASSIC) : "",
  };
}

/**
 * The value at a dotted path, whatever case and punctuation its keys have. The first key that fits
 * decides, also when its value turns out to be null.
 */
function find(members: Json | undefined, path: string): Json | undefined {
  if (typeof members !== "object" || !members || Array.isArray(members)) return undefined;
  for (const [key, value] of Object.entries(members)) {
    const name = key.replace(/[^a-zA-Z0-9.]+/g, "").toLowerCase();
    if (path === name) return value;
    if (path.startsWith(`${name}.`)) return find(value, path.slice(name.length + 1));
  }
  return undefined;
}

function emailIn(userId: string): string | undefined {
  return /.@.+\../.test(userId) ? userId : undefined;
}
