// Where the words stand: lines of source, and below each the target that it released, like a text between the lines. Knows widths and
// positions; knows no page. All lengths in CSS pixels.

/**
 * @typedef {{ width: number, sourceGap: number, gap: number, line: number, threads: number, between: number }} Room
 *   width of a line, gap between source units and between target words, height of a line, height of the space for threads, space below a line's target
 * @typedef {{ x: number, y: number }} Place
 */

/**
 * @param {number[]} source widths of the source units
 * @param {{ width: number, phi: number }[]} target phi: how many units were visible; it never falls
 * @param {Room} room
 * @returns {{ source: Place[], target: Place[], height: number }}
 */
export function layout(source, target, room) {
  const places = { source: /** @type {Place[]} */ ([]), target: /** @type {Place[]} */ ([]), height: 0 };
  let written = 0;
  for (const [first, last] of lines(source, room)) {
    let x = 0;
    for (let unit = first; unit < last; unit++) {
      places.source.push({ x, y: places.height });
      x += source[unit] + room.sourceGap;
    }
    const isLastLine = last === source.length;
    const end = target.findIndex(({ phi }, index) => index >= written && phi > last && !isLastLine);
    const words = target.slice(written, end < 0 ? target.length : end);
    written += words.length;
    const at = (/** @type {number} */ phi) => places.source[Math.min(Math.max(phi, 1), source.length) - 1].x;
    const below = underneath(words, at, room);
    const top = places.height + room.line + room.threads;
    places.target.push(...below.map(({ x, line }) => ({ x, y: top + line * room.line })));
    const height = words.length ? room.threads + (1 + below[below.length - 1].line) * room.line : 0;
    places.height += room.line + height + room.between;
  }
  places.height = Math.max(0, places.height - room.between);
  return places;
}

/** First and past-the-last unit of each line of source. @param {number[]} widths @param {Room} room */
function lines(widths, room) {
  const found = [];
  let first = 0;
  let x = 0;
  for (const [unit, width] of widths.entries()) {
    if (unit > first && x + width > room.width) {
      found.push([first, unit]);
      first = unit;
      x = 0;
    }
    x += width + room.sourceGap;
  }
  if (widths.length) found.push([first, widths.length]);
  return found;
}

/**
 * Words that one source unit released stand together, from below that unit on; further left if the line has no room, on the next line if it
 * has none at all, and over several if they need more than one.
 * @param {{ width: number, phi: number }[]} words @param {(phi: number) => number} at x of a source unit @param {Room} room
 */
function underneath(words, at, room) {
  /** @type {{ x: number, line: number }[]} */
  const places = [];
  let cursor = 0;
  let line = 0;
  for (const group of runs(words)) {
    const width = group.reduce((sum, word) => sum + word.width + room.gap, -room.gap);
    if (cursor > 0 && cursor + width > room.width && width <= room.width) {
      cursor = 0;
      line += 1;
    }
    if (cursor + width <= room.width) cursor = Math.max(cursor, Math.min(at(group[0].phi), room.width - width));
    for (const word of group) {
      if (cursor > 0 && cursor + word.width > room.width) {
        cursor = 0;
        line += 1;
      }
      places.push({ x: cursor, line });
      cursor += word.width + room.gap;
    }
  }
  return places;
}

/** Neighbours with the same phi. @template {{ phi: number }} T @param {T[]} words */
function runs(words) {
  /** @type {T[][]} */
  const found = [];
  for (const word of words) {
    const last = found[found.length - 1];
    if (last && last[0].phi === word.phi) last.push(word);
    else found.push([word]);
  }
  return found;
}
