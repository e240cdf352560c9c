// A server key whose tier has leases: nearly every call is admitted by the isolate that it comes to.

import { keyCase, prepareKeys } from "./keys.mjs";

/** Everybody who answers it: the empty worker with the same words, and one object that counts in memory. */
export const PEERS = ["counter-object", "mute"];

/** One key of ours; the peers look at none. */
export async function prepareLease(workers) {
  const { "counter-object": counter, ...others } = workers;
  const world = await prepareKeys(others, "leased");
  if (counter) world.keys["counter-object"] = world.keys.mute ?? world.keys.ours;
  return world;
}

/** The call of that key. */
export const leaseCase = (world) => keyCase("lease", world);
