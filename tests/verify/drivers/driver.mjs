// Judges each line of requests by the snippet beside it; one line of JSON in, one out.
import { createInterface } from "node:readline";
import { identity } from "./identity.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  const values = JSON.parse(line)
    .filter(([name]) => name.toLowerCase() === "x-kombo-assertion")
    .map(([, value]) => value);
  let said;
  try {
    said = { claims: await identity(values) };
  } catch (error) {
    said = { refused: String(error) };
  }
  console.log(JSON.stringify(said));
}
