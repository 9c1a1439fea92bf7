// The state of a connection without a socket, on the golden messages and conversations and on what must never come.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ProtocolError, UnsendableError } from "../src/index.js";
import { Protocol, websocketUrl } from "../src/protocol.js";
import { Unanswered } from "../src/unanswered.js";
import { CONVERSATIONS, MESSAGES, STARTED, done, s } from "./fake.js";

/** The frame that the client would send for a golden message. */
function send(protocol, { type, ...fields }) {
  switch (type) {
    case "session.start": {
      const { task, ...options } = fields;
      return protocol.start(task, options);
    }
    case "source.append":
      return protocol.append(fields.text);
    case "source.end":
      return protocol.end();
    case "session.update":
      return protocol.update(fields);
    case "session.cancel":
      return protocol.cancel();
    case "session.resume":
      Object.assign(protocol, { started: fields, seq: fields.last_seq });
      return protocol.resume();
    default:
      return protocol.ping(fields.id);
  }
}

function running() {
  const protocol = new Protocol();
  protocol.start("t", {});
  protocol.receive(JSON.stringify(STARTED));
  return protocol;
}

const receive = (protocol, frame) => protocol.receive(JSON.stringify(frame.message));

for (const { name, message, direction } of MESSAGES) {
  test(`golden message: ${name}`, () => {
    if (direction === "client") {
      const protocol = message.type.startsWith("source") ? running() : new Protocol();
      assert.deepEqual(JSON.parse(send(protocol, message)), message);
    } else {
      const protocol = Object.assign(new Protocol(), { state: "running", seq: message.seq - 1, n: message.n, answered: message.n - 1 });
      Object.assign(protocol, { written: message.index ?? 0, state: message.type === "session.started" ? "starting" : "running" });
      assert.deepEqual(protocol.receive(JSON.stringify(message)), message);
    }
  });
}

// One golden conversation has a client that misbehaves: this one refuses to.
for (const { name, frames } of CONVERSATIONS.filter(({ name }) => name !== "source after its end")) {
  test(`golden conversation: ${name}`, () => {
    const protocol = new Protocol();
    let text = "";
    for (const { from, message } of frames) {
      if (from === "client") {
        assert.deepEqual(JSON.parse(send(protocol, message)), message);
        continue;
      }
      const event = protocol.receive(JSON.stringify(message));
      if (event.type === "write") text += event.text;
      if (event.type === "done") {
        assert.equal(text, event.text);
        text = "";
      }
    }
    assert.equal(protocol.state, frames.at(-1).message.type === "done" ? "done" : "idle");
  });
}

test("what cannot come now is a protocol error", () => {
  const cases = [
    [s("read", 3, { phi: 1, n: 1 }), /events were lost/],
    [s("read", 2, { phi: 1, n: 1 }), /answer to source message/],
    [s("write", 2, { text: "", index: 0, count: 1, phi: 1, n: 1 }), /expected text/],
    [s("write", 2, { text: "x", index: 1, count: 1, phi: 1, n: 1 }), /from token 0/],
    [s("write", 2, { text: 1, index: 0, count: 1, phi: 1, n: 1 }), /text to be a string/],
    [s("read", 2, { phi: null, n: 1 }), /phi to be a number/],
    [{ message: { ...STARTED, seq: 2 } }, /session.started while running/],
  ];
  for (const [frame, why] of cases) assert.throws(() => receive(running(), frame), why);
  for (const frame of ["{", "null", "[]", '{"type": "read"}', '{"type": "read", "seq": "1"}', new ArrayBuffer(1)]) {
    assert.throws(() => running().receive(frame), ProtocolError);
  }
});

test("nothing comes for a session that is done", () => {
  const protocol = running();
  protocol.end();
  receive(protocol, done(2));
  assert.throws(() => receive(protocol, s("read", 3, { phi: 1, n: 1 })), /while done/);
});

test("an event of a newer server is handed on, whatever it is called", () => {
  for (const type of ["news", "toString", "__proto__"]) assert.equal(receive(running(), s(type, 2)).type, type);
});

test("misuse is told before it reaches the server", () => {
  assert.throws(() => new Protocol().append("x"), /has started/);
  const protocol = running();
  assert.throws(() => protocol.start("t", {}), /second start/);
  assert.throws(() => protocol.update({}), /both or neither/);
  assert.throws(() => protocol.update({ tier: "low", threshold: 1 }), /both or neither/);
  protocol.end();
  assert.throws(() => protocol.append("x"), /after end/);
});

test("what cannot be sent is refused and not counted", () => {
  const protocol = running();
  const limit = STARTED.limits.max_message_bytes;
  for (const text of ["half a pair \ud800", "x".repeat(70_000), "世".repeat(22_000)]) assert.throws(() => protocol.append(text), UnsendableError);
  assert.throws(() => protocol.audio(new Uint8Array(limit + 1)), UnsendableError);
  const room = limit - new TextEncoder().encode(JSON.stringify({ type: "source.append", text: "" })).length;
  protocol.append("x".repeat(room));
  assert.throws(() => protocol.append("x".repeat(room + 1)), /at most/);
  assert.equal(protocol.n, 1);
});

test("a start that cannot be sent leaves the connection for another", () => {
  const protocol = new Protocol();
  assert.throws(() => protocol.start("t", { threshold: NaN }), UnsendableError);
  assert.throws(() => protocol.start("t", { inputs: { question: "\udfff" } }), UnsendableError);
  protocol.start("t", {});
  assert.equal(protocol.state, "starting");
});

test("URLs", () => {
  assert.equal(websocketUrl("http://h:1/"), "ws://h:1/v1/stream");
  assert.equal(websocketUrl("https://h"), "wss://h/v1/stream");
  assert.equal(websocketUrl("wss://h/proxy/v1/stream?k=v"), "wss://h/proxy/v1/stream?k=v");
  assert.equal(websocketUrl(new URL("ws://h:1#x")), "ws://h:1/v1/stream");
  for (const url of ["127.0.0.1:8000", "ftp://h", "ws://", "ws://h:99999", ""]) assert.throws(() => websocketUrl(url), ProtocolError);
});

test("what the server may not have got: every source message behind n, and what was said right behind it", () => {
  const unanswered = new Unanswered();
  const samples = new Uint8Array([1, 2]);
  unanswered.add(1, true, "a");
  unanswered.add(1, false, "update behind a");
  unanswered.add(2, true, samples);
  samples.fill(0);
  unanswered.answered(1);
  assert.deepEqual(unanswered.messages(), ["update behind a", new Uint8Array([1, 2])]);
  unanswered.answered(2);
  assert.deepEqual(unanswered.messages(), []);
});
