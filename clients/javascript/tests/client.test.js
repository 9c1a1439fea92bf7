// The client on a WebSocket that plays a script: order, failures, backpressure and resuming.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ClientError, ClosedError, ConnectError, NoCapacityError, ProtocolError, ServerError, connect } from "../src/index.js";
import { CONVERSATIONS, REFUSE, START, begun, c, close, done, playing, s } from "./fake.js";

const URL = "ws://h:1";
const read = (seq, n) => s("read", seq, { phi: n, n });
const write = (seq, n, text = "x", index = 0) => s("write", seq, { text, index, count: 1, phi: n, n });
const append = (text) => c("source.append", { text });

/** Runs `act` with a client on the scripts, and checks that it sent what they say. */
function play(name, scripts, act, options = {}) {
  test(name, { timeout: 10_000 }, async () => {
    const WebSocket = playing(...scripts);
    const client = await connect(URL, { WebSocket, ...options });
    await act(client, WebSocket);
    await client.close();
    assert.deepEqual(WebSocket.wrong, []);
  });
}

async function types(session) {
  const seen = [];
  for await (const { type } of session) seen.push(type);
  return seen;
}

play("the golden conversation, as its user would hold it", [CONVERSATIONS[0].frames.slice()], async (client) => {
  const session = await client.session("translate", { tier: "low" });
  assert.equal(session.started.threshold, 0.8);
  for (const text of ["The ", "dog ", "sleeps."]) await session.send(text);
  await session.end();
  assert.deepEqual(await types(session), ["read", "write", "read", "read", "write", "write", "done"]);
  assert.equal(session.done.text, "Der Hund schläft.");
  assert.deepEqual(await types(session), [], "nothing after done");
});

const WHOLE = [START, begun(), append("a "), write(2, 1), read(3, 1), append("b "), read(4, 2), c("source.end"), done(5, "x")];

play("exchange waits until a piece is dealt with", [[...WHOLE]], async (client) => {
  const session = await client.session("t");
  assert.deepEqual((await session.exchange("a ")).map(({ text }) => text), ["x"]);
  assert.deepEqual(await session.exchange("b "), []);
  await session.end();
  assert.equal(await session.text(), "x");
});

play("binary frames are source messages", [[START, begun(), { message: [1, 0, 2, 0] }, read(2, 1), c("source.end"), done(3)]], async (client) => {
  const session = await client.session("t");
  await session.sendAudio(new Int16Array([1, 2]));
  assert.equal(session.n, 1);
  await session.end();
  await session.text();
});

play("a refused start, and another after it", [
  [c("session.start", { task: "no" }), s("error", 1, { code: "unknown_task", message: "expected t", param: "task", fatal: false }), START, begun(2)],
], async (client) => {
  await assert.rejects(client.session("no"), (error) => error instanceof ServerError && error.code === "unknown_task" && error.param === "task");
  assert.equal((await client.session("t")).started.seq, 2);
});

play("a full house", [
  [START, s("error", 1, { code: "no_capacity", message: "full", fatal: true, retry_after: 2 }), close(1013)],
], async (client) => {
  await assert.rejects(client.session("t"), (error) => error instanceof NoCapacityError && error.retryAfter === 2);
});

play("a key that the server does not know is told by the session", [
  [s("error", 1, { code: "not_authorised", message: "no", fatal: true }), close(4401)],
], async (client, { made }) => {
  await assert.rejects(client.session("t"), ServerError);
  assert.deepEqual(made[0].protocols, ["proactivellm.v1", "proactivellm.key.secret"]);
}, { apiKey: "secret" });

play("a connection that ends too soon, after what came before it", [[START, begun(), append("a "), read(2, 1), close(1006, "gone")]], async (client) => {
  const session = await client.session("t");
  await session.send("a ");
  const seen = [];
  await assert.rejects(
    async () => {
      for await (const { type } of session) seen.push(type);
    },
    (error) => error instanceof ClosedError && error.code === 1006 && error.reason === "gone",
  );
  assert.deepEqual(seen, ["read"]);
  await assert.rejects(session.send("b "), ClosedError);
});

play("what is sent to a session whose connection a later one has is dropped", [
  [START, begun(), c("source.end"), done(2), START, begun(3), c("source.end"), done(4)],
], async (client) => {
  const first = await client.session("t");
  await first.end();
  await first.text();
  const second = await client.session("t");
  await first.send("late ");
  await first.cancel();
  await second.end();
  await second.text();
});

