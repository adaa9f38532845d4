/**
 * Heap as an integration of analytics.js: it loads Heap's script and passes calls on to it, in the order
 * in which the page made them.
 *
 * analytics.js holds back calls until an integration has said `ready`, and while the browser is offline,
 * and keeps them in the page's storage meanwhile. This one therefore always says `ready`: when Heap has
 * run, when it cannot be loaded, and at the latest after three seconds, since Heap's stub queues calls
 * anyhow. Left to itself, analytics.js would pass on what it held back at some moment of the next five
 * seconds, behind what was called since, or never; so it is made to do it at once.
 */

import { Emitter } from "./emitter.ts";
import { mapIdentify, mapTrack } from "./mapping.ts";
import { isForHeap, type Message, readMessage } from "./message.ts";
import { callHeap, loadHeap } from "./script.ts";
import type { Analytics, Facade, HeapSettings, Plugin } from "./types.ts";
import { Visitor } from "./visitor.ts";

const NAME = "Heap";
const READY_WITHIN_MS = 3000;
const ON_THEIR_WAY_MS = 100; // analytics.js takes a few milliseconds from a call to here

export class HeapIntegration extends Emitter {
  /** Set by analytics.js before it calls `initialize`. */
  analytics!: Analytics;

  private readonly settings: HeapSettings;
  private visitor!: Visitor;
  private isReady = false;
  private hasFailed = false;

  constructor(settings: HeapSettings) {
    super();
    this.settings = settings;
  }

  /** On the prototype, where analytics.js looks for it. */
  get name(): string {
    return NAME;
  }

  initialize(): void {
    this.visitor = new Visitor(this.analytics);
    this.analytics.on("reset", () => this.reset());
    window.addEventListener("online", () => this.passOnHeldBack());
    window.addEventListener("pagehide", () => this.logOut(true));
    window.addEventListener("pageshow", (shown) => this.forgetHeldBack(shown));
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
    const message = readMessage(facade.rawEvent());
    if (!isForHeap(message)) return;
    if (method === "identify") this.identify(message);
    else if (method === "track") this.track(message);
  }

  private identify(message: Message): void {
    const unit = mapIdentify(message, this.settings);
    if (!unit || !this.visitor.comesInTime(message)) return;
    if (unit.identity) {
      callHeap("identify", unit.identity);
      this.visitor.loggedIn();
    }
    callHeap("addUserProperties", unit.properties);
  }

  private track(message: Message): void {
    const unit = mapTrack(message, this.settings);
    if (!unit || !this.visitor.comesInTime(message)) return;
    callHeap("track", unit.event, unit.properties);
  }

  private reset(): void {
    this.visitor.left();
    setTimeout(() => this.logOut(), ON_THEIR_WAY_MS);
  }

  private ready(): void {
    if (this.isReady) return;
    this.isReady = true;
    this.emit("ready");
    this.passOnHeldBack();
  }

  /** As analytics.js would do it, the site's middleware included. */
  private passOnHeldBack(): void {
    if (!this.isReady || !navigator.onLine) return;
    const plugin = this.plugin;
    for (let left = plugin?.buffer.length ?? 0; left > 0; left--) {
      const held = plugin?.buffer.pop();
      // What cannot be passed on must not hold up what comes behind it.
      if (held) plugin?.[held.event.type](held).catch(() => {});
    }
    setTimeout(() => this.logOut(), ON_THEIR_WAY_MS);
  }

  /**
   * A page that a browser has put aside and shows again still has what it held back; but analytics.js left
   * that to the next page when this one was left.
   */
  private forgetHeldBack(shown: PageTransitionEvent): void {
    if (!shown.persisted || this.analytics.options.disableClientPersistence) return;
    while (this.plugin?.buffer.pop());
  }

  /** What is still held back was called before the logout: it goes first. */
  private logOut(isPageLeft = false): void {
    if (this.isReady && !this.plugin?.buffer.length) this.visitor.logOut(isPageLeft);
  }

  private get plugin(): Plugin | undefined {
    return this.analytics.queue.plugins.find((one) => one.name === NAME && one.buffer);
  }

  /** Every later message says that Heap failed here, so that the server may deliver instead. */
  private giveUp(): void {
    this.hasFailed = true;
    this.analytics.queue.failedInitializations.push(NAME);
  }
}
