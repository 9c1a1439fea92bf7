// node:test as far as the client's tests use it: they are collected, then run one after the other.

const collected = [];

export function test(name, ...rest) {
  collected.push([name, rest.at(-1)]);
}

/** [name, what went wrong or ""] of each. */
export async function results() {
  const found = [];
  for (const [name, act] of collected.splice(0)) {
    try {
      await act();
      found.push([name, ""]);
    } catch (error) {
      found.push([name, String(error?.stack ?? error)]);
    }
  }
  return found;
}
