// Cuts a stream of text into the units that phi counts: words, and single characters in scripts without spaces, as the server does
// (backbones/source_codec.py). Knows no page.

const UNSEGMENTED =
  /[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f\u2e80-\u2fdf\u3001-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\uffdd-\uffef\u{1aff0}-\u{1b16f}\u{20000}-\u{3ffff}]/u;
const BLANK = /(?!\ufeff)[\s\x1c-\x1f\x85]/u;

export class Units {
  /** Each unit's text, in order. @type {string[]} */
  texts = [];
  #isOpen = false;

  /** Adds a piece of text, cut anywhere; the index of the first unit that is new or has grown. @param {string} text */
  add(text) {
    let first = this.texts.length;
    for (const char of text) {
      if (BLANK.test(char)) {
        this.#isOpen = false;
      } else if (UNSEGMENTED.test(char)) {
        this.texts.push(char);
        this.#isOpen = false;
      } else if (this.#isOpen) {
        this.texts[this.texts.length - 1] += char;
        first = Math.min(first, this.texts.length - 1);
      } else {
        this.texts.push(char);
        this.#isOpen = true;
      }
    }
    return first;
  }
}

/** True if the server may release the last unit: what is typed next cannot be part of it. @param {string} text */
export function isComplete(text) {
  const last = [...text].at(-1);
  return last !== undefined && (BLANK.test(last) || UNSEGMENTED.test(last));
}

/** The text in pieces of one word each, with the blanks behind it. @param {string} text @returns {string[]} */
export function pieces(text) {
  return text.match(/\s*\S+\s*/gu) ?? [];
}
