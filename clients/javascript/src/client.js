// Connections and sessions over a WebSocket. Knows I/O and its order, and how a broken connection is mended; what may come when is
// protocol.js's.

import { ClientError, ClosedError, ConnectError, asException } from "./errors.js";
import { Protocol, SUBPROTOCOL, websocketUrl } from "./protocol.js";
import { Session } from "./session.js";
import { Unanswered } from "./unanswered.js";

/** @typedef {import("../index.d.ts").ConnectOptions} ConnectOptions */
/** @typedef {import("../index.d.ts").Event} Event */

const KEY_SUBPROTOCOL = "proactivellm.key.";
const DEFAULTS = { resume: false, timeout: 10_000, highWater: 2 ** 16, maxQueuedEvents: 2 ** 20 };
const RESUME_DELAYS = [250, 500, 1000, 2000, 4000]; // ms before each attempt; a server keeps a slot for seconds, not for minutes
const ROOM_POLL = 20; // ms: a WebSocket has no event for a send buffer that empties

/** @param {string | URL} url @param {ConnectOptions} [options] */
export async function connect(url, options = {}) {
  const client = new Client(url, options);
  await client.open();
  return client;
}

export class Client {
  protocol = new Protocol();
  /** Events for the iteration of `current`. @type {Event[]} */
  events = [];
  /** The session that has the connection. @type {Session | null} */
  current = null;
  #url;
  #protocols;
  #options;
  /** @type {WebSocket | null} */
  #socket = null;
  /** Why nothing more will come. @type {Error | null} */
  #failure = null;
  #unanswered = new Unanswered();
  /** @type {(() => void)[]} */
  #waiters = [];
  /** @type {Map<number, number>} */
  #pings = new Map(); // sent at, ms
  /** @type {Map<number, number>} */
  #pongs = new Map(); // took, ms
  #pingId = 0;
  #isClosing = false;
  #isMending = false;
  #attempt = 0;

  /** @param {string | URL} url @param {ConnectOptions} options */
  constructor(url, { apiKey, WebSocket = globalThis.WebSocket, ...options }) {
    this.#url = websocketUrl(url);
    this.#protocols = apiKey ? [SUBPROTOCOL, KEY_SUBPROTOCOL + apiKey] : [SUBPROTOCOL];
    this.#options = { ...DEFAULTS, ...options, WebSocket };
  }

  /** Connects. Throws ConnectError. */
  async open() {
    const socket = await this.#dial();
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = ({ code, reason }) => this.#closed(code, reason);
    this.#socket = socket;
  }

