
// A control: a change of a key is answered while the objects that admit for it do not know of it yet. On one machine they
// would know at once: here a delivery takes as long as between two towns.
function distance(object, awaited) {
  const [target] = (awaited || "").split("#");
  object.told ??= new Set();
  const isChange = object.told.has(target);
  object.told.add(target);
  return isChange ? scheduler.wait(20) : Promise.resolve();
}
