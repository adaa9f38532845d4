/**
 * Who the visitor is, for analytics.js and for Heap.
 *
 * `analytics.reset()` makes analytics.js forget the visitor at once, while calls made before are still on
 * their way. Heap hears of the logout after them: with the first call of whoever comes next, and without
 * one as soon as nothing is on its way. A logout that a page could not tell Heap (the integration had not
 * arrived, the page was left) is told by the next page: a note of each login that Heap was told lies
 * where analytics.js keeps its own.
 */

import type { Message } from "./message.ts";
import { callHeap } from "./script.ts";
import type { Analytics } from "./types.ts";

const NOTE_OF_LOGIN = "headgate_identified";

/** Whom Heap takes the visitor for: `former` has logged out, and Heap has not been told yet. */
type InHeap = "unknown" | "former" | "present";

export class Visitor {
  private readonly analytics: Analytics;
  private inHeap: InHeap;

  constructor(analytics: Analytics) {
    this.analytics = analytics;
    const hasLeft = analytics.storage?.get(NOTE_OF_LOGIN) && !analytics.user().id();
    this.inHeap = hasLeft ? "former" : "unknown";
  }

  /** analytics.js has forgotten the visitor. */
  left(): void {
    this.inHeap = "former";
  }

  /** Heap was told who the visitor is. */
  loggedIn(): void {
    this.analytics.storage?.set(NOTE_OF_LOGIN, 1);
  }

  /** Tells Heap of a logout, when there is one to tell. In a page that is being left it may be lost, and is told again. */
  logOut(isPageLeft = false): void {
    if (this.inHeap !== "former") return;
    callHeap("resetIdentity");
    if (!isPageLeft) this.analytics.storage?.clear(NOTE_OF_LOGIN);
    this.inHeap = "present";
  }

  /** Whether Heap may be told of a call now: not when it would be taken for one of the next visitor's. */
  comesInTime(message: Message): boolean {
    if (!this.isOfAnother(message)) {
      this.logOut();
      this.inHeap = "present";
      return true;
    }
    const hasLoggedOut = message.userId && !this.analytics.user().id();
    if (this.inHeap === "former" || !hasLoggedOut) return true;
    if (this.inHeap === "present") return false;
    this.inHeap = "former"; // held back by a page before this one
    return true;
  }

  /** Whether the visitor has changed since the call; one of the ids may be what the site's middleware made of it. */
  private isOfAnother({ userId, anonymousId }: Message): boolean {
    const user = this.analytics.user();
    const isSameUser = userId && userId === String(user.id() ?? "");
    return !isSameUser && anonymousId !== String(user.anonymousId() ?? "");
  }
}
