
// A control: half of a change's rows are committed, and the others a moment later. A kill in between leaves half a change.
function torn(storage) {
  let written;
  const kv = {
    get: (key) => storage.kv.get(key),
    list: (options) => storage.kv.list(options),
    put: (key, value) => written.push(() => storage.kv.put(key, value)),
    delete: (key) => written.push(() => storage.kv.delete(key)),
  };
  return {
    kv,
    rest: undefined,
    setAlarm: (moment) => storage.setAlarm(moment),
    transactionSync(write) {
      written = [];
      write();
      const half = written.splice(0, Math.ceil(written.length / 2));
      const others = written;
      storage.transactionSync(() => half.forEach((row) => row()));
      this.rest = scheduler.wait(1).then(() => storage.transactionSync(() => others.forEach((row) => row())));
    },
  };
}
