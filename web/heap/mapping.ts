/**
 * The mapping: a message in, what Heap is to be told out. The twin of the server's `mapping.py`;
 * both are held to the same table of cases. One thing differs: here Heap knows who the user is, so
 * that anonymous calls count.
 */

import { classicEventProperties, classicUserProperties } from "./classic.ts";
import type { Message } from "./message.ts";
import { eventProperties, userProperties } from "./standard.ts";
import { stripped } from "./text.ts";
import type { HeapSettings, Properties } from "./types.ts";

const MAX_IDENTITY_CHARACTERS = 255;
const MAX_EVENT_NAME_CHARACTERS = 1024;

const MAPPINGS = {
  heap: { user: userProperties, event: eventProperties },
  "segment-classic": { user: classicUserProperties, event: classicEventProperties },
};

/** An empty `identity` leaves the user as Heap knows them. */
export interface UserUnit {
  identity: string;
  properties: Properties;
}

export interface EventUnit {
  event: string;
  properties: Properties;
}

/** What an identify call sets on the user; nothing when the id could make one user of several. */
export function mapIdentify(message: Message, settings: HeapSettings): UserUnit | undefined {
  const { userId, traits } = message;
  if (isLonger(userId, MAX_IDENTITY_CHARACTERS) || isJunk(userId, settings)) return undefined;
  return { identity: userId, properties: MAPPINGS[settings.mapping].user(message, traits) };
}

/** What a track call records; nothing when its event has no name, or one that Heap would not store. */
export function mapTrack(message: Message, settings: HeapSettings): EventUnit | undefined {
  const { event, properties } = message;
  if (!event || isLonger(event, MAX_EVENT_NAME_CHARACTERS)) return undefined;
  return { event, properties: MAPPINGS[settings.mapping].event(message, properties) };
}

function isJunk(userId: string, settings: HeapSettings): boolean {
  const plain = (text: string) => stripped(text).toLowerCase();
  return settings.junkIdentities.some((junk) => plain(junk) === plain(userId));
}

function isLonger(text: string, characters: number): boolean {
  return text.length > characters && [...text].length > characters;
}
