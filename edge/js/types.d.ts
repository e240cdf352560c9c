// What the carriers hand to each other and to the core, for the type checker alone: it is neither built nor served.

declare namespace Edge {
  /** The variables and bindings of a deployment. The bare runtime gives `null` for what is not set. */
  interface Env extends Record<Binding, Objects> {
    ORIGIN?: string | null;
    ASSETS: Network;
    /** The runtime's own network for calls to the upstream. The platform has none. */
    UPSTREAM_NETWORK?: Network;
  }
  type Binding = "CREDENTIAL" | "WORKSPACE" | "DEPLOYMENT_OBJECT" | "CONVERSATION";
  type Network = Pick<Fetcher, "fetch">;
  interface Objects {
    getByName(name: string): { call(command: Uint8Array): Promise<Uint8Array> };
  }

  /** One request on its way through the core. */
  interface Road {
    env: Env;
    ctx: ExecutionContext;
    request: Request;
    body: ReadableStream<Uint8Array> | null;
    /** The epoch in which it began: its numbers mean nothing in another. */
    began: number;
    /** What has come of its body. */
    reading?: Partial<Reading>;
    /** The answer of the upstream, once its head has come. */
    upstream?: Response;
  }
  interface Reading {
    reader: ReadableStreamDefaultReader<Uint8Array>;
    bytes: Uint8Array<ArrayBuffer>;
    /** How many of `bytes` have come. */
    length: number;
    /** When the reading began, and when the last part came. */
    began: number;
    last: number;
    /** A part that was asked for and has not come. */
    next?: Promise<ReadableStreamReadResult<Uint8Array>>;
  }
  interface Clock {
    over: Promise<string>;
    timer: number;
  }

  /** `!…`, the answer, or `?…`, what is needed first. */
  type Step = string;
  /** What came of it: a body, a word or the head of an answer, or the replies of objects. */
  type Came = Uint8Array | string | Uint8Array[];
  type Guarded = <T>(call: () => T) => T;
  type Within = <T>(millis: number, promise: Promise<T>) => Promise<T | undefined>;
  type Run = <T>(use: (core: import("*/index.js").HostedObject) => T) => T;
  type Hop = (env: Env, binding: string, name: string, command: Uint8Array) => Promise<Uint8Array>;
  type Walk = (step: Step, road: Road) => Promise<Step>;
  /** Names and values, as `Response` and `fetch` take them. */
  type Headers = Record<string, string> | [string, string][];

  /** Where messages wait: the row of the first, and the object that it is for. */
  type Head = [key: string, binding: string, name: string];

  /** The rows of one object, as the core's `Storage` calls them. */
  interface Rows {
    storage: DurableObjectStorage;
    kv: SyncKvStorage;
    list(prefix: string, after: string | undefined, reverse: boolean, limit: number): Uint8Array;
  }
}

/** The core, as wasm-bindgen writes its glue. A test holds this against the glue itself. */
declare module "*/index.js" {
  export class HostedObject {
    constructor(_class: string, storage: Edge.Rows, env: Edge.Env);
    answered(key: string, reply: Uint8Array, now: number): string;
    are_delivered(awaited: string): boolean;
    awaited(): string;
    handle(command: Uint8Array, now: number): Uint8Array;
    heads(after: string): string;
    message(key: string): Uint8Array | undefined;
    pending(): Uint8Array;
    wake(now: number): boolean;
  }
  export function __wbg_reset_state(): void;
  export function begin(env: Edge.Env, headers: string, id: string, method: string, url: string, now: number, has_body: boolean): Edge.Step;
  export function command(id: number, number: number): Uint8Array;
  export function failed(): Uint8Array;
  export function hold(id: number, bytes: number): boolean;
  export function kept(id: number): Uint8Array;
  export function passed(id: number, is_whole: boolean, now: number): Edge.Step;
  export function resume(id: number): Edge.Step;
  export function resume_with_answer(id: number, head: string, now: number): Edge.Step;
  export function resume_with_body(id: number, body: Uint8Array, now: number): Edge.Step;
  export function resume_without_body(id: number, why: string, now: number): Edge.Step;
  export function supply(id: number, number: number, reply: Uint8Array): void;
  export function watch(id: number, part: Uint8Array): boolean;
}
