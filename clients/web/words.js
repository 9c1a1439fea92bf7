// What the page says: states, reasons and failures in plain words. Knows the protocol's codes; knows no page.

import { ClosedError, ConnectError, NoCapacityError, ServerError } from "../javascript/src/index.js";

/** @type {Record<string, string>} */
const REASONS = {
  end: "Done",
  length: "Done: the longest target that is allowed",
  context: "Done: the source is longer than the model can hold",
  stop: "Done: a stop text came",
  cancelled: "Stopped",
  error: "Ended by an error",
};

/** How a session ended. @param {import("../javascript/index.d.ts").Done} done */
export function ending({ reason, rco, text }) {
  if (reason === "end" && rco === null && text) return "Done, before the source was";
  return REASONS[reason] ?? reason;
}

/** @param {unknown} error */
export function explain(error) {
  if (error instanceof NoCapacityError) return `Every place is taken. Try again in ${Math.ceil(error.retryAfter ?? 5)} seconds.`;
  if (error instanceof ServerError && /^(modality|audio)/.test(error.param ?? "")) return "This server does not listen yet: it takes text only.";
  if (error instanceof ServerError && error.code === "not_authorised") return "The server needs an API key that it knows.";
  if (error instanceof ClosedError) return "The connection to the server broke, and the session with it.";
  if (error instanceof ConnectError) return "The server does not answer. Is it running?";
  return /** @type {Error} */ (error).message;
}

/** @param {number | null} share */
export function percent(share) {
  return share === null ? "–" : `${Math.round(share * 100)}%`;
}

/** A length of source: words as they are, ms as seconds. @param {number | null} units @param {"word" | "ms"} unit */
export function amount(units, unit) {
  if (units === null) return "–";
  const number = unit === "ms" ? `${(units / 1000).toFixed(1)} s` : String(Math.round(units * 10) / 10);
  return number.replace("-", "−");
}
