// What this package offers, and the messages of `proactivellm.v1` as ../protocol.md has them: names are those of the wire.
// `tests/conformance.ts` proves that the JavaScript in src/ is of these types.

/** Numbers of one session. */
export interface Limits {
  readonly max_source_tokens: number;
  readonly max_output_tokens: number;
  readonly max_message_bytes: number;
  /** Of audio; null for text. */
  readonly max_source_seconds?: number | null;
}

/** Counts of one session; `source_units` in words, or in ms of audio. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly source_tokens: number;
  readonly source_units: number;
  readonly target_tokens: number;
  readonly probes: number;
}

/** The session holds a slot. */
export interface SessionStarted {
  readonly type: "session.started";
  readonly seq: number;
  readonly session_id: string;
  readonly resume_token: string | null;
  readonly model: string;
  readonly head: string;
  readonly threshold: number;
  readonly unit: "word" | "ms";
  readonly limits: Limits;
}

/** Committed text, never revised: `phi` units of the source were visible, `n` is the source message that it answers. */
export interface Write {
  readonly type: "write";
  readonly seq: number;
  readonly text: string;
  readonly index: number;
  readonly count: number;
  readonly phi: number;
  readonly n: number;
}

/** Source message `n` is dealt with: nothing more to write until more source comes. */
export interface Read {
  readonly type: "read";
  readonly seq: number;
  readonly phi: number;
  readonly n: number;
}

/** Why the next event is a write or a read. `score` is null where the head was not asked. */
export interface Decision {
  readonly type: "decision";
  readonly seq: number;
  readonly score: number | null;
  readonly threshold: number;
  readonly action: "read" | "write";
  readonly phi: number;
  readonly index: number;
  readonly n: number;
}

/** What is in force from target token `from_index` on. The server changes `stride`, units between two decisions, where it was allowed to. */
export interface SessionUpdated {
  readonly type: "session.updated";
  readonly seq: number;
  readonly threshold: number;
  readonly from_index: number;
  readonly stride: number;
}

/** After a broken connection: the server had `n` source messages (`frames` of any kind), and its newest event is `seq`. What was missed follows. */
export interface SessionResumed {
  readonly type: "session.resumed";
  readonly seq: number;
  readonly n: number;
  readonly frames: number;
}

/** The session is over. `rco` and `ail` are null unless the whole source was sent. */
export interface Done {
  readonly type: "done";
  readonly seq: number;
  readonly text: string;
  readonly reason: "end" | "length" | "context" | "stop" | "cancelled" | "error";
  readonly usage: Usage;
  readonly rco: number | null;
  readonly ail: number | null;
}

/** What the server refused. A fatal one is thrown as ServerError instead. */
export interface ErrorEvent {
  readonly type: "error";
  readonly seq: number;
  readonly code: string;
  readonly message: string;
  readonly fatal: boolean;
  readonly param: string | null;
  readonly n: number | null;
  readonly retry_after: number | null;
}

/** The server stops in so many seconds: finish, and start no other session here. */
export interface GoingAway {
  readonly type: "going_away";
  readonly seq: number;
  readonly seconds: number;
}

/** What an iteration hands out. An event of a newer server comes as it is: leave `default` open. */
export type Event = SessionStarted | Write | Read | Decision | SessionUpdated | SessionResumed | Done | ErrorEvent | GoingAway;

/** Fields of `session.start`; what is left out, the server's checkpoint chooses. */
export interface StartOptions {
  model?: string;
  inputs?: Readonly<Record<string, string>>;
  instruction?: string;
  head?: string | { readonly name: string; readonly [parameter: string]: unknown };
  tier?: string;
  threshold?: number;
  modality?: "text" | "audio";
  audio?: { readonly format: "pcm16" | "float32"; readonly rate: number; readonly channels?: number; readonly silence_gate?: boolean };
  max_lag?: number;
  max_output_tokens?: number;
  rollover?: boolean;
  allow_stride?: boolean;
  stop?: readonly string[];
  sampling?: { readonly temperature?: number; readonly top_p?: number; readonly seed?: number };
  include?: readonly "decision"[];
}

