// One connection without a socket: builds the client's frames, checks the server's, and knows where the session stands.
// Knows no I/O and no clock.

import { ProtocolError, UnsendableError } from "./errors.js";
import { parse } from "./events.js";

/** @typedef {import("../index.d.ts").StartOptions} StartOptions */
/** @typedef {import("./events.js").ServerEvent} ServerEvent */

export const SUBPROTOCOL = "proactivellm.v1";

/**
 * `http` becomes `ws`, a missing path `/v1/stream`. Throws ProtocolError for any other scheme.
 * @param {string | URL} url
 */
export function websocketUrl(url) {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const scheme = { "http:": "ws:", "https:": "wss:", "ws:": "ws:", "wss:": "wss:" }[parsed?.protocol ?? ""];
  if (!parsed || !scheme) throw new ProtocolError(`expected a URL such as ws://127.0.0.1:8000; got ${url}`);
  parsed.protocol = scheme;
  if (parsed.pathname === "/") parsed.pathname = "/v1/stream";
  parsed.hash = "";
  return parsed.href;
}

/** seq: newest event; n: source messages sent and counted; answered: those that a read has answered; written: target tokens. */
export class Protocol {
  /** @type {"idle" | "starting" | "running" | "done"} */
  state = "idle";
  /** @type {import("../index.d.ts").SessionStarted | null} */
  started = null;
  seq = 0;
  n = 0;
  answered = 0;
  written = 0;
  ended = false;
  resuming = false;

  // ---- frames to send

  /** Throws ProtocolError while a session runs. @param {string} task @param {StartOptions} options */
  start(task, options) {
    if (this.state === "starting" || this.state === "running") {
      throw new ProtocolError("expected no session to be running on this connection; got a second start");
    }
    const message = frame("session.start", { task, ...options });
    Object.assign(this, { state: "starting", started: null, n: 0, answered: 0, written: 0, ended: false });
    return message;
  }

  /**
   * Throws ProtocolError after the source end, UnsendableError for a text that is too long. It is not cut in two: each part would be a
   * decision point of its own.
   * @param {string} text
   */
  append(text) {
    this.#checkSource();
    const message = frame("source.append", { text });
    this.#checkSize(new TextEncoder().encode(message).length);
    this.n += 1;
    return message;
  }

  /** A binary frame, which is a source message like any other. @param {ArrayBuffer | ArrayBufferView} samples */
  audio(samples) {
    this.#checkSource();
    this.#checkSize(samples.byteLength);
    this.n += 1;
    return samples;
  }

  /** Throws ProtocolError when called twice. */
  end() {
    this.#checkSource();
    this.n += 1;
    this.ended = true;
    return frame("source.end", {});
  }

  /** @param {{ tier?: string, threshold?: number }} change */
  update({ tier, threshold }) {
    if ((tier === undefined) === (threshold === undefined)) throw new ProtocolError("expected tier or threshold; got both or neither");
    return frame("session.update", { tier, threshold });
  }

  cancel() {
    return frame("session.cancel", {});
  }

  /** @param {string | number} id */
  ping(id) {
    return frame("ping", { id });
  }

  /** What a new connection says first to go on with the session of a broken one. */
  resume() {
    this.resuming = true;
    return frame("session.resume", { resume_token: this.started?.resume_token, last_seq: this.seq });
  }

  #checkSource() {
    if (this.state === "idle" || this.state === "starting") throw new ProtocolError("expected a session that has started; got source");
    if (this.ended) throw new ProtocolError("expected no source after end(); got more");
  }

  /** @param {number} size in bytes */
  #checkSize(size) {
    const limit = this.started?.limits.max_message_bytes;
    if (limit !== undefined && size > limit) {
      throw new UnsendableError(`expected a message of at most ${limit} bytes; got one of ${size}: send it in several pieces`);
    }
  }

  // ---- frames received

  /**
   * The event in a frame. Throws ProtocolError for one that cannot come now: an event was lost, or is nobody's answer.
   * @param {unknown} data
   */
  receive(data) {
    const event = parse(data);
    if (this.resuming) {
      // The answer to a resume is none of the session's events: what was missed follows it, under its old numbers.
      if (event.type !== "session.resumed" && event.type !== "error") throw new ProtocolError(`expected session.resumed; got ${event.type}`);
      this.resuming = false;
      return event;
    }
    this.seq += 1;
    if (event.seq !== this.seq) throw new ProtocolError(`expected seq ${this.seq}; got ${event.seq}: events were lost`);
    this.#advance(event);
    return event;
  }

  /** @param {ServerEvent} event */
  #advance(event) {
    switch (event.type) {
      case "error":
        if (this.state === "starting") this.state = "idle";
        break;
      case "session.started":
        this.#expect("starting", event);
        Object.assign(this, { state: "running", started: event });
        break;
      case "write":
        this.#expect("running", event);
        if (!event.text || event.index !== this.written) {
          throw new ProtocolError(`expected text from token ${this.written} on; got ${JSON.stringify(event)}`);
        }
        this.written += event.count;
        break;
      case "read":
        this.#expect("running", event);
        this.answered += 1;
        if (event.n !== this.answered || event.n > this.n) {
          throw new ProtocolError(`expected an answer to source message ${this.answered} of ${this.n}; got ${JSON.stringify(event)}`);
        }
        break;
      case "done":
        this.#expect("running", event);
        this.state = "done";
        break;
      case "decision":
      case "session.updated":
        this.#expect("running", event);
    }
  }

  /** @param {Protocol["state"]} state @param {ServerEvent} event */
  #expect(state, event) {
    if (this.state !== state) throw new ProtocolError(`expected no ${event.type} while ${this.state}; got ${JSON.stringify(event)}`);
  }
}

/**
 * The message as JSON. Throws UnsendableError: JSON.stringify would turn NaN into null and half a surrogate pair into an escape.
 * @param {string} type @param {Record<string, unknown>} fields
 */
function frame(type, fields) {
  return JSON.stringify({ type, ...fields }, (_, value) => {
    if (typeof value === "number" && !Number.isFinite(value)) throw new UnsendableError(`expected finite numbers; got ${value}`);
    if (typeof value === "string" && !value.isWellFormed()) throw new UnsendableError("expected Unicode text; got half a surrogate pair");
    return value;
  });
}
