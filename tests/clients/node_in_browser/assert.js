// node:assert/strict as far as the client's tests use it.

const shown = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));

function fail(message) {
  throw new Error(message);
}

function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b || Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key]));
}

function expected(error, what) {
  if (what === undefined) return;
  if (what instanceof RegExp) return what.test(String(error)) || fail(`expected an error like ${what}; got ${error}`);
  if (typeof what === "function" && (what === Error || what.prototype instanceof Error)) {
    return error instanceof what || fail(`expected ${what.name}; got ${error?.stack ?? error}`);
  }
  if (typeof what === "function") return what(error) === true || fail(`expected another error than ${error}`);
  for (const [key, value] of Object.entries(what)) {
    const fits = value instanceof RegExp ? value.test(error[key]) : same(error[key], value);
    if (!fits) fail(`expected ${key} ${shown(value)}; got ${shown(error[key])}`);
  }
}

const assert = {
  ok: (value, message = "expected what is true") => value || fail(message),
  equal: (got, wanted) => Object.is(got, wanted) || fail(`expected ${shown(wanted)}; got ${shown(got)}`),
  deepEqual: (got, wanted) => same(got, wanted) || fail(`expected ${shown(wanted)}; got ${shown(got)}`),
  throws(act, what) {
    try {
      act();
    } catch (error) {
      return expected(error, what);
    }
    fail("expected an error");
  },
  async rejects(act, what) {
    try {
      await (typeof act === "function" ? act() : act);
    } catch (error) {
      return expected(error, what);
    }
    fail("expected a rejection");
  },
};

export default assert;
