// Never run: `npm run check` proves with it that src/ is what index.d.ts says.
import type * as declared from "../index.d.ts";
import * as written from "../src/index.js";

export const package_: typeof declared = written;
