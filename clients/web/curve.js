// The live curve of the decision score, and the threshold that it must reach. Knows decisions; knows no session.

const SVG = "http://www.w3.org/2000/svg";
const WINDOW = 120; // decisions that are shown at once
const FEWEST = 24; // so that the first ones do not jump about
const PAD = 8; // CSS pixels around the curve

/** @typedef {{ score: number | null, threshold: number, action: "read" | "write" }} Decision */

export class Curve {
  #box;
  #svg;
  /** @type {Decision[]} */
  #decisions = [];
  #counts = { read: 0, write: 0 };
  #isDue = false;

  /** @param {HTMLElement} box */
  constructor(box) {
    this.#box = box;
    this.#svg = /** @type {SVGSVGElement} */ (box.querySelector("svg"));
    new ResizeObserver(() => this.#draw()).observe(box);
  }

  clear() {
    this.#decisions = [];
    this.#counts = { read: 0, write: 0 };
    this.#box.setAttribute("aria-label", "No decision yet");
    this.#draw();
  }

  /** @param {Decision} decision */
  add(decision) {
    this.#decisions.push(decision);
    if (this.#decisions.length > WINDOW) this.#decisions.shift();
    this.#counts[decision.action] += 1;
    this.#draw();
  }

  /** What a screen reader says of it; called at the end, as it would interrupt the text. */
  describe() {
    const { read, write } = this.#counts;
    const threshold = this.#decisions.at(-1)?.threshold;
    if (threshold !== undefined) this.#box.setAttribute("aria-label", `${read} times read on, ${write} writes; threshold ${round(threshold)}`);
  }

  /** Once a frame, however many decisions came. */
  #draw() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#paint();
    });
  }

  #paint() {
    const decisions = this.#decisions;
    const { clientWidth: width, clientHeight: height } = this.#box;
    this.#box.classList.toggle("has-points", decisions.length > 0);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [low, high] = range(decisions);
    const x = (/** @type {number} */ index) => PAD + ((width - 2 * PAD) * (index + 0.5)) / Math.max(FEWEST, decisions.length);
    const y = (/** @type {number} */ value) => PAD + ((height - 2 * PAD) * (high - value)) / (high - low);
    const half = x(0.5) - x(0);
    const steps = decisions.map(({ threshold }, index) => `${index ? "L" : "M"}${x(index) - half} ${y(threshold)}H${x(index) + half}`);
    steps.push(`H${width - PAD}`); // it holds for the next one as well
    const isOn = (/** @type {number} */ index) => index >= 0 && decisions[index].score !== null;
    const scored = decisions.map(({ score }, index) => (score === null ? "" : `${isOn(index - 1) ? "L" : "M"}${x(index)} ${y(score)}`));
    const edge = (/** @type {string} */ action) => (action === "write" ? PAD : height - PAD); // where the head was not asked
    const nodes = decisions.length
      ? [
          shape("path", { class: "reach", d: `${steps.join("")}V0H${x(0) - half}Z` }),
          shape("path", { class: "threshold", d: steps.join("") }),
          shape("path", { class: "score", d: scored.join("") }),
          ...decisions.map(({ score, action }, index) =>
            shape("circle", { class: score === null ? `${action} forced` : action, cx: x(index), cy: score === null ? edge(action) : y(score), r: score === null ? 2 : 3.5 }),
          ),
          label(width - PAD, y(decisions[decisions.length - 1].threshold) - 6, round(decisions[decisions.length - 1].threshold)),
        ]
      : [];
    this.#svg.replaceChildren(...nodes);
  }
}

/** Values at the lower and upper edge: room above the highest and below the lowest. @param {Decision[]} decisions */
function range(decisions) {
  const values = decisions.flatMap(({ score, threshold }) => [score ?? threshold, threshold]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = Math.max(0.05, (high - low) * 0.25);
  return [low - margin, high + margin];
}

/** @param {string} name @param {Record<string, string | number>} attributes */
function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
  return node;
}

/** @param {number} x @param {number} y @param {string} text */
function label(x, y, text) {
  const node = shape("text", { x, y: Math.max(12, y), "text-anchor": "end" });
  node.textContent = text;
  return node;
}

/** @param {number} value */
function round(value) {
  return String(Math.round(value * 1000) / 1000);
}
