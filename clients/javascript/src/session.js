// One stream on a connection: source on one side, events on the other. Knows no socket.

import { ProtocolError, asException } from "./errors.js";

/** @typedef {import("../index.d.ts").Event} Event */
/** @typedef {import("../index.d.ts").SessionStarted} SessionStarted */
/** @typedef {import("../index.d.ts").Write} Write */

export class Session {
  /** @type {import("../index.d.ts").Done | null} */
  done = null;
  #client;
  /** @type {SessionStarted | null} */
  #started = null;

  /** @param {import("./client.js").Client} client */
  constructor(client) {
    this.#client = client;
  }

  /** @returns {SessionStarted} */
  get started() {
    if (!this.#started) throw new ProtocolError("expected a session that has started; got one that has not");
    return this.#started;
  }

  get n() {
    return this.#client.protocol.n;
  }

  /** Waits for the server's answer to the start. Throws ServerError if it is a refusal. */
  async begin() {
    for (;;) {
      const event = await this.#next();
      if (event?.type === "error") throw asException(event);
      if (event?.type === "session.started") {
        this.#started = event;
        return;
      }
      // Else of a newer server: nobody iterates yet.
    }
  }

  /** @param {string} text */
  async send(text) {
    if (this.#isCurrent()) await this.#client.send(this.#client.protocol.append(text), true);
  }

  /** @param {ArrayBuffer | ArrayBufferView} samples */
  async sendAudio(samples) {
    if (this.#isCurrent()) await this.#client.send(this.#client.protocol.audio(samples), true);
  }

  async end() {
    if (this.#isCurrent()) await this.#client.send(this.#client.protocol.end(), true);
  }

  /** @param {{ tier?: string, threshold?: number }} change */
  async update(change) {
    if (this.#isCurrent()) await this.#client.send(this.#client.protocol.update(change), false);
  }

  async cancel() {
    if (this.#isCurrent()) await this.#client.send(this.#client.protocol.cancel(), false);
  }

  #isCurrent() {
    return this.#client.current === this;
  }

  /** The next event, null after the last one. @returns {Promise<Event | null>} */
  async #next() {
    const isOver = () => this.done !== null || !this.#isCurrent();
    await this.#client.until(() => isOver() || this.#client.events.length > 0);
    if (this.done) return null;
    if (isOver()) throw new ProtocolError("expected a session with a connection; got one whose connection a later session has");
    const event = this.#client.events.shift() ?? null;
    if (event?.type === "done") this.done = event;
    return event;
  }

  /** @returns {AsyncIterator<Event>} */
  [Symbol.asyncIterator]() {
    // No `return`: who leaves a `for await` early may go on with another.
    return {
      next: async () => {
        const value = await this.#next();
        return value ? { value, done: false } : { value: undefined, done: true };
      },
    };
  }

  async text() {
    for await (const _ of this);
    return this.done?.text ?? "";
  }

  /** @param {string} text */
  async exchange(text) {
    await this.send(text);
    const { n } = this;
    /** @type {Write[]} */
    const writes = [];
    for await (const event of this) {
      if (event.type === "write") writes.push(event);
      if (event.type === "read" && event.n === n) break;
    }
    return writes;
  }
}
