// Started by test_javascript.py: drives the real server with the JavaScript client, and prints what it saw as one line of JSON.
// Arguments: the server's URL, the words of the source, a key or nothing.

import { ServerError, connect } from "../../clients/javascript/src/index.js";

const [url, text, apiKey] = process.argv.slice(2);
const client = await connect(url, apiKey ? { apiKey } : {});
const seen = { events: [], refused: null, ping: await client.ping(), exchanged: "" };

await client.session("sing").catch((error) => {
  if (!(error instanceof ServerError)) throw error;
  seen.refused = [error.code, error.param];
});

const session = await client.session("echo", { threshold: 0.4 });
for (const word of text.split(" ")) await session.send(`${word} `);
await session.end();
for await (const event of session) seen.events.push(event);

const another = await client.session("echo", { tier: "high", include: ["decision"] });
await another.update({ tier: "low" });
for (const word of text.split(" ")) seen.exchanged += (await another.exchange(`${word} `)).map((write) => write.text).join("");
await another.end();
seen.whole = await another.text();
await client.close();
console.log(JSON.stringify(seen));