  /** @returns {Promise<WebSocket>} */
  #dial() {
    const { WebSocket, timeout } = this.#options;
    const where = new URL(this.#url).origin;
    return new Promise((resolve, reject) => {
      const socket = newSocket(WebSocket, this.#url, this.#protocols);
      const fail = (/** @type {string} */ why) => {
        clearTimeout(timer);
        socket.onopen = socket.onclose = socket.onerror = null;
        socket.close();
        reject(new ConnectError(`expected a ProactiveLLM server at ${where}; got ${why}`));
      };
      const timer = setTimeout(() => fail(`no answer within ${timeout} ms`), timeout);
      socket.onerror = () => fail("no connection");
      socket.onclose = ({ code }) => fail(`the connection closed with ${code}`);
      socket.onopen = () => {
        if (socket.protocol !== SUBPROTOCOL) return fail("another websocket");
        clearTimeout(timer);
        socket.onopen = socket.onerror = socket.onclose = null;
        resolve(socket);
      };
    });
  }

  /** @param {string} task @param {import("../index.d.ts").StartOptions} [options] */
  async session(task, options = {}) {
    const message = this.protocol.start(task, options);
    const session = new Session(this);
    this.current = session;
    this.events = []; // what still lies unread was meant for the session before
    this.#unanswered.clear();
    this.#wake();
    this.#write(message);
    await session.begin();
    return session;
  }

  async ping() {
    const id = ++this.#pingId;
    this.#pings.set(id, performance.now());
    this.#write(this.protocol.ping(id));
    await this.until(() => this.#pongs.has(id));
    const took = this.#pongs.get(id) ?? NaN;
    this.#pongs.delete(id);
    return took;
  }

  /** @returns {Promise<void>} */
  close() {
    this.#isClosing = true;
    this.#fail(new ClosedError(1000, "closed by this side"));
    const socket = this.#socket;
    if (!socket || socket.readyState === socket.CLOSED) return Promise.resolve();
    return new Promise((resolve) => {
      socket.onclose = () => resolve();
      socket.close(1000);
    });
  }

  /**
   * Sends a session's frame, and waits until the socket has room again. A connection that is being mended sends it later.
   * @param {string | ArrayBuffer | ArrayBufferView} message @param {boolean} isSource
   */
  async send(message, isSource) {
    if (this.#options.resume && this.protocol.state === "running") this.#unanswered.add(this.protocol.n, isSource, message);
    this.#write(message);
    while (this.#isOpen() && (this.#socket?.bufferedAmount ?? 0) > this.#options.highWater) await sleep(ROOM_POLL);
    if (this.#failure) throw this.#failure;
  }

  #isOpen() {
    return this.#socket?.readyState === this.#socket?.OPEN;
  }

  /** @param {string | ArrayBuffer | ArrayBufferView} message */
  #write(message) {
    if (this.#failure) throw this.#failure;
    // A socket that is closing takes nothing: why it closes is told to who waits for an event. One that is being mended takes it later.
    if (this.#isOpen() && !this.#isMending) this.#socket?.send(/** @type {string} */ (message));
  }

  /** Waits until it is so. Throws why it never will be. @param {() => boolean} satisfied */
  async until(satisfied) {
    while (!satisfied()) {
      if (this.#failure) throw this.#failure;
      await new Promise((resolve) => this.#waiters.push(() => resolve(undefined)));
    }
  }

  #wake() {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  /** The first failure stands. @param {Error} error */
  #fail(error) {
    this.#failure ??= error;
    this.#wake();
  }

  /** @param {WebSocket} socket @param {unknown} data */
  #receive(socket, data) {
    if (this.#failure) return;
    try {
      this.#handle(this.protocol.receive(data));
    } catch (error) {
      this.#fail(/** @type {Error} */ (error));
      socket.close(1000);
    }
  }

  /** @param {import("./events.js").ServerEvent} event */
  #handle(event) {
    if (event.type === "error" && (event.fatal || this.#isMending)) throw asException(event);
    if (event.type === "pong") {
      this.#pongs.set(Number(event.id), performance.now() - (this.#pings.get(Number(event.id)) ?? NaN));
      this.#pings.delete(Number(event.id));
    } else {
      if (this.events.length >= this.#options.maxQueuedEvents) {
        throw new ClientError(`expected the events to be taken; got ${this.events.length} of them waiting`);
      }
      this.events.push(event);
    }
    if (event.type === "read") this.#unanswered.answered(event.n);
    if (event.type === "session.resumed") this.#resend(event.n);
    this.#wake();
  }

  // ---- a connection that broke

  /** @param {number} code @param {string} reason */
  #closed(code, reason) {
    const token = this.protocol.state === "running" && this.protocol.started?.resume_token;
    const error = new ClosedError(code, reason);
    if (this.#options.resume && token && !this.#failure) void this.#mend(error);
    else this.#fail(error);
  }

  /** Connects again and asks for the session; gives up with what broke the connection. @param {Error} error */
  async #mend(error) {
    this.#isMending = true;
    while (this.#attempt < RESUME_DELAYS.length && !this.#isClosing) {
      await sleep(RESUME_DELAYS[this.#attempt++] ?? 0);
      const isOpen = await this.open().then(
        () => true,
        () => false,
      );
      if (isOpen && this.#isClosing) return this.#socket?.close(1000);
      if (isOpen) return this.#socket?.send(this.protocol.resume());
    }
    this.#fail(error);
  }

  /** @param {number} n source messages that the server has */
  #resend(n) {
    this.#isMending = false;
    this.#attempt = 0;
    this.#unanswered.answered(n);
    for (const message of this.#unanswered.messages()) this.#write(message);
    for (const id of this.#pings.keys()) this.#write(this.protocol.ping(id));
  }
}

/**
 * Throws ConnectError for a key that no header can hold.
 * @param {typeof globalThis.WebSocket} WebSocket @param {string} url @param {string[]} protocols
 */
function newSocket(WebSocket, url, protocols) {
  try {
    return new WebSocket(url, protocols);
  } catch {
    throw new ConnectError("expected an API key of letters, digits, '-', '_' and '.'; got other characters"); // never the key itself
  }
}

/** @param {number} ms @returns {Promise<void>} */
function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