play("updates, pings and an event of a newer server", [
  [START, begun(), c("session.update", { tier: "low" }), s("session.updated", 2, { threshold: 0.1, from_index: 0 }), s("news", 3), c("ping", { id: 1 }),
    s("pong", 4, { id: 1 }), c("session.cancel"), done(5, "", "cancelled")],
], async (client) => {
  const session = await client.session("t");
  await session.update({ tier: "low" });
  assert.ok((await client.ping()) >= 0);
  await session.cancel();
  assert.deepEqual(await types(session), ["session.updated", "news", "done"]);
});

play("send waits while the socket holds too much", [[START, begun(), append("a "), read(2, 1)]], async (client, { made }) => {
  const session = await client.session("t");
  made[0].bufferedAmount = 101;
  let sent = false;
  const sending = session.send("a ").then(() => (sent = true));
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(sent, false);
  made[0].bufferedAmount = 100;
  await sending;
}, { highWater: 100 });

play("events that nobody takes end the connection", [[START, begun(), s("news", 2), s("news", 3), s("news", 4)]], async (client) => {
  const session = await client.session("t");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await assert.rejects(types(session), (error) => error instanceof ClientError && /3|2/.test(error.message));
}, { maxQueuedEvents: 2 });

play("a server that loses events is told apart from one that is slow", [[START, begun(), s("news", 3)]], async (client) => {
  await assert.rejects(types(await client.session("t")), ProtocolError);
});

test("no connection", async () => {
  const strange = Object.assign([], { protocol: "chat" });
  const silent = class { close() {} };
  await assert.rejects(connect(URL, { WebSocket: playing(REFUSE) }), ConnectError);
  await assert.rejects(connect(URL, { WebSocket: playing(strange) }), /another websocket/);
  await assert.rejects(connect(URL, { WebSocket: silent, timeout: 10 }), /within 10 ms/);
  await assert.rejects(connect(URL, { WebSocket: playing([]), apiKey: "two words" }), (error) => /API key/.test(error.message) && !/two/.test(error.message));
});

// ---- resuming

const RESUMABLE = begun(1, { resume_token: "token" });
const resume = (last_seq) => c("session.resume", { resume_token: "token", last_seq });

play("a broken connection is resumed: what was missed comes, what had not arrived is sent again", [
  [START, RESUMABLE, append("a "), read(2, 1), append("b "), c("session.update", { tier: "low" }), append("c "), close(1006)],
  REFUSE,
  [resume(2), s("session.resumed", 4, { n: 2 }), write(3, 2), read(4, 2), c("session.update", { tier: "low" }), append("c "),
    s("session.updated", 5, { threshold: 0.1, from_index: 1 }), read(6, 3), c("source.end"), done(7, "x")],
], async (client) => {
  const session = await client.session("t");
  assert.deepEqual(await session.exchange("a "), []);
  await session.send("b ");
  await session.update({ tier: "low" });
  await session.send("c ");
  const seen = [];
  for await (const event of session) {
    seen.push(event.type);
    if (event.type === "read" && event.n === 3) await session.end();
  }
  assert.deepEqual(seen, ["session.resumed", "write", "read", "session.updated", "read", "done"]);
}, { resume: true });

play("what is sent while the connection is broken is sent once it is mended", [
  [START, RESUMABLE, close(1006)],
  [resume(1), s("session.resumed", 1, { n: 0 }), append("a "), c("source.end"), read(2, 1), done(3)],
], async (client) => {
  const session = await client.session("t");
  await new Promise((resolve) => setTimeout(resolve, 20));
  await session.send("a ");
  await session.end();
  assert.deepEqual(await types(session), ["session.resumed", "read", "done"]);
}, { resume: true });

play("a session that the server no longer has", [
  [START, RESUMABLE, close(1006)],
  [resume(1), s("error", 1, { code: "unknown_session", message: "gone", fatal: false })],
], async (client) => {
  await assert.rejects((await client.session("t")).text(), (error) => error instanceof ServerError && error.code === "unknown_session");
}, { resume: true });

play("without a token, or without being asked, nothing is resumed", [[START, begun(), close(1006)]], async (client, { made }) => {
  await assert.rejects((await client.session("t")).text(), ClosedError);
  assert.equal(made.length, 1);
}, { resume: true });
