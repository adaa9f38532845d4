/** The events of an integration, as analytics.js listens to them: `initialize` and `ready`. */

type Listener = () => void;

export class Emitter {
  private listeners: Record<string, Listener[]> = {};

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
}
