// A WebSocket whose server plays a conversation: it waits for each client frame, compares it, and sends what the script says.

import { readFileSync } from "node:fs";

const golden = (/** @type {string} */ name) => JSON.parse(readFileSync(new URL(`../../../tests/golden/wire/${name}.json`, import.meta.url), "utf8"));
export const MESSAGES = golden("messages");
export const CONVERSATIONS = golden("conversations");
export const STARTED = MESSAGES.find(({ name }) => name === "started").message;

export const c = (type, fields = {}) => ({ from: "client", message: { type, ...fields } });
export const s = (type, seq, fields = {}) => ({ from: "server", message: { type, seq, ...fields } });
export const begun = (seq = 1, fields = {}) => ({ from: "server", message: { ...STARTED, seq, ...fields } });
export const done = (seq, text = "", reason = "end") => s("done", seq, { text, reason, usage: {}, rco: null, ail: null });
export const START = c("session.start", { task: "t" });
export const close = (code, reason = "") => ({ from: "server", close: code, reason });
export const REFUSE = "refuse"; // a connection that does not come about

/** The class of a WebSocket; each one that is made plays the next script. `wrong` collects frames that were not in it. */
export function playing(...scripts) {
  const wrong = [];
  class FakeSocket {
    static made = [];
    static wrong = wrong;
    OPEN = 1;
    CLOSED = 3;
    readyState = 0;
    bufferedAmount = 0;
    sent = [];

    constructor(url, protocols) {
      if (protocols.some((protocol) => !/^[\w.-]+$/.test(protocol))) throw new DOMException("bad subprotocol", "SyntaxError");
      Object.assign(this, { url, protocols, protocol: "proactivellm.v1" });
      FakeSocket.made.push(this);
      this.script = scripts.shift() ?? REFUSE;
      queueMicrotask(() => {
        if (this.script === REFUSE) return this.onerror?.({});
        this.readyState = 1;
        if (this.script.protocol !== undefined) this.protocol = this.script.protocol;
        this.onopen?.({});
        this.#play();
      });
    }

    send(data) {
      this.sent.push(typeof data === "string" ? JSON.parse(data) : [...new Uint8Array(data.buffer ?? data)]);
      this.#play();
    }

    #play() {
      setTimeout(() => {
        while (this.readyState === 1 && this.script.length && (this.script[0].from === "server" || this.sent.length)) {
          const frame = this.script.shift();
          if (frame.close !== undefined) return this.#end(frame.close, frame.reason);
          if (frame.from === "server") this.onmessage?.({ data: JSON.stringify(frame.message) });
          else this.#compare(this.sent.shift(), frame.message);
        }
      });
    }

    #compare(got, expected) {
      if (JSON.stringify(got) !== JSON.stringify(expected)) wrong.push([got, expected]);
    }

    #end(code, reason) {
      this.readyState = 3;
      this.onclose?.({ code, reason });
    }

    close(code = 1005) {
      if (this.readyState === 3) return;
      this.readyState = 2;
      queueMicrotask(() => this.#end(code, ""));
    }
  }
  return FakeSocket;
}
