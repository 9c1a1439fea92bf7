// What can be played with one click. Knows tasks by name; knows neither page nor session.

/**
 * @typedef {{ title: string, task: string | null, inputs?: Record<string, string>, text?: string, speech?: string }} Example
 *   task: null for whichever task the model that listens has
 */

/** @typedef {{ source: string, target: [string, number][] }} Sample target: text and phi */

/** @type {Sample} */
export const SAMPLE = {
  source: "The dog that you saw yesterday is asleep under the table.",
  target: [["Der Hund,", 2], [" den du", 5], [" gestern gesehen hast,", 6], [" schläft", 8], [" unter dem", 10], [" Tisch.", 11]],
};

/** @type {Example[]} */
export const EXAMPLES = [
  {
    title: "A translation",
    task: "translate",
    text: "When the last train had left, the old station master locked the door and walked home through the snow.",
  },
  {
    title: "A question, answered in mid-passage",
    task: "answer",
    inputs: { question: "Who was the captain?" },
    text:
      "Two small ships left Bergen in May. Their captain was Ingrid Solberg, who had sailed the northern route twice before. " +
      "Her crew of forty carried food for eight months, and nobody expected to see them again before the spring.",
  },
  { title: "Speech", task: null, speech: "web/speech.mp3" },
];
