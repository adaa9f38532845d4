/** What the parts of the integration hand each other, and what they rely on outside. */

export type Scalar = string | number | boolean;
export type Properties = Record<string, Scalar>;
export type Json = null | Scalar | Json[] | { [name: string]: Json };
export type Members = { [name: string]: Json };

/** The destination's settings as the CDN lists them, over which a page may lay its own. */
export interface HeapSettings {
  appId: string;
  mapping: "heap" | "segment-classic";
  heapScript: "current" | "classic";
  region: "US" | "EU";
  scriptHost?: string;
  secureCookie: boolean;
  disableTextCapture: boolean;
  ingestServer?: string;
  junkIdentities: string[];
}

/** What analytics.js gives an integration: https://www.npmjs.com/package/@segment/facade */
export interface Facade {
  rawEvent(): unknown;
}

/** The part of analytics.js that the integration uses. */
export interface Analytics {
  on(event: "reset", callback: () => void): unknown;
  options: { disableClientPersistence?: boolean };
  queue: { failedInitializations: string[]; plugins: Plugin[] };
  /** Where the site lets analytics.js keep things. Older versions of the npm package do not have it. */
  storage?: {
    get(key: string): unknown;
    set(key: string, value: unknown): void;
    clear(key: string): void;
  };
  user(): { id(): unknown; anonymousId(): unknown };
}

/** What analytics.js puts around an integration; `buffer` holds back calls, oldest first. */
export type Plugin = { name: string; buffer: { length: number; pop(): HeldBack | undefined } } & {
  [type in HeldBack["event"]["type"]]: (call: HeldBack) => Promise<unknown>;
};

export interface HeldBack {
  event: { type: "identify" | "track" | "group" | "alias" };
}

/** Heap's API: the stub until the script has run, then the script's own. */
export type Heap = Record<string, unknown>;

/** What Heap's current script calls, in order, once it has run. */
export interface ReadyCallback {
  name: string;
  fn: () => void;
}

declare global {
  interface Window {
    heap?: Heap | unknown[];
    heapReadyCb?: { push(entry: ReadyCallback): unknown };
    heapDeps?: string[];
    heapLoader?: () => void;
    heapIntegration?: unknown;
  }
}
