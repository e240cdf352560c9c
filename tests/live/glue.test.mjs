// The core's glue, as wasm-bindgen writes it: what the carriers believe of it, `types.d.ts` says, and `make lint` believes that.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";

const ROOT = resolve(import.meta.dirname, "../..");
// What the glue does not tell apart.
const KNOWN = { "Edge.Step": "string", "Edge.Env": "any", "Edge.Rows": "any", "Uint8Array | number[]": "Uint8Array" };
const plain = (type) => KNOWN[type] ?? type;

/** `name(parameter: type, …): type` of every function and method, by the comment that stands before it. */
function written(glue) {
  const found = new Set(["__wbg_reset_state(): void"]);
  for (const [, comment, name, names] of glue.matchAll(/\/\*\*((?:(?!\*\/)[^])*)\*\/\s+(?:export function )?(\w+)\(([^)]*)\) \{/g)) {
    const types = new Map(Array.from(comment.matchAll(/@param \{(.+)\} (\w+)/g), ([, type, name]) => [name, plain(type)]));
    const parameters = names.split(", ").filter(Boolean).map((name) => `${name}: ${types.get(name)}`);
    const answer = name === "constructor" ? "" : `: ${plain(comment.match(/@returns \{(.+)\}/)?.[1] ?? "void")}`;
    found.add(`${name}(${parameters.join(", ")})${answer}`);
  }
  return found;
}

test("the core has every function that the carriers' types say it has", () => {
  const types = readFileSync(join(ROOT, "edge/js/types.d.ts"), "utf8").split('declare module "*/index.js"')[1];
  const glue = written(readFileSync(join(ROOT, "build/index.js"), "utf8"));
  const declared = Array.from(types.matchAll(/^ +(?:export function )?(\w+\(.*);$/gm), ([, line]) =>
    line.replace(/(?<=: )[^,():]+(?=[,)]|$)/g, plain));
  assert.ok(declared.length > 20, `only ${declared.length}`);
  for (const line of declared) assert.ok(glue.has(line), `${line} is not among\n${[...glue].join("\n")}`);
});
