// The signed form of a credential, checked with the platform's own cryptography under a key that is kept:
// prefix ‖ base64url(version ‖ key id ‖ fields, each behind its length ‖ 32 bytes of HMAC-SHA-256 over all before).

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const keys = new Map();

async function keyOf(secret) {
  let key = keys.get(secret);
  if (!key) {
    key = await crypto.subtle.importKey("raw", bytesOf(secret), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    keys.set(secret, key);
  }
  return key;
}

function bytesOf(text) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at += 1) bytes[at] = binary.charCodeAt(at);
  return bytes;
}

/** The fields of `text`, as bytes; undefined unless the tag is genuine. */
export async function open(text, kind, secret, keyId) {
  const prefix = text.startsWith(`clv_${kind}_live_`) ? `clv_${kind}_live_` : `clv_${kind}_test_`;
  if (!text.startsWith(prefix) || text.length > 1_024) return undefined;
  let bytes;
  try {
    bytes = bytesOf(text.slice(prefix.length));
  } catch {
    return undefined;
  }
  const end = bytes.length - 32;
  if (end < 2 || bytes[0] !== 1 || bytes[1] !== keyId) return undefined;
  const message = new Uint8Array(prefix.length + end);
  encoder.encodeInto(prefix, message);
  message.set(bytes.subarray(0, end), prefix.length);
  if (!(await crypto.subtle.verify("HMAC", await keyOf(secret), bytes.subarray(end), message))) return undefined;
  const fields = [];
  for (let at = 2; at < end; ) {
    const next = at + 1 + bytes[at];
    if (next > end) return undefined;
    fields.push(bytes.subarray(at + 1, next));
    at = next;
  }
  return fields;
}

export const textOf = (field) => decoder.decode(field);
export const numberOf = (field) => Number(new DataView(field.buffer, field.byteOffset, 8).getBigUint64(0));
export const digitsOf = (field) => new DataView(field.buffer, field.byteOffset, 8).getBigUint64(0).toString();
