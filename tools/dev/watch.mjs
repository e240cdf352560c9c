// Builds the worker again after an edit. What does not compile changes nothing: the last good build goes on serving, and the
// compiler's words stand on the terminal.
import { spawn } from 'node:child_process';
import { readdirSync, watch } from 'node:fs';
import { join } from 'node:path';

const FOLDERS = ['src', 'edge', 'policies'];
const QUIET_MILLIS = 150; // an editor writes a file in several steps

const COMPILE = ['run', '--quiet', '--locked', '--manifest-path', 'tools/wasm/Cargo.toml', '--', '--quick', '--out', 'build-dev'];
const compileIn = (root) => spawn('cargo', COMPILE, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });

/** Watches the sources under `root`; answers `{stop}`. `compile` starts a build and answers its process. */
export function watchSources(root, compile = compileIn) {
  let timer, building, again = false, stopped = false;

  function build() {
    if (building) {
      again = true;
      return;
    }
    const began = Date.now();
    console.log('build  │ compiling …');
    building = compile(root);
    const ended = (code) => {
      building = undefined;
      if (stopped) return;
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

  // Each folder by itself, and all of them anew after each edit: on Linux, `recursive` loses a file once an editor has put
  // another one in its place.
  let watchers = [];
  function watchAll() {
    const before = watchers;
    watchers = FOLDERS.map((folder) => join(root, folder)).flatMap((folder) => [folder, ...within(folder)]).flatMap(watchOne);
    before.forEach((watcher) => watcher.close());
  }
  const within = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  function watchOne(folder) {
    try {
      return [watch(folder, edited).on('error', () => {})];
    } catch {
      return []; // it went away meanwhile, which its own folder tells
    }
  }
  function edited() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      watchAll();
      build();
    }, QUIET_MILLIS);
  }
  watchAll();
  return {
    stop() {
      stopped = true;
      clearTimeout(timer);
      again = false;
      watchers.forEach((watcher) => watcher.close());
      building?.kill();
    },
  };
}
