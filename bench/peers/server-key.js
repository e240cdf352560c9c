// A server key as text: a prefix, then 32 characters of base62, which are the name of its object (8), the secret (18)
// and a check (6) under a key of the deployment. The check keeps strangers off storage; the proof is the digest.

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const FORM = /^clv_(live|test)_([0-9A-Za-z]{8})[0-9A-Za-z]{18}([0-9A-Za-z]{6})$/;
const CHECK = 6;
const encoder = new TextEncoder();
let imported;

async function keyOf(secret) {
  const bytes = Uint8Array.from(atob(secret.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  return (imported ??= await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]));
}

async function checkOf(text, secret) {
  const tag = await crypto.subtle.sign("HMAC", imported ?? (await keyOf(secret)), encoder.encode(text));
  let number = Number(new DataView(tag).getBigUint64(0) % 62n ** BigInt(CHECK));
  let check = "";
  for (let at = 0; at < CHECK; at += 1, number = Math.floor(number / 62)) check += ALPHABET[number % 62];
  return check;
}

async function digestOf(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
  return btoa(String.fromCharCode(...bytes));
}

/** What the key's object must know; undefined unless the check is genuine. */
export async function open(text, secret) {
  const form = FORM.exec(text);
  if (!form) return undefined;
  const [check, digest] = await Promise.all([checkOf(text.slice(0, -CHECK), secret), digestOf(text)]);
  if (check !== form[3]) return undefined;
  return { environment: form[1], locator: form[2], digest };
}

/** A new key, and what is kept of it. */
export async function issue(secret) {
  const random = crypto.getRandomValues(new Uint8Array(26));
  const text = `clv_live_${Array.from(random, (byte) => ALPHABET[byte % 62]).join("")}`;
  const key = text + (await checkOf(text, secret));
  return { key, ...(await open(key, secret)) };
}
