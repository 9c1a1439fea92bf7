// The page: buttons, keys and fields on one side, a run and its views on the other. Holds the state, and nothing that can be drawn.

import { ConnectError } from "../javascript/src/index.js";
import { Curve } from "./curve.js";
import { DEAF, EXAMPLES, SAMPLE } from "./examples.js";
import { Flow } from "./flow.js";
import { Run } from "./run.js";
import { KeyError, Setup } from "./setup.js";
import { Microphone, Recording } from "./sound.js";
import { isComplete, pieces } from "./units.js";
import { amount, ending, explain, percent } from "./words.js";

const PACE = 280; // ms a word, when a whole text is played: a little faster than speech
const RELOAD = 2000; // ms between two looks at a server that is loading its models, or does not answer

/** @template {HTMLElement} [T=HTMLElement] @param {string} id */
const find = (id) => /** @type {T} */ (document.getElementById(id));
const source = /** @type {HTMLTextAreaElement} */ (find("source"));
const buttons = /** @type {Record<"end" | "stop" | "speak" | "copy", HTMLButtonElement>} */ (
  Object.fromEntries(["end", "stop", "speak", "copy"].map((id) => [id, find(id)]))
);
const views = { flow: new Flow(find("flow")), curve: new Curve(find("curve")), onEvent };
const setup = new Setup((change) => attempt(() => run?.update(change)), load);

/** @type {Run | null} */
let run = null;
/** How often something was stopped: what began before that is not wanted any more. */
let stops = 0;
/** Steps of the source, one after the other. @type {Promise<unknown>} */
let queue = Promise.resolve();
let queued = 0;
/** Until the last run is over. @type {Promise<unknown>} */
let following = Promise.resolve();

// ---- state

/** @param {"idle" | "starting" | "streaming" | "listening" | "done" | "error"} state @param {string} status */
function show(state, status) {
  document.body.dataset.state = state;
  find("status").textContent = status;
  const isRunning = ["starting", "streaming", "listening"].includes(state);
  buttons.stop.disabled = !isRunning;
  buttons.copy.disabled = !find("target").textContent;
  /** @type {HTMLSelectElement} */ (find("task")).disabled = isRunning;
  /** @type {HTMLFieldSetElement} */ (find("inputs")).disabled = isRunning;
  buttons.speak.setAttribute("aria-pressed", String(state === "listening"));
  if (isRunning) fail("");
}

/** @param {string} message @param {"error" | "note"} [kind] */
function fail(message, kind = "error") {
  find("error").textContent = message;
  find("error").className = kind;
  find("error").hidden = !message;
}

/** Runs a step; what goes wrong is shown. @param {() => unknown} step */
async function attempt(step) {
  try {
    await step();
  } catch (error) {
    const isRefused = /** @type {{ code?: string }} */ (error).code === "not_authorised";
    if (error instanceof KeyError || isRefused) setup.askForKey();
    if (!run || run.isOver) show("error", "Not streaming");
    fail(explain(error));
  }
}

async function load() {
  await attempt(async () => {
    const isLoaded = await setup.load().catch((error) => {
      if (error instanceof ConnectError) setTimeout(load, RELOAD);
      throw error;
    });
    fail("");
    offer();
    if (isStreaming()) return;
    if (isLoaded) return show("idle", `Ready · ${setup.choice?.model}`);
    show("idle", "The models are being loaded…");
    setTimeout(load, RELOAD);
  });
}

// ---- one session

/** Null if it was stopped meanwhile. @param {import("../javascript/index.d.ts").StartOptions} [more] */
async function begin(more) {
  const before = stops;
  await following;
  show("starting", "Starting…");
  const { task, options } = setup.options();
  const started = await Run.start({ task, options: { ...options, ...more }, key: setup.key }, views);
  find("target").textContent = "";
  for (const id of ["rco", "ail", "units", "tokens"]) find(id).textContent = "–";
  find("units-unit").textContent = started.unit === "ms" ? "of speech heard" : "words read";
  find("ail-unit").textContent = `${started.unit === "ms" ? "" : "words "}behind, on average (AIL)`;
  run = started;
  show(more ? "listening" : "streaming", more ? "Listening" : "Streaming");
  following = attempt(() => started.follow());
  if (stops === before) return started;
  await started.cancel();
  return null;
}

