// What can be played with one click: the texts of `proactivellm demo`, on which the shipped models do what the titles say. Knows tasks by name; knows neither page nor session.

/**
 * @typedef {{ title: string, task: string | null, missing: string, inputs?: Record<string, string>, text?: string, speech?: string }} Example
 *   task: null for whichever task the model that listens has; missing: what is said where no model has it
 */

/** @typedef {{ source: string, target: [string, number][] }} Sample target: text and phi */

/** @type {Sample} */
export const SAMPLE = {
  source: "The dog that you saw yesterday is asleep under the table.",
  target: [["Der Hund,", 2], [" den du", 5], [" gestern gesehen hast,", 6], [" schläft", 8], [" unter dem", 10], [" Tisch.", 11]],
};

/** What is said where speech is asked for and no model listens. */
export const DEAF = "No model on this server listens: all of them take text only.";

/** @type {Example[]} */
export const EXAMPLES = [
  {
    title: "A translation",
    task: "translate",
    missing: "No model on this server translates: this example needs one with the task translate.",
    text:
      "It was raining when I left the house this morning. I had forgotten my umbrella, so I went back to get it. " +
      "When I got to the station, the train had already left. I had to wait an hour for the next one.",
  },
  {
    title: "A question, answered in mid-passage",
    task: "answer",
    missing: "No model on this server answers questions: this example needs one with the task answer, such as checkpoints/answer.",
    inputs: { question: "Who built the old mill by the river?" },
    text:
      "The old mill by the river was built in 1846 by a baker called Thomas Reed. His daughter Anna ran it for thirty years and sold it " +
      "to the town. Today there is a museum in it, which is open from April to October. In the yard behind it there are two donkeys " +
      "and a small garden.",
  },
  { title: "Speech", task: null, missing: DEAF, speech: "web/speech.mp3" },
];
