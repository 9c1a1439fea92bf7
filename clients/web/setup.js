// The form above the stream: task, its inputs, tier or threshold, key. Made from /v1/models; knows no session.

import { ConnectError } from "../javascript/src/index.js";

/**
 * @typedef {{ model: string, task: string, unit: string, inputs: Record<string, { description: string, default: string | null }>, tier: string | null,
 *   tiers: string[] }} Choice
 */

/** A key is needed, or another one. */
export class KeyError extends Error {}

/** @template {HTMLElement} [T=HTMLElement] @param {string} id */
const find = (id) => /** @type {T} */ (document.getElementById(id));

export class Setup {
  /** @type {Choice[]} */
  #choices = [];
  #task = /** @type {HTMLSelectElement} */ (find("task"));
  #threshold = /** @type {HTMLInputElement} */ (find("threshold"));
  #key = /** @type {HTMLInputElement} */ (find("key"));

  /** @param {(change: { tier: string } | { threshold: number }) => void} onTune @param {() => void} onKey */
  constructor(onTune, onKey) {
    this.#task.addEventListener("change", () => this.#show());
    this.#key.addEventListener("change", onKey);
    find("tier-choices").addEventListener("change", () => onTune({ tier: this.#tier ?? "" }));
    this.#threshold.addEventListener("change", () => {
      if (Number.isFinite(this.#threshold.valueAsNumber)) onTune({ threshold: this.#threshold.valueAsNumber });
    });
    find("setup").addEventListener("submit", (event) => event.preventDefault());
  }

  get key() {
    return this.#key.value.trim();
  }

  /** Shows the field for a key. */
  askForKey() {
    find("key-field").hidden = false;
    this.#key.focus();
  }

  /** Asks the server what it has. Throws KeyError, or Error if it does not answer; false while its models are being loaded. */
  async load() {
    /** @type {HeadersInit} */
    const headers = this.key ? { Authorization: `Bearer ${this.key}` } : {};
    const response = await fetch("v1/models", { headers }).catch(() => {
      throw new ConnectError("expected a list of models; got no answer");
    });
    if (response.status === 401) throw new KeyError("This server needs an API key.");
    if (!response.ok) throw new Error(`The server answered ${response.status}.`);
    const { data } = await response.json();
    this.#choices = data.flatMap(toChoices);
    const several = data.length > 1;
    const options = this.#choices.map(({ model, task }, index) => new Option(several ? `${task} · ${model}` : task, String(index)));
    this.#task.replaceChildren(...options);
    this.#show();
    // Models are listed as they come, and no session starts before the last.
    const { status } = await (await fetch("readyz")).json();
    return status !== "loading";
  }

  /** What is chosen. @returns {Choice | undefined} */
  get choice() {
    return this.#choices[this.#task.selectedIndex];
  }

  /** Whether a model has the task, or listens. @param {string | null} task */
  offers(task) {
    return this.#choices.some((choice) => isFor(task, choice));
  }

  /**
   * Chooses a task, or any that listens; the one that is chosen, if it will do.
   * @param {string | null} task @param {Record<string, string>} [inputs] instead of what the fields hold
   */
  choose(task, inputs) {
    if (!this.choice || !isFor(task, this.choice)) {
      this.#task.selectedIndex = this.#choices.findIndex((choice) => isFor(task, choice));
      this.#show();
    }
    if (inputs) for (const field of this.#fields()) field.value = inputs[field.name] ?? field.defaultValue;
  }

  /** The first input that must be filled in and is not. */
  get missing() {
    return this.#fields().find(({ required, value }) => required && !value.trim());
  }

  /** Task and options of a session. */
  options() {
    const { choice } = this;
    if (!choice) throw new Error("The models are still being loaded.");
    const inputs = Object.fromEntries(this.#fields().map(({ name, value }) => [name, value]));
    const threshold = this.#threshold.valueAsNumber;
    /** @type {import("../javascript/index.d.ts").StartOptions} */
    const options = { model: choice.model, inputs, include: ["decision"] };
    if (this.#tier) options.tier = this.#tier;
    else if (Number.isFinite(threshold)) options.threshold = threshold;
    return { task: choice.task, options };
  }

  get #tier() {
    return /** @type {HTMLInputElement | null} */ (document.querySelector("#tier-choices input:checked"))?.value ?? null;
  }

  #fields() {
    return /** @type {HTMLInputElement[]} */ ([...find("inputs").querySelectorAll("input")]);
  }

  #show() {
    const { choice } = this;
    if (!choice) return;
    find("task-field").hidden = false;
    find("inputs").replaceChildren(...Object.entries(choice.inputs).map(([name, input]) => inputField(name, input)));
    find("tiers").hidden = choice.tiers.length === 0;
    find("threshold-field").hidden = choice.tiers.length > 0;
    find("tier-choices").replaceChildren(...choice.tiers.flatMap((tier) => tierChoice(tier, tier === choice.tier)));
  }
}

/** @param {string | null} task null for any that listens @param {Choice} choice */
function isFor(task, choice) {
  return task === null ? choice.unit === "ms" : choice.task === task;
}

/** @param {any} model as /v1/models lists it @returns {Choice[]} */
function toChoices(model) {
  return Object.entries(model.tasks).map(([task, { inputs, default_head: head, default_tier: tier, tiers }]) => ({
    model: model.id,
    task,
    unit: model.unit,
    inputs,
    tier,
    tiers: Object.entries(tiers[head] ?? {})
      .sort(([, one], [, other]) => one.threshold - other.threshold)
      .map(([name]) => name),
  }));
}

/** @param {string} name @param {{ description: string, default: string | null }} input */
function inputField(name, { description, default: value }) {
  const field = document.createElement("label");
  const title = document.createElement("span");
  const input = document.createElement("input");
  field.className = "field";
  title.textContent = name.replaceAll("_", " ");
  Object.assign(input, { name, defaultValue: value ?? "", required: value === null, placeholder: description });
  field.append(title, input);
  return field;
}

/** @param {string} tier @param {boolean} isChosen */
function tierChoice(tier, isChosen) {
  const input = document.createElement("input");
  const label = document.createElement("label");
  Object.assign(input, { type: "radio", name: "tier", value: tier, id: `tier-${tier}`, checked: isChosen });
  label.htmlFor = input.id;
  label.textContent = tier;
  return [input, label];
}