/** @param {import("../javascript/index.d.ts").Event} event @param {"word" | "ms"} unit */
function onEvent(event, unit) {
  if (event.type === "write") {
    find("target").append(event.text);
    find("tokens").textContent = String(event.index + event.count);
  }
  if (event.type === "write" || event.type === "read") {
    document.body.dataset.action = event.type;
    find("units").textContent = amount(event.phi, unit);
  }
  if (event.type === "error") fail(`${event.code}: ${event.message}`);
  if (event.type === "going_away") fail(`The server stops in ${event.seconds} seconds.`);
  if (event.type !== "done") return;
  find("target").textContent = event.text;
  find("rco").textContent = percent(event.rco);
  find("ail").textContent = amount(event.ail, unit);
  find("units").textContent = amount(event.usage.source_units, unit);
  find("tokens").textContent = String(event.usage.target_tokens);
  show(event.reason === "error" ? "error" : "done", ending(event));
}

async function stop() {
  stops += 1;
  await run?.cancel();
}

/** Sends a text word by word, each in its time if there are many. @param {string} text @param {Run} to */
async function play(text, to) {
  const words = pieces(text);
  const before = stops;
  for (const word of words) {
    if (to.isOver || stops > before) return;
    await to.send(word);
    if (words.length > 1) await new Promise((resolve) => setTimeout(resolve, PACE));
  }
}

// ---- what a user does

/** @param {() => Promise<unknown>} step */
function enqueue(step) {
  queued += 1;
  queue = queue.then(() => attempt(step)).then(() => (queued -= 1));
}

/** True from the first word on, while the session is being started as well. */
function isStreaming() {
  return queued > 0 || (run !== null && !run.isOver);
}

function takeTyped() {
  const text = source.value;
  source.value = "";
  if (!text.trim()) return;
  enqueue(async () => {
    const to = run && !run.isOver ? run : await begin();
    if (to) await play(text, to);
  });
}

/** @returns {boolean} */
function isAsked() {
  const { missing } = setup;
  missing?.focus();
  fail(missing ? `Fill in the ${missing.name.replaceAll("_", " ")} first.` : "");
  return !missing;
}

source.addEventListener("input", (event) => {
  const isComposing = /** @type {InputEvent} */ (event).isComposing;
  if (!isComposing && isComplete(source.value) && (isStreaming() || isAsked())) takeTyped();
});
source.addEventListener("compositionend", () => source.dispatchEvent(new Event("input")));
source.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  /** @type {HTMLFormElement} */ (find("composer")).requestSubmit();
});
find("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!isStreaming()) {
    if (!source.value.trim()) return source.focus();
    if (!isAsked()) return;
  }
  takeTyped();
  enqueue(async () => run?.end());
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") void attempt(stop);
});
buttons.stop.addEventListener("click", () => attempt(stop));
buttons.copy.addEventListener("click", () => attempt(() => navigator.clipboard.writeText(find("target").textContent ?? "")));

/** @param {import("./run.js").Sound} sound */
function listen(sound) {
  void attempt(stop);
  enqueue(async () => {
    try {
      const started = await begin({ modality: "audio", audio: { format: "pcm16", rate: sound.rate, channels: 1 } });
      await started?.listen(sound);
      if (sound instanceof Recording) await started?.end();
    } catch (error) {
      await sound.close();
      await stop();
      throw error;
    }
  });
}

buttons.speak.addEventListener("click", () => {
  if (document.body.dataset.state === "listening") return enqueue(async () => run?.end());
  if (!isOffered(null, DEAF)) return;
  setup.choose(null);
  if (isAsked()) listen(new Microphone());
});

/** Dims what no model here can do. */
function offer() {
  const examples = find("examples").querySelectorAll("button");
  const mark = (/** @type {Element} */ button, /** @type {string | null} */ task) => button.setAttribute("aria-disabled", String(!setup.offers(task)));
  EXAMPLES.forEach(({ task }, index) => mark(examples[index], task));
  mark(buttons.speak, null);
}

/** Says so if there is no model for it. @param {string | null} task @param {string} missing */
function isOffered(task, missing) {
  const isOffered = setup.offers(task);
  if (!isOffered) fail(setup.choice ? missing : "The server has not named its models yet.", "note");
  return isOffered;
}

for (const example of EXAMPLES) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = example.title;
  button.addEventListener("click", () => {
    if (!isOffered(example.task, example.missing)) return;
    setup.choose(example.task, example.inputs ?? {});
    find("picture").scrollIntoView({ block: "nearest" });
    if (example.speech) return listen(new Recording(example.speech));
    void attempt(stop);
    enqueue(async () => {
      const started = await begin();
      if (!started) return;
      await play(example.text ?? "", started);
      await started.end();
    });
  });
  find("examples").append(button);
}

views.flow.sample(SAMPLE);
void load();
