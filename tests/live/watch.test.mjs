// What `make dev` does with an edit: a build begins after each, however an editor writes its files.

import assert from "node:assert/strict";
import { execSync } from "node:child_process";
import { EventEmitter } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { after, test } from "node:test";
import { watchSources } from "../../tools/dev/watch.mjs";

const root = mkdtempSync(join(tmpdir(), "claviger-watch-"));
after(() => rmSync(root, { recursive: true, force: true }));

test("n7 a build begins after each edit, also of a file that an editor put another one in the place of", async () => {
  for (const folder of ["src/a", "edge", "policies"]) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, "src/a/f"), "1");
  let builds = 0;
  const watching = watchSources(root, () => {
    builds += 1;
    const building = new EventEmitter();
    building.kill = () => {};
    setImmediate(() => building.emit("exit", 0));
    return building;
  });
  const edits = [
    "sed -i s/1/2/ src/a/f", "echo 3 > src/a/f", "sed -i s/3/4/ src/a/f", "sed -i s/4/5/ src/a/f",
    "mkdir src/b", "echo x > src/b/g", "sed -i s/x/y/ src/b/g", "rm -r src/b", "mkdir src/b", "echo x > src/b/g", "echo z > policies/p",
  ];
  for (const edit of edits) {
    const before = builds;
    execSync(edit, { cwd: root });
    for (let waited = 0; builds === before && waited < 5_000; waited += 20) await sleep(20);
    assert.ok(builds > before, edit);
    await sleep(400); // an editor's later steps belong to the same edit
  }
  watching.stop();
});