export interface ConnectOptions {
  /** A key or a browser token. Sent as a websocket subprotocol, as a browser can send no header. */
  apiKey?: string;
  /** Resume a session by itself after a broken connection, where the server can. Default false. */
  resume?: boolean;
  /** Milliseconds to wait for a connection. Default 10,000. */
  timeout?: number;
  /** Bytes that may wait in the socket before `send` waits for them. Default 65,536. */
  highWater?: number;
  /** Events that may wait for the iteration before the connection is given up. Default 1,048,576. */
  maxQueuedEvents?: number;
  /** The websocket class. Default: the platform's own. */
  WebSocket?: typeof globalThis.WebSocket;
}

/** One connection, for several sessions, one after the other. */
export interface Client {
  /** Starts a session. Throws ServerError (NoCapacityError) if the server refuses, ClosedError at the end of the connection. */
  session(task: string, options?: StartOptions): Promise<Session>;
  /** Milliseconds to the server and back. */
  ping(): Promise<number>;
  /** Closes the connection; the server drops the session. */
  close(): Promise<void>;
}

/**
 * One stream: `send` and `end` on one side, iteration on the other, at the same time if you like. What is sent to a session that is done,
 * or whose connection a later session has, is dropped, as the server would.
 */
export interface Session extends AsyncIterable<Event> {
  /** What the server chose. */
  readonly started: SessionStarted;
  /** The last event, once it was handed out. */
  readonly done: Done | null;
  /** Source messages sent so far. */
  readonly n: number;
  /**
   * The next piece of the source, cut anywhere; a word is released at once if its trailing space comes with it. Resolves once the socket
   * has room again. Throws UnsendableError for half a surrogate pair or too long a text, and then nothing was sent.
   */
  send(text: string): Promise<void>;
  /** The next samples, in the format of the start. */
  sendAudio(samples: ArrayBuffer | ArrayBufferView): Promise<void>;
  /** No more source: the rest of the target is written. */
  end(): Promise<void>;
  /** Another tier or threshold, from the next decision on. */
  update(change: { tier: string; threshold?: never } | { threshold: number; tier?: never }): Promise<void>;
  /** Ends the session; Done with reason `cancelled` follows, unless it was done before. */
  cancel(): Promise<void>;
  /** Events up to and with Done. Throws ServerError for a fatal error, ClosedError at the end of the connection. */
  [Symbol.asyncIterator](): AsyncIterator<Event>;
  /** Waits for the end of the session: all of the target's text. `done.reason` tells whether it is complete. */
  text(): Promise<string>;
  /** Sends one piece and waits until it is dealt with: the writes it led to. Not beside an iteration. */
  exchange(text: string): Promise<Write[]>;
}

/**
 * Connects to the server at `url` (`ws://host:port`; `http` and a missing path are understood). Throws ConnectError. A key
 * that the server does not know is told by the first session.
 */
export function connect(url: string | URL, options?: ConnectOptions): Promise<Client>;

/** Root of everything that this package throws on purpose. */
export class ClientError extends Error {}
/** No connection: nobody listens there, or it is no ProactiveLLM server. */
export class ConnectError extends ClientError {}
/** The connection ended before the session was done, without an error from the server. */
export class ClosedError extends ClientError {
  constructor(code: number, reason: string);
  readonly code: number;
  readonly reason: string;
}
/** The other side does not speak `proactivellm.v1`, or this side used a session in a state that does not allow it. */
export class ProtocolError extends ClientError {}
/** A message that the server would close the connection for. Nothing was sent or counted, and the session goes on. */
export class UnsendableError extends ClientError {}
/** The server said no. `code` is stable (the table is in ../protocol.md), `param` names the field at fault. */
export class ServerError extends ClientError {
  constructor(event: ErrorEvent);
  readonly code: string;
  readonly param: string | null;
  readonly fatal: boolean;
  readonly retryAfter: number | null;
}
/** Every slot is taken, or the models are still being loaded; `retryAfter` is in seconds where the server knows. */
export class NoCapacityError extends ServerError {}
