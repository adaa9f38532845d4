/**
 * Heap as an integration of analytics.js: it loads Heap's script and passes calls on to it.
 *
 * analytics.js holds back calls until an integration has said `ready` and keeps them in the page's
 * storage meanwhile. This one therefore always says it: when Heap has run, when it cannot be loaded,
 * and at the latest after three seconds, since Heap's stub queues calls anyhow.
 */

import { mapIdentify, mapTrack } from "./mapping.ts";
import { type Message, readMessage } from "./message.ts";
import { callHeap, loadHeap } from "./script.ts";
import type { Analytics, Facade, HeapSettings } from "./types.ts";

const NAME = "Heap";
const READY_WITHIN_MS = 3000;

type Listener = () => void;

export class HeapIntegration {
  /** Set by analytics.js before it calls `initialize`. */
  analytics?: Analytics;

  private readonly settings: HeapSettings;
  private listeners: Record<string, Listener[]> = {};
  private isReady = false;
  private hasFailed = false;
  private resetAtMs = -Infinity;

  constructor(settings: HeapSettings) {
    this.settings = settings;
  }

  /** On the prototype, where analytics.js looks for it. */
  get name(): string {
    return NAME;
  }

  initialize(): void {
    this.analytics?.on("reset", () => this.reset());
    this.emit("initialize");
    setTimeout(() => this.ready(), READY_WITHIN_MS);
    loadHeap(this.settings, (outcome) => {
      if (outcome === "failed") this.giveUp();
      this.ready();
    });
  }

  loaded(): boolean {
    return this.isReady;
  }

  /** Takes a call: its method and analytics.js's view of it. */
  invoke(method: string, facade: Facade): void {
    if (this.hasFailed) return;
    if (method === "identify") this.identify(readMessage(facade.rawEvent()));
    else if (method === "track") this.track(readMessage(facade.rawEvent()));
  }

  on(event: string, listener: Listener): this {
    (this.listeners[event] ??= []).push(listener);
    return this;
  }

  once(event: string, listener: Listener): this {
    const first = () => {
      this.off(event, first);
      listener();
    };
    return this.on(event, first);
  }

  off(event: string, listener: Listener): this {
    this.listeners[event] = (this.listeners[event] ?? []).filter((one) => one !== listener);
    return this;
  }

  emit(event: string): this {
    for (const listener of this.listeners[event] ?? []) listener();
    return this;
  }

  private identify(message: Message): void {
    const unit = mapIdentify(message, this.settings);
    // A call that was held back must not log in again who has logged out since.
    if (!unit || message.calledAtMs < this.resetAtMs) return;
    if (unit.identity) callHeap("identify", unit.identity);
    callHeap("addUserProperties", unit.properties);
  }

  private track(message: Message): void {
    const unit = mapTrack(message, this.settings);
    if (unit) callHeap("track", unit.event, unit.properties);
  }

  private reset(): void {
    this.resetAtMs = Date.now();
    callHeap("resetIdentity");
  }

  private ready(): void {
    if (this.isReady) return;
    this.isReady = true;
    this.emit("ready");
  }

  /** Every later message says that Heap failed here, so that the server may deliver instead. */
  private giveUp(): void {
    this.hasFailed = true;
    this.analytics?.queue.failedInitializations.push(NAME);
  }
}
