/**
 * Heap's own script: put into the page once, behind a stub that queues calls until it has run.
 *
 * Both generations: the current one (a queue of closures, `heapReadyCb`) and the classic one (an array
 * of calls). Names and stubs are those of Heap's snippets: https://developers.heap.io/docs/web,
 * https://developers.heap.io/docs/api-reference
 */

import type { Heap, HeapSettings, ReadyCallback } from "./types.ts";

const CURRENT_METHODS =
  "init startTracking stopTracking track resetIdentity identify identifyHashed getSessionId getUserId " +
  "getIdentity addUserProperties addEventProperties removeEventProperty clearEventProperties " +
  "addAccountProperties addAdapter addTransformer addTransformerFn onReady addPageviewProperties " +
  "removePageviewProperty clearPageviewProperties trackPageview";
const CLASSIC_METHODS =
  "addEventProperties addUserProperties clearEventProperties identify resetIdentity " +
  "removeEventProperty setEventProperties track unsetEventProperty";

/** What became of the script. `failed`: it could not be loaded, as with an ad blocker. */
export type Outcome = "ran" | "failed";

/** Loads Heap unless the page has it already; `done` is called later, when Heap has run or never will. */
export function loadHeap(settings: HeapSettings, done: (outcome: Outcome) => void): void {
  if (isHeap(window.heap)) {
    queueMicrotask(() => done("ran"));
    return;
  }
  const isClassic = settings.heapScript === "classic";
  window.heap = isClassic ? classicStub(settings) : currentStub(settings);
  const script = document.createElement("script");
  script.async = true;
  script.src = scriptUrl(settings);
  script.onerror = () => done("failed");
  if (isClassic) script.onload = () => done("ran");
  else window.heapReadyCb?.push({ name: "headgate", fn: () => done("ran") });
  document.head.appendChild(script);
}

/** Calls Heap, or its stub; a method that this generation of Heap lacks is passed over. */
export function callHeap(method: string, ...args: unknown[]): void {
  const heap = window.heap as Heap | undefined;
  const call = heap?.[method];
  if (typeof call === "function") call.apply(heap, args);
}

/** Whether this is Heap or its stub; an element with the id `heap` is neither. */
function isHeap(heap: unknown): boolean {
  return typeof (heap as Heap | undefined)?.track === "function";
}

function currentStub(settings: HeapSettings): Heap {
  const ready = (window.heapReadyCb ??= [] as ReadyCallback[]);
  const stub = stubOf(CURRENT_METHODS, (name, args) =>
    ready.push({ name, fn: () => callHeap(name, ...args) }),
  );
  stub.envId = settings.appId;
  stub.clientConfig = {
    ...pageConfig(settings),
    ...(settings.ingestServer && { ingestServer: settings.ingestServer }),
    shouldFetchServerConfig: false,
  };
  return stub;
}

function classicStub(settings: HeapSettings): Heap {
  const stub = stubOf(CLASSIC_METHODS, (name, args) =>
    (stub as unknown as unknown[]).push([name, ...args]),
  );
  stub.config = {
    ...pageConfig(settings),
    ...(settings.ingestServer && { trackingServer: settings.ingestServer }),
  };
  stub.appid = settings.appId;
  return stub;
}

function stubOf(methods: string, queue: (name: string, args: unknown[]) => void): Heap {
  const stub = [] as unknown as Heap;
  for (const name of methods.split(" ")) stub[name] = (...args: unknown[]) => queue(name, args);
  return stub;
}

function pageConfig({ secureCookie, disableTextCapture }: HeapSettings): object {
  return {
    ...(secureCookie && { secureCookie }),
    ...(disableTextCapture && { disableTextCapture }),
  };
}

function scriptUrl({ appId, heapScript, region, scriptHost }: HeapSettings): string {
  const isOverHttp = scriptHost && location.protocol === "http:"; // a host of one's own may lack https
  const base = isOverHttp ? "http://" : "https://";
  if (heapScript === "classic") {
    return `${base}${scriptHost || "cdn.heapanalytics.com"}/js/heap-${appId}.js`;
  }
  const ofRegion = `cdn.${region === "EU" ? "eu" : "us"}.heap-api.com`;
  return `${base}${scriptHost || ofRegion}/config/${appId}/heap_config.js`;
}
