// The page's own arithmetic: units are the server's, and words stand where a reader expects them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { layout } from "../../../clients/web/layout.js";
import { Units, isComplete, pieces } from "../../../clients/web/units.js";

const ROOM = { width: 100, sourceGap: 5, gap: 5, line: 30, threads: 20, between: 10 };
const words = (...pairs) => pairs.map(([width, phi]) => ({ width, phi }));

test("units: words, and single characters in scripts without spaces, however the text is cut", () => {
  const text = "The dog's 世界, foo\u3000บ x\ufeffy ";
  const expected = ["The", "dog's", "世", "界", ",", "foo", "บ", "x\ufeffy"];
  for (const size of [1, 2, 3, 100]) {
    const units = new Units();
    const seen = [];
    for (let from = 0; from < text.length; from += size) seen.push(units.add(text.slice(from, from + size)));
    assert.deepEqual(units.texts, expected, `pieces of ${size}`);
    assert.ok(seen.every((first, index) => index === 0 || first >= seen[index - 1]));
  }
});

test("units: a piece tells the first unit that has grown", () => {
  const units = new Units();
  assert.deepEqual(["do", "g ", "cat", " "].map((piece) => units.add(piece)), [0, 0, 1, 2]);
});

test("a word is complete with its blank, a character of an unsegmented script at once", () => {
  assert.deepEqual(["", "dog", "dog ", "世", "dog\n"].map(isComplete), [false, false, true, true, true]);
  assert.deepEqual(pieces(" The dog  sat."), [" The ", "dog  ", "sat."]);
});

test("a target word stands below the source word that released it", () => {
  const { source, target, height } = layout([20, 20, 20], words([10, 2], [10, 3]), ROOM);
  assert.deepEqual(source, [{ x: 0, y: 0 }, { x: 25, y: 0 }, { x: 50, y: 0 }]);
  assert.deepEqual(target, [{ x: 25, y: 50 }, { x: 50, y: 50 }]);
  assert.equal(height, 80);
});

test("words of one phi stand together, further left if the line has no room, and then on the next line", () => {
  assert.deepEqual(layout([20, 20, 20], words([30, 3], [30, 3]), ROOM).target, [{ x: 35, y: 50 }, { x: 70, y: 50 }]);
  const wrapped = layout([20, 20, 20], words([60, 3], [60, 3]), ROOM);
  assert.deepEqual(wrapped.target, [{ x: 0, y: 50 }, { x: 0, y: 80 }]);
  assert.equal(wrapped.height, 110);
});

test("words of one phi that the line has no room for stand together on the next, below their source word", () => {
  const { target } = layout([20, 20, 20], words([70, 1], [20, 3], [20, 3]), ROOM);
  assert.deepEqual(target, [{ x: 0, y: 50 }, { x: 50, y: 80 }, { x: 75, y: 80 }]);
});

test("each line of source has its target below it; a line without one takes no room for it", () => {
  const { source, target, height } = layout([60, 60, 60], words([10, 1], [10, 3]), ROOM);
  assert.deepEqual(source.map(({ y }) => y), [0, 90, 130]);
  assert.deepEqual(target.map(({ y }) => y), [50, 180]);
  assert.equal(height, 210);
});

test("nothing overlaps and nothing is lost, whatever comes", () => {
  let seed = 1;
  const random = (below) => (seed = (seed * 48271) % 2147483647) % below;
  for (let round = 0; round < 300; round++) {
    const source = Array.from({ length: 1 + random(12) }, () => 1 + random(90));
    let phi = random(3);
    const target = Array.from({ length: random(15) }, () => ({ width: 1 + random(90), phi: (phi += random(3)) }));
    const places = layout(source, target, ROOM);
    assert.equal(places.source.length, source.length);
    assert.equal(places.target.length, target.length);
    const boxes = [...places.source.map((place, index) => [place, source[index]]), ...places.target.map((place, index) => [place, target[index].width])];
    for (const [index, [one, width]] of boxes.entries()) {
      assert.ok(one.x >= 0 && one.x + width <= ROOM.width && one.y >= 0 && one.y + ROOM.line <= places.height);
      for (const [other, wide] of boxes.slice(index + 1)) {
        const isApart = one.x + width <= other.x || other.x + wide <= one.x || Math.abs(one.y - other.y) >= ROOM.line;
        assert.ok(isApart, JSON.stringify({ source, target, one, other }));
      }
    }
  }
});
