// Runs in the audio thread: gathers the microphone's frames of 128 samples to pieces of pcm16. Knows nothing else.

import { level, toPcm16 } from "./pcm.js";

class Pieces extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.piece = new Float32Array(processorOptions.length);
    this.filled = 0;
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.piece[this.filled++] = sample;
      if (this.filled === this.piece.length) {
        const samples = toPcm16(this.piece);
        this.port.postMessage({ samples, level: level(this.piece) }, [samples.buffer]);
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("pieces", Pieces);
