// What a server sends: reads a frame and checks the fields that a client relies on. Knows no order of events.

import { ProtocolError } from "./errors.js";

/** @typedef {import("../index.d.ts").Event | { type: "pong", seq: number, id: string | number }} ServerEvent */

/** Fields of each event that must be there, and of which type; a trailing `?` means that null is allowed. */
/** @type {Record<string, Record<string, string>>} */
const FIELDS = {
  "session.started": { session_id: "string", resume_token: "string?", model: "string", head: "string", threshold: "number", limits: "object" },
  "session.updated": { threshold: "number", from_index: "number" },
  "session.resumed": { n: "number" },
  write: { text: "string", index: "number", count: "number", phi: "number", n: "number" },
  read: { phi: "number", n: "number" },
  decision: { score: "number?", threshold: "number", action: "string", phi: "number", index: "number", n: "number" },
  pong: {},
  done: { text: "string", reason: "string", usage: "object", rco: "number?", ail: "number?" },
  error: { code: "string", message: "string", fatal: "boolean" },
};

/**
 * The event in a text frame; one of a newer server is handed on as it is. Throws ProtocolError for anything else.
 * @param {unknown} frame
 * @returns {ServerEvent}
 */
export function parse(frame) {
  if (typeof frame !== "string") throw new ProtocolError("expected a text frame; got a binary one");
  let event;
  try {
    event = JSON.parse(frame);
  } catch {
    throw new ProtocolError(`expected JSON; got ${frame.slice(0, 200)}`);
  }
  if (typeof event?.type !== "string" || !Number.isInteger(event.seq)) {
    throw new ProtocolError(`expected an event with a type and a seq; got ${frame.slice(0, 200)}`);
  }
  const fields = Object.hasOwn(FIELDS, event.type) ? FIELDS[event.type] : {};
  for (const [name, kind] of Object.entries(fields ?? {})) {
    const value = event[name];
    if (value === null ? !kind.endsWith("?") : typeof value !== kind.replace("?", "")) {
      throw new ProtocolError(`expected ${name} to be a ${kind.replace("?", "")}; got ${frame.slice(0, 200)}`);
    }
  }
  return Object.freeze(event);
}
