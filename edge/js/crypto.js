// The platform's cryptography: jobs by name, their parts as bytes. It computes, and decides nothing.

const EC = { name: "ECDSA", namedCurve: "P-256" };
const SHA = { name: "ECDSA", hash: "SHA-256" };

// Keys that sign often are imported once: by the base64 of what they were imported from.
/** @type {Map<string, CryptoKey>} */
const imported = new Map();
const MOST = 16;

/**
 * @param {"raw" | "pkcs8"} format
 * @param {Uint8Array} bytes
 * @param {SubtleCryptoImportKeyAlgorithm} algorithm
 * @param {string} usage
 */
async function key(format, bytes, algorithm, usage) {
  const name = `${usage}.${btoa(String.fromCharCode(...bytes))}`;
  if (!imported.has(name)) {
    if (imported.size >= MOST) imported.clear();
    imported.set(name, await crypto.subtle.importKey(format, bytes, algorithm, false, [usage]));
  }
  return /** @type {CryptoKey} */ (imported.get(name));
}

/** @param {Promise<ArrayBuffer | JsonWebKey>} promise of bytes: nothing here asks for a JWK */
const bytes = async (promise) => new Uint8Array(/** @type {ArrayBuffer} */ (await promise));

/**
 * @param {Uint8Array} first
 * @param {Uint8Array} rest
 */
const behind = (first, rest) => {
  const all = new Uint8Array(first.length + rest.length);
  all.set(first);
  all.set(rest, first.length);
  return all;
};

/** @type {Record<string, (...parts: Uint8Array[]) => Promise<Uint8Array>>} */
const JOBS = {
  async generate_p256() {
    const pair = await crypto.subtle.generateKey(EC, true, ["sign", "verify"]);
    const { publicKey, privateKey } = /** @type {CryptoKeyPair} */ (pair);
    return behind(await bytes(crypto.subtle.exportKey("raw", publicKey)), await bytes(crypto.subtle.exportKey("pkcs8", privateKey)));
  },
  async sign_p256(pkcs8, message) {
    return bytes(crypto.subtle.sign(SHA, await key("pkcs8", pkcs8, EC, "sign"), message));
  },
  async verify_p256(point, message, signature) {
    const isGood = await crypto.subtle.verify(SHA, await key("raw", point, EC, "verify"), signature, message).catch(() => false);
    return Uint8Array.of(isGood ? 1 : 0);
  },
  async seal_aes_256_gcm(secret, iv, additionalData, plain) {
    const own = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["encrypt"]);
    return bytes(crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData }, own, plain));
  },
  async open_aes_256_gcm(secret, iv, additionalData, sealed) {
    const own = await crypto.subtle.importKey("raw", secret, "AES-GCM", false, ["decrypt"]);
    const opened = crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData }, own, sealed);
    return opened.then((plain) => behind(Uint8Array.of(1), new Uint8Array(plain)), () => Uint8Array.of(0));
  },
};

/**
 * One job: its answer, or nothing where it could not be done. No word of what was handed in.
 * @param {string} job
 * @param {Uint8Array} packed
 */
export async function work(job, packed) {
  try {
    const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
    const parts = [];
    for (let at = 0; at < packed.length; at += 4 + parts[parts.length - 1].length) {
      parts.push(packed.slice(at + 4, at + 4 + view.getUint32(at)));
    }
    return await JOBS[job](...parts);
  } catch (error) {
    console.error(`no answer from the platform's ${job}: ${error?.name}`);
    return new Uint8Array();
  }
}
