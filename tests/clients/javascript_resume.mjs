// One session with the JavaScript client over connections that break: url, words. Prints its events as JSON.

import { connect } from "../../clients/javascript/src/index.js";

const [url, words] = process.argv.slice(2);
const client = await connect(url, { resume: true });
const session = await client.session("echo", { threshold: 0.4 });
const speak = async () => {
  for (const word of words.split(" ")) await session.send(`${word} `);
  await session.end();
};
const speaking = speak();
const events = [];
for await (const event of session) events.push(event);
await speaking;
await client.close();
console.log(JSON.stringify(events));
