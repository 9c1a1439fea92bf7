// What can go wrong for a client, as one tree. Knows no socket.

export class ClientError extends Error {
  get name() {
    return this.constructor.name;
  }
}

export class ConnectError extends ClientError {}

export class ClosedError extends ClientError {
  /** @param {number} code @param {string} reason */
  constructor(code, reason) {
    super(`expected the connection to last until done; got it closed with ${code}${reason ? ` (${reason})` : ""}`);
    this.code = code;
    this.reason = reason;
  }
}

export class ProtocolError extends ClientError {}

export class UnsendableError extends ClientError {}

export class ServerError extends ClientError {
  /** @param {import("../index.d.ts").ErrorEvent} event */
  constructor(event) {
    super(`${event.code}: ${event.message}`);
    this.code = event.code;
    this.param = event.param ?? null;
    this.fatal = event.fatal;
    this.retryAfter = event.retry_after ?? null;
  }
}

export class NoCapacityError extends ServerError {}

/** The exception for an error event. @param {import("../index.d.ts").ErrorEvent} event */
export function asException(event) {
  const kind = ["no_capacity", "not_ready"].includes(event.code) ? NoCapacityError : ServerError;
  return new kind(event);
}
