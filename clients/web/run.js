// One session as the page shows it: source goes out and into the picture, events come in. Knows the client and the views; knows no form.

import { connect } from "../javascript/src/index.js";

const PIECES_PER_BLOCK = 4; // of 100 ms each, for one block of the picture of speech

/**
 * @typedef {import("../javascript/index.d.ts").Event} Event
 * @typedef {{ flow: import("./flow.js").Flow, curve: import("./curve.js").Curve, onEvent: (event: Event, unit: "word" | "ms") => void }} Views
 * @typedef {{ open(listener: import("./sound.js").Listener): Promise<void>, close(): Promise<void>, readonly rate: number }} Sound
 */

export class Run {
  isOver = false;
  isEnded = false;
  #client;
  #session;
  #views;
  /** @type {Sound | null} */
  #sound = null;
  /** @type {number[]} */
  #levels = [];

  /** @param {import("../javascript/index.d.ts").Client} client @param {import("../javascript/index.d.ts").Session} session @param {Views} views */
  constructor(client, session, views) {
    this.#client = client;
    this.#session = session;
    this.#views = views;
  }

  /**
   * Connects and starts a session. Throws what the client throws.
   * @param {{ task: string, options: import("../javascript/index.d.ts").StartOptions, key: string }} request @param {Views} views
   */
  static async start({ task, options, key }, views) {
    const client = await connect(new URL("v1/stream", document.baseURI), { resume: true, ...(key && { apiKey: key }) });
    try {
      const run = new Run(client, await client.session(task, options), views);
      views.flow.clear(options.modality === "audio" ? "ms" : "word");
      views.curve.clear();
      return run;
    } catch (error) {
      void client.close();
      throw error;
    }
  }

  get unit() {
    return this.#session.started.unit;
  }

  /** Hands out events until the session is done. Throws what ended it before. */
  async follow() {
    const { flow, curve, onEvent } = this.#views;
    try {
      for await (const event of this.#session) {
        if (event.type === "write") flow.write(event.text, event.phi);
        if (event.type === "read") flow.reach(event.phi);
        if (event.type === "done") flow.reach(event.usage.source_units);
        if (event.type === "decision") curve.add(event);
        onEvent(event, this.#session.started.unit);
      }
    } finally {
      this.isOver = true;
      curve.describe();
      await this.#sound?.close();
      await this.#client.close();
    }
  }

  /** @param {string} text */
  async send(text) {
    if (this.isOver || this.isEnded) return;
    this.#views.flow.sent(text);
    await this.#session.send(text);
  }

  /** Streams sound until it ends or the run does. @param {Sound} sound */
  async listen(sound) {
    this.#sound = sound;
    await sound.open((samples, level) => this.#hear(samples, level));
  }

  /** @param {Int16Array} samples @param {number} level */
  #hear(samples, level) {
    if (this.isOver || this.isEnded) return;
    this.#levels.push(level);
    if (this.#levels.length === PIECES_PER_BLOCK) this.#views.flow.heard(Math.max(...this.#levels.splice(0)));
    this.#session.sendAudio(samples).catch(() => {}); // `follow` tells what ended the connection
  }

  async end() {
    if (this.isOver || this.isEnded) return;
    this.isEnded = true;
    await this.#sound?.close();
    await this.#session.end();
  }

  async cancel() {
    if (this.isOver) return;
    this.isEnded = true;
    await this.#session.cancel();
  }

  /** @param {{ tier: string } | { threshold: number }} change */
  async update(change) {
    if (!this.isOver) await this.#session.update(change);
  }
}
