/**
 * Nested properties as the flat ones Heap takes: `{"a": {"b": 1}}` becomes `{"a.b": 1}`.
 *
 * The twin of the server's `flatten.py`: null, `{}` and numbers that JSON cannot hold are dropped,
 * arrays become JSON text, texts are cut to 1,023 characters, longer names are dropped. Where two
 * paths make one name, the last wins.
 */

import type { Json, Members, Properties, Scalar } from "./types.ts";

const MAX_CHARACTERS = 1023;

/** In what the mappings differ. */
export interface Dialect {
  prefix(name: string): string;
  date(text: string): string;
  arrayText(items: Json[]): string;
}

/** The properties without nesting. */
export function flatten(members: Members, dialect: Dialect): Properties {
  const flat = new Map<string, Scalar>();
  addMembers(flat, "", members, dialect);
  return Object.fromEntries([...flat].filter(([name]) => cut(name) === name));
}

/** The text as Heap gets it. */
export function propertyText(text: string, dialect: Dialect): string {
  return cut(dialect.date(text));
}

function addMembers(
  flat: Map<string, Scalar>,
  prefix: string,
  members: Members,
  dialect: Dialect,
): void {
  for (const [key, value] of Object.entries(members)) {
    const name = prefix + key;
    if (typeof value === "string") flat.set(name, propertyText(value, dialect));
    else if (Array.isArray(value)) flat.set(name, cut(dialect.arrayText(value)));
    else if (typeof value === "object" && value) {
      addMembers(flat, dialect.prefix(name), value, dialect);
    } else if (value !== null) flat.set(name, value);
  }
}

/** Characters are counted as the server counts them: a pair of surrogates is one. */
function cut(text: string): string {
  return text.length <= MAX_CHARACTERS ? text : [...text].slice(0, MAX_CHARACTERS).join("");
}
