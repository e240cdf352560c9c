// What the widget's file names in its JSDoc, and what browsers allow that TypeScript's own declarations leave out.

/** A conversation, as the store keeps it. */
interface Chat {
  conversation: string;
  history_secret: string;
  expires_at: string;
  /** Id of the operator's last message that was read. */
  seen?: string;
}

/** A message that is not accepted yet. */
interface Item {
  text: string;
  /** Its Idempotency-Key. */
  key: string;
  failed?: boolean;
  row: HTMLElement;
}

/** Why a call failed. `busy` and `ended` are never shown. */
type Kind = "offline" | "refused" | "identity" | "anonymous" | "limited" | "broken" | "rejected" | "busy" | "ended";

/** What the status line says, and which half of the work found it. */
interface Trouble {
  problem: { kind: Kind };
  from: "send" | "read";
}

type Listener = [target: EventTarget, type: string, heard: (event: any) => unknown];

/** Does the job while no other tab does one. */
type Locked = <T>(job: () => Promise<T>) => Promise<T>;

/** `null` is what an empty store answers, and is JSON. */
interface JSON {
  parse(text: string | null): any;
}

/** With no prototype an object has nothing that a script of the page could have put there. */
interface PropertyDescriptor {
  __proto__?: null;
}
interface MutationObserverInit {
  __proto__?: null;
}
