// Sound in: the microphone or a recording, as pcm16 pieces of 100 ms in real time. Knows Web Audio; knows no session.

import { level, toPcm16 } from "./pcm.js";

const RATE = 16_000; // Hz, what the model hears: nothing is gained by more
const PIECE = 0.1; // s

/** @typedef {(samples: Int16Array, level: number) => void} Listener level: 0 to 1 */

/** The microphone. Asks for permission in `open`, once the server has agreed to listen. */
export class Microphone {
  #context = newContext();
  /** @type {MediaStream | null} */
  #stream = null;

  /** Samples a second that `open` will give. */
  get rate() {
    return this.#context.sampleRate;
  }

  /** Throws an Error that says what to do. @param {Listener} listener */
  async open(listener) {
    if (!navigator.mediaDevices) throw new Error("A browser gives the microphone to pages over HTTPS or from this machine only.");
    try {
      this.#stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      const isDenied = /** @type {Error} */ (error).name === "NotAllowedError";
      throw new Error(isDenied ? "The microphone is not allowed for this page: the browser's settings for it have the switch." : "No microphone was found.");
    }
    await this.#context.resume();
    await this.#context.audioWorklet.addModule(new URL("worklet.js", import.meta.url));
    const node = new AudioWorkletNode(this.#context, "pieces", { numberOfOutputs: 0, processorOptions: { length: Math.round(PIECE * this.rate) } });
    node.port.onmessage = ({ data }) => listener(data.samples, data.level);
    this.#context.createMediaStreamSource(this.#stream).connect(node);
  }

  async close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    if (this.#context.state !== "closed") await this.#context.close();
  }
}

/** A recording, played to the listener as if it were spoken now. */
export class Recording {
  rate = RATE;
  #url;
  #isClosed = false;

  /** @param {string} url */
  constructor(url) {
    this.#url = url;
  }

  /** @param {Listener} listener */
  async open(listener) {
    const response = await fetch(this.#url);
    if (!response.ok) throw new Error("The recording is missing.");
    const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await response.arrayBuffer());
    const samples = decoded.getChannelData(0);
    const length = PIECE * RATE;
    for (let from = 0; from < samples.length && !this.#isClosed; from += length) {
      const piece = samples.subarray(from, from + length);
      listener(toPcm16(piece), level(piece));
      await new Promise((resolve) => setTimeout(resolve, PIECE * 1000));
    }
  }

  async close() {
    this.#isClosed = true;
  }
}

/** Firefox connects a microphone to a context of its own rate only; the server takes that as well. */
function newContext() {
  const isFirefox = navigator.userAgent.includes("Firefox/");
  return isFirefox ? new AudioContext() : new AudioContext({ sampleRate: RATE });
}
