
// A control: the windows of limits, the usage of server keys, and what Idempotency-Keys stand for, are in memory, so that a kill forgets them.
function forgetful(storage) {
  const memory = new Map();
  const isWindow = (key) => key === "ceiling" || key === "account" || /^(window|once|once-answer)\//.test(key);
  const kv = {
    get: (key) => (isWindow(key) ? memory.get(key) : storage.kv.get(key)),
    list: (options) => storage.kv.list(options),
    put: (key, value) => (isWindow(key) ? memory.set(key, value) : storage.kv.put(key, value)),
    delete: (key) => (isWindow(key) ? memory.delete(key) : storage.kv.delete(key)),
  };
  return {
    kv,
    setAlarm: (moment) => storage.setAlarm(moment),
    transactionSync: (write) => storage.transactionSync(write),
  };
}
