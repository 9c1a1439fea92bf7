// What the server may not have got: the frames of a session behind the newest source message that it is known to have.
// Knows no socket. A frame that is no source (an update, a cancel) stands behind the source message sent before it.

/** @typedef {string | ArrayBuffer | ArrayBufferView} Message */

export class Unanswered {
  /** @type {{ n: number, isSource: boolean, message: Message }[]} */
  #sent = [];

  /** @param {number} n source messages sent, with this one @param {boolean} isSource @param {Message} message */
  add(n, isSource, message) {
    this.#sent.push({ n, isSource, message: structuredClone(message) }); // the caller may use its buffer again
  }

  /**
   * Drops what the server has. An update right behind source message n may have arrived as well: it is kept, as nothing was decided
   * since, and to say it twice changes nothing.
   * @param {number} n
   */
  answered(n) {
    this.#sent = this.#sent.filter((frame) => (frame.isSource ? frame.n > n : frame.n >= n));
  }

  clear() {
    this.#sent = [];
  }

  /** @returns {Message[]} */
  messages() {
    return this.#sent.map(({ message }) => message);
  }
}
