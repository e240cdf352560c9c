// Builds the worker again after an edit. What does not compile changes nothing: the last good build goes on serving, and the
// compiler's words stand on the terminal.
import { spawn } from 'node:child_process';
import { watch } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['src', 'policies'];
const QUIET_MILLIS = 150; // an editor writes a file in several steps

/** Watches the sources under `root`; answers `{stop}`. */
export function watchSources(root) {
  let timer, building, again = false;

  function build() {
    if (building) {
      again = true;
      return;
    }
    const began = Date.now();
    console.log('build  │ compiling …');
    const command = ['run', '--quiet', '--locked', '--manifest-path', 'tools/wasm/Cargo.toml', '--', '--quick', '--out', 'build-dev'];
    building = spawn('cargo', command, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    const ended = (code) => {
      building = undefined;
      const seconds = ((Date.now() - began) / 1000).toFixed(1);
      console.log(code === 0 ? `build  │ built in ${seconds} s` : 'build  │ it does not compile: the build before it goes on serving');
      if (again) {
        again = false;
        build();
      }
    };
    building.once('error', () => ended(1));
    building.once('exit', ended);
  }

  const watchers = FOLDERS.map((folder) => watch(join(root, folder), { recursive: true }, () => {
    clearTimeout(timer);
    timer = setTimeout(build, QUIET_MILLIS);
  }));
  return {
    stop() {
      clearTimeout(timer);
      again = false;
      watchers.forEach((watcher) => watcher.close());
      building?.kill();
    },
  };
}
