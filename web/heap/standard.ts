/** The mapping `heap`, the default: the twin of the server's `standard.py`, which says why. */

import { utcDate } from "./dates.ts";
import { type Dialect, flatten, propertyText } from "./flatten.ts";
import { type Message, membersOf } from "./message.ts";
import type { Members, Properties } from "./types.ts";

const STANDARD: Dialect = {
  prefix: (name) => `${name}.`,
  date: utcDate,
  arrayText: (items) => JSON.stringify(items),
};

/** The user properties of an identify call. Heap forbids the names `id` and `user_id`. */
export function userProperties(message: Message, traits: Members): Properties {
  const flat = Object.entries(flatten(traits, STANDARD));
  const allowed = flat.filter(([name]) => !/^(user_)?id$/i.test(name));
  return withLibrary(Object.fromEntries(allowed), message);
}

/** The properties of a track call. */
export function eventProperties(message: Message, properties: Members): Properties {
  return withLibrary(flatten(properties, STANDARD), message);
}

/** Says which library sent the message, unless the sender uses the name for something else. */
function withLibrary(flat: Properties, message: Message): Properties {
  const { name } = membersOf(message.context.library);
  if (!name || typeof name !== "string" || "segment_library" in flat) return flat;
  return { ...flat, segment_library: propertyText(name, STANDARD) };
}
