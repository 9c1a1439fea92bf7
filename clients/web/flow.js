// The picture of source and target with its threads. Knows the page; where the words stand is layout.js's.

import { layout } from "./layout.js";
import { Units } from "./units.js";

const SVG = "http://www.w3.org/2000/svg";
const BLOCK_MS = 400; // one block of the picture of speech

/** @typedef {{ element: HTMLElement, width: number }} Word */

export class Flow {
  #box;
  #threads;
  #unit = "word";
  #phi = 0;
  #source = new Units();
  #target = new Units();
  /** @type {Word[]} */
  #read = [];
  /** @type {(Word & { phi: number, thread: SVGPathElement })[]} */
  #written = [];
  #isDue = false;

  /** @param {HTMLElement} box */
  constructor(box) {
    this.#box = box;
    this.#threads = /** @type {SVGElement} */ (box.querySelector("svg"));
    new ResizeObserver(() => this.#measure()).observe(box);
    box.addEventListener("pointerover", ({ target }) => this.#light(target));
    box.addEventListener("pointerleave", () => this.#light(null));
  }

  /** What the picture looks like, for who has not seen one yet. @param {import("./examples.js").Sample} sample */
  sample({ source, target }) {
    this.sent(source);
    for (const [text, phi] of target) this.write(text, phi);
    this.#box.classList.add("is-sample");
  }

  /** An empty picture, for words or for ms of speech. @param {"word" | "ms"} unit */
  clear(unit) {
    this.#unit = unit;
    this.#phi = 0;
    this.#source = new Units();
    this.#target = new Units();
    for (const { element } of [...this.#read, ...this.#written]) element.remove();
    this.#threads.replaceChildren();
    this.#read = [];
    this.#written = [];
    this.#box.classList.remove("is-sample");
    this.#draw();
  }

  /** Source that was sent. @param {string} text */
  sent(text) {
    for (let index = this.#source.add(text); index < this.#source.texts.length; index++) {
      this.#read[index] ??= this.#word("source");
      this.#read[index].element.textContent = this.#source.texts[index];
      this.#read[index].width = 0;
    }
    this.#draw();
  }

  /** Speech that was sent: one block of BLOCK_MS for each level, 0 to 1. @param {number} level */
  heard(level) {
    const word = this.#word("block");
    word.element.append(document.createElement("i"));
    /** @type {HTMLElement} */ (word.element.firstChild).style.height = `${Math.round(15 + 85 * level)}%`;
    this.#read.push(word);
    this.#draw();
  }

  /** How much of the source the model has read. @param {number} phi */
  reach(phi) {
    this.#phi = phi;
    this.#draw();
  }

  /** @param {string} text @param {number} phi */
  write(text, phi) {
    for (let index = this.#target.add(text); index < this.#target.texts.length; index++) {
      this.#written[index] ??= { ...this.#word("target"), phi: this.#index(phi), thread: this.#thread() };
      const word = this.#written[index];
      word.element.textContent = this.#target.texts[index];
      word.width = 0;
    }
    this.reach(phi);
  }

  /** @param {number} phi in the session's unit; as a number of words or blocks */
  #index(phi) {
    return this.#unit === "ms" ? Math.ceil(phi / BLOCK_MS) : phi;
  }

  /** @param {string} kind @returns {Word} */
  #word(kind) {
    const element = document.createElement("span");
    element.className = `word ${kind}`;
    this.#box.append(element);
    return { element, width: 0 };
  }

  #thread() {
    const thread = document.createElementNS(SVG, "path");
    thread.setAttribute("pathLength", "1");
    this.#threads.append(thread);
    return thread;
  }

  #measure() {
    for (const word of [...this.#read, ...this.#written]) word.width = 0;
    this.#draw();
  }

  /** Once a frame, however many events came. */
  #draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#place();
    });
  }

  #place() {
    const style = getComputedStyle(this.#box);
    const length = (/** @type {string} */ name) => parseFloat(style.getPropertyValue(name));
    const room = {
      width: this.#box.clientWidth,
      sourceGap: this.#unit === "ms" ? 3 : length("--gap"),
      gap: length("--gap"),
      line: length("--line"),
      threads: length("--threads"),
      between: length("--between"),
    };
    for (const word of [...this.#read, ...this.#written]) word.width ||= word.element.getBoundingClientRect().width;
    const places = layout(this.#read.map(({ width }) => width), this.#written, room);
    this.#read.forEach(({ element }, index) => {
      move(element, places.source[index]);
      element.classList.toggle("is-read", index < this.#index(this.#phi));
    });
    this.#written.forEach((word, index) => {
      const from = Math.min(Math.max(word.phi, 1), this.#read.length) - 1;
      if (from < 0) return;
      move(word.element, places.target[index]);
      word.thread.setAttribute("d", path(this.#read[from], places.source[from], word, places.target[index], room));
    });
    const scroll = /** @type {HTMLElement} */ (this.#box.parentElement);
    const isAtEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < room.line;
    this.#box.style.height = `${places.height}px`;
    if (isAtEnd) scroll.scrollTop = scroll.scrollHeight; // who has scrolled back is left alone
  }

  /** Shows which source word released the target word under the pointer. @param {EventTarget | null} target */
  #light(target) {
    for (const { element, thread, phi } of this.#written) {
      const isLit = element === target;
      element.classList.toggle("is-lit", isLit);
      thread.classList.toggle("is-lit", isLit);
      if (isLit) for (const [index, word] of this.#read.entries()) word.element.classList.toggle("is-lit", index === phi - 1);
    }
    if (!(target instanceof Element) || !target.matches(".word.target")) {
      for (const { element } of this.#read) element.classList.remove("is-lit");
    }
  }
}

/** @param {HTMLElement} element @param {{ x: number, y: number }} place */
function move(element, { x, y }) {
  element.style.transform = `translate(${x}px, ${y}px)`;
}

/**
 * From the middle below a source word down, along, and down to the middle above a target word. Threads of one source word share their
 * beginning: as curves, many of them were one thick tangle.
 * @param {Word} source @param {{ x: number, y: number }} from @param {Word} target @param {{ x: number, y: number }} to
 * @param {{ line: number, threads: number }} room
 */
function path(source, from, target, to, { line, threads }) {
  const [x0, y0, x1, y1] = [from.x + source.width / 2, from.y + line, to.x + target.width / 2, to.y + 3];
  if (Math.abs(x1 - x0) < threads) return `M${x0} ${y0}C${x0} ${y0 + threads / 2} ${x1} ${y0 + threads / 2} ${x1} ${y1}`;
  const along = y0 + threads / 2;
  const bend = (threads / 2) * Math.sign(x1 - x0);
  return `M${x0} ${y0}Q${x0} ${along} ${x0 + bend} ${along}H${x1 - bend}Q${x1} ${along} ${x1} ${along + threads / 2}V${y1}`;
}
