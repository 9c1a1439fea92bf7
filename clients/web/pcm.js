// Samples as they go over the wire. Used in the page and in the audio thread; knows nothing of either.

/** @param {Float32Array} samples -1 to 1 */
export function toPcm16(samples) {
  return Int16Array.from(samples, (sample) => Math.max(-1, Math.min(1, sample)) * 32767);
}

/** Loudness of some samples, 0 to 1; ordinary speech comes to about a half. @param {Float32Array} samples */
export function level(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.min(1, Math.sqrt(power) * 5);
}
