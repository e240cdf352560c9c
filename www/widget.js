// The Claviger chat widget: one script tag puts a chat button on a page, and this file is all of it.
//
//   <script async src="https://WORKER/widget.js" data-key="clv_wk_live_…"></script>
//
// Options, calls and policies: docs/widget.md. Text is only ever written as text, no cookie is set, and nothing is fetched
// before the panel opens, unless this browser has a conversation already.
//
// It is a guest: markup covers what `document` has (<img name="body">) and what `window` lacks (<a id="claviger">), so
// nothing here is found by a name that markup could take.
(() => {
  'use strict';
  const page = new Proxy(/** @type {Document} */ ({}), {
    get(_, name) {
      const found = Reflect.get(Document.prototype, name, document);
      return typeof found === 'function' ? found.bind(document) : found;
    },
  });
  const isHidden = () => page.hidden || document.hidden === true || document.visibilityState === 'hidden';
  const add = EventTarget.prototype.addEventListener;
  const isText = (value, form = /\S/) => typeof value === 'string' && form.test(value);
  const wellFormed = (text) => text.replace(/[\uD800-\uDFFF]/gu, '\uFFFD');       // a lone surrogate is not valid text in JSON
  const complain = (...words) => console.error('Claviger:', ...words);

  // ---- whom to ask, and with which key: the tag, the fragment of its address, window.clavigerConfig ------------------

  // What a script of the page has set: what markup names is not window's own.
  const set = (name) => (Object.hasOwn(window, name) ? window[name] : undefined);
  const config = set('clavigerConfig');
  const isPlain = !!config && [Object.prototype, null].includes(Object.getPrototypeOf(config));
  if (config !== undefined && !isPlain) complain('window.clavigerConfig is no plain object; it is not used.');
  const configured = (name) => (isPlain && Object.hasOwn(config, name) ? config[name] : undefined);

  const parse = (text, base) => { try { return new URL(text, base); } catch { return undefined; } };
  const isOurs = (url) => /^https?:.*\/widget\.js$/.test(url && url.protocol + url.pathname);
  // The engine says where this code runs from: an address, or `null` where a loader has evaluated the text.
  const [frame] = String(new Error().stack).split('\n').filter((line) => /:\d+:\d+\)?$/.test(line));
  const running = frame ? parse(/(https?:\/\/[^\s()]+):\d+:\d+\)?$/.exec(frame)?.[1]) ?? null : undefined;
  // Not `script.src`: that follows a <base>, which markup may have brought in since.
  const address = (script) => (script.hasAttribute('src') ? parse(script.getAttribute('src'), running ?? location.href) : undefined);
  const inFragment = (url, name) => new URLSearchParams(url?.hash.slice(1)).get(name);
  const keyIn = (text) => /^\W*([a-z0-9]{2,8}_wk_(?:test|live)_[\w-]+)\W*$/.exec(text)?.[1];
  const keyOf = (script) => keyIn(script.getAttribute('data-key')) ?? keyIn(inFragment(address(script), 'key'));

  function findTag() {
    const isTag = (node) => node instanceof HTMLScriptElement && isOurs(address(node));
    const current = page.currentScript;
    if (running !== null && isTag(current)) return current;
    // A module or an evaluated text: nobody says which tag it was, but the engine may say which address.
    const known = isOurs(running);
    const tags = [...page.scripts].filter((node) => isTag(node)
      && (known ? ['origin', 'pathname', 'search'].every((part) => address(node)?.[part] === running?.[part]) : keyOf(node)));
    const differ = new Set(tags.map((node) => `${address(node)?.origin}${keyOf(node)}`)).size > 1;
    if (differ) complain(`several tags of the chat are on this page: ${known ? 'the first is used' : 'leave one, or set window.clavigerConfig = {origin, key}'}.`);
    return differ && !known ? undefined : tags[0];
  }
  const tag = findTag();
  const from = tag ? address(tag) : isOurs(running) ? running : undefined;
  const options = (name) => [tag?.getAttribute(`data-${name}`), inFragment(from, name), configured(name)].filter((value) => isText(value));

  const KEY = options('key').map(keyIn).find(Boolean);
  const TITLE = wellFormed(options('title')[0] ?? 'Chat with us').trim();
  const origin = configured('origin');
  const WORKER = (origin === undefined ? from : parse(String(origin)))?.origin;
  const BASE = `${WORKER}/w/${KEY}/conversations`;
  if (!KEY) {
    return complain(options('key').length
      ? 'data-key is not a widget key. Only a key with _wk_ in it may stand in a page; if this is a server key, revoke it.'
      : 'there is no widget key. Set data-key="…" on the tag, widget.js#key=… as its address, or window.clavigerConfig = {key: "…"} before it.');
  }
  if (!/^https?:/.test(`${WORKER}`)) return complain('it cannot be told which server this code came from. Set window.clavigerConfig = {origin: "https://…", key: "…"} before it.');

  const MARK = Symbol.for('claviger');
  const first = set('claviger')?.[MARK];
  if (first) {
    // A page that replaces its body may run the tag in it again: that is not a second chat.
    if (first.key !== KEY || !first.tag || first.tag.isConnected) complain('a chat runs on this page already; this tag starts no second one.');
    return;
  }

  const POLL = 5000, GLANCE = 60000, PATIENCE = 20000, ROTATE_BEFORE = 7 * 86400e3, MAX_BYTES = 16384, RETURNS = 20;
  const ENDED = 'This conversation has ended. Your next message starts a new one.';
  const SAYS = {
    offline: () => 'You are offline. Messages are kept and sent when you are back.',
    refused: () => 'Chat is not available on this site.',
    identity: () => 'Your sign-in could not be confirmed. Reload the page and try again.',
    anonymous: () => 'Please sign in to use the chat.',
    limited: () => 'Too many messages.',
    broken: ({ id }) => `Chat has a problem${id ? ` (request id ${id})` : ''}.`,
    rejected: ({ error }) => error || 'This message was not accepted.',
  };

  let live;
  try { live = start(); } catch (error) { return complain('the chat could not start:', error); }
  const api = Object.freeze({
    open: () => live.open(),
    close: () => live.close(),
    // Another visitor gets another widget: of the one before nothing stays on the screen, and nothing in memory.
    identify(identity) {
      const reopen = live.end();
      live = start(identity);
      if (reopen) live.open();
    },
    [MARK]: { tag, key: KEY },
  });
  try {
    Object.defineProperty(window, 'claviger', { __proto__: null, value: api, configurable: true, enumerable: true, writable: true });
  } catch { complain('window.claviger is taken, so scripts of this page cannot call the chat.'); }

  function start(given) {
    const life = new AbortController(), alive = { __proto__: null, signal: life.signal };
    /** @type {Listener[]} */
    const listeners = [];
    const on = (/** @type {Listener} */ ...listener) => { listeners.push(listener); add.call(...listener, alive); };

    // ---- what is kept: the conversation for all tabs of this site, unsent messages for this tab ------------------------

    const decode = (text) => atob(text.replace(/-/g, '+').replace(/_/g, '/'));
    // The key's id stands in its text: a rotated key finds the conversations of the one before.
    const keyId = () => {
      try {
        const bytes = decode(`${KEY}`.replace(/^[a-z0-9]+_wk_(test|live)_/, ''));
        return bytes.slice(3, 3 + bytes.charCodeAt(2));
      } catch { return KEY; }
    };
    const STORE = `claviger:${keyId()}`;
    // Two people who sign in one after the other in one browser must not see each other's history: each has a store of their
    // own, named by a digest of who they are. Where there is none to make (no secure context) this page remembers, nothing else.
    let token, who, NAME;
    const source = () => (given === undefined ? set('clavigerIdentity') ?? tag?.getAttribute('data-identity') ?? configured('identity') : given);
    async function identify() {
      try {
        const from = source(), late = () => { throw new Error(`no answer within ${PATIENCE} ms`); };
        token = await (typeof from === 'function' ? Promise.race([from(), pause(PATIENCE).then(late)]) : from) ?? null;
        if (token !== null && typeof token !== 'string') throw new TypeError('an identity is a text, or null');
      } catch (error) {
        complain('the page’s identity failed:', error);
        throw new Problem('identity');
      }
      let next = token === null ? '' : ':?';
      try { next = `:${JSON.parse(new TextDecoder().decode(Uint8Array.from(decode(token.split('.')[1]), (c) => c.charCodeAt(0)))).sub}`; } catch { /* the worker will say so */ }
      if ((who ??= next) !== next) throw new Problem('identity');     // somebody else by now: the page must say so first
      if (NAME) return;
      try {
        const hash = who && new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(who)));
        NAME = `${STORE}${hash && `:${btoa(String.fromCharCode(...hash.slice(0, 18)))}`}`;
      } catch { NAME = Symbol(who); }
    }
    /** @type {Promise<void> | null} */
    let settling = null;
    const settle = () => settling ??= (async () => {
      await identify();
      try { localStorage.getItem(NAME); } catch { shared = false; }
      chat = load() ?? null;
      let kept;
      try { kept = JSON.parse(sessionStorage.getItem(NAME)); } catch { /* none kept */ }
      for (const item of Array.isArray(kept) ? kept.slice(0, 100) : []) {
        if (isText(item?.text) && fits(item.text)) enqueue({ text: item.text, key: isText(item.key, /^[\w-]{1,64}$/) ? item.key : uuid() });
      }
      keepOutbox();
    })().catch((problem) => { settling = null; throw problem; });

    // `null` where nothing is kept, `undefined` where something else stands there.
    let memory = null, shared = true;
    const load = () => {
      if (!shared) return memory;
      try {
        const kept = JSON.parse(localStorage.getItem(NAME));
        const isKept = isText(kept?.conversation, /^[\w-]{1,200}$/) && isText(kept.history_secret, /^[\w-]{1,400}$/);
        return isKept ? { ...kept, seen: isText(kept.seen, /^[\w-]{1,200}$/) ? kept.seen : undefined } : kept === null ? null : undefined;
      } catch { return undefined; }
    };
    const save = (value) => {
      memory = value;
      try {
        if (value) localStorage.setItem(NAME, JSON.stringify(value, ['conversation', 'history_secret', 'expires_at', 'seen']));
        else localStorage.removeItem(NAME);
      } catch { shared = false; }
    };
    const isKnown = () => { try { return Object.keys(localStorage).some((name) => name.startsWith(STORE)); } catch { return false; } };
    const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
    // One tab at a time creates or rotates (Web Locks); the others find its result in the store. The lock is held a little
    // longer than the job: a browser hands a change of localStorage to its other processes only after a while.
    /** @type {Locked} */
    const locked = (job) => (shared && navigator.locks
      ? new Promise((done, failed) => { navigator.locks.request(NAME, () => job().then(done, failed).then(() => pause(250))).catch(failed); })
      : job());
    const uuid = () => crypto.randomUUID?.()
      ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

    // ---- the wire ------------------------------------------------------------------------------------------------------

    class Problem extends Error {
      /** @param {Kind} kind @param {any=} facts */
      constructor(kind, facts) { super(kind); Object.assign(this, facts, { kind }); }
    }
    let listed = false;     // this page's origin was accepted at least once
    let blocked = false;    // this page's own Content-Security-Policy stops the calls
    on(document, 'securitypolicyviolation', ({ effectiveDirective, blockedURI, disposition }) => {
      if (effectiveDirective === 'connect-src' && disposition === 'enforce' && blockedURI.startsWith(WORKER)) blocked = true;
    });

    // No `cache: 'no-store'` on calls (the worker's answers say so themselves): Chromium would then ask a preflight each time.
    const reach = (url, options, by = fetch) => by(url, {
      mode: 'cors', cache: 'default', ...options, credentials: 'omit', referrerPolicy: 'no-referrer', signal: AbortSignal.timeout?.(PATIENCE),
    });
    const health = (by, path = '/healthz', headers = {}) => reach(WORKER + path, { method: 'GET', cache: 'no-store', headers }, by).then((answer) => answer.status, () => 0);
    // A script of the page may have wrapped `fetch`, and does not answer for itself: an empty frame has the browser's own.
    async function apart(...asked) {
      const frame = el('iframe', { hidden: '' });
      root.append(frame);
      try { return await health(frame.contentWindow.fetch, ...asked); } catch { return 0; } finally { frame.remove(); }
    }

    async function call(method, path, secret, body, extra) {
      const headers = { ...extra };
      if (secret) headers.Authorization = `Bearer ${secret}`;
      if (body) headers['Content-Type'] = 'application/json';
      const sent = body && JSON.stringify(body, (_, value) => (typeof value === 'string' ? wellFormed(value) : value));
      for (let attempt = 0; ; attempt++) {
        let answer;
        try {
          answer = await reach(BASE + path, { method, headers, body: sent });
        } catch (error) {
          // A browser does not say whether the network or the origin list refused. A public document tells them apart,
          // and a second try tells a refusal from a connection that broke once.
          const status = navigator.onLine === false ? 0 : await health();
          const why = `they fail, and without it they would not (${error})`;
          if (!status) {
            await pause(0);                   // the report of a violation is an event of its own
            if (blocked) throw new Problem('refused');
            if (navigator.onLine === false || !await apart()) throw new Problem('offline');
            throw new Problem(listed ? 'broken' : 'refused', { why });
          }
          if (status >= 500 || error.name === 'TimeoutError') throw new Problem('broken');
          // A listed page may read that this call lacks a secret.
          if (attempt) throw new Problem(listed ? 'broken' : 'refused', await apart(`/w/${KEY}/conversations/-/messages`, { 'Content-Type': 'application/json' }) && { why });
          continue;
        }
        const json = await answer.json().catch(() => null);
        if (answer.ok) {
          listed = true;
          if (json) return json;
          throw new Problem('offline');       // cut off in the middle: not known whether it counted, so it is tried again
        }
        throw understand(answer, json || {}, secret);
      }
    }

    function understand(answer, { code, error, fix, request_id }, secret) {
      const { status, headers } = answer;
      const facts = { code, error, id: request_id || headers.get('X-Request-Id') };
      if (status === 429) return new Problem('limited', { ...facts, wait: Math.max(1, Number(headers.get('Retry-After')) || 5) });
      if (status >= 500) return new Problem('broken', facts);
      if (code === 'origin_not_allowed') return new Problem('refused');
      if (code === 'idempotency_in_progress') return new Problem('busy', facts);
      if (secret && code === 'missing_credential') return new Problem('broken', { ...facts, why: 'they come without their Authorization header' });
      const gone = status === 401 || status === 404 || status === 410 || code === 'wrong_conversation' || code === 'conflict';
      if (secret) return new Problem(gone ? 'ended' : 'rejected', facts);
      complain(`no conversation could be opened: ${code} ${error || ''} ${fix || ''}`);
      if (code === 'missing_credential') return new Problem('anonymous', facts);
      return new Problem(token !== null && /^(invalid_request|(in|ex).+_credential|wrong_workspace)$/.test(code) ? 'identity' : 'refused', facts);
    }

    let told;
    function tellOwner({ why }) {
      const words = why ? `a script of this page, or its service worker, changes the calls of the chat: ${why}.`
        : blocked ? `the Content-Security-Policy of this page stops the chat. Add ${WORKER} to its connect-src.`
        : window.origin === 'null' ? 'this page has no origin (a sandboxed frame, a data: or a file: page), so no widget key can allow it.'
        : `the widget key does not allow this site. Add the origin ${window.origin} to its list of origins.`;
      if (told !== words) complain(told = words);
    }

    // ---- the conversation ------------------------------------------------------------------------------------------------

    /** @type {Chat | null} */
    let chat = null;
    let last = '';                    // id of the last message in the log
    let holdSend = 0, holdRead = 0, nextRotation = 0, nextGlance = 0;
    const rows = new Map();           // message id → its element
    /** @type {Item[]} */
    let outbox = [];                  // not yet accepted, oldest first

    const waiting = () => outbox.filter((item) => !item.failed);
    const fits = (text) => new TextEncoder().encode(text).length <= MAX_BYTES;
    const keepOutbox = () => {
      if (NAME) try { sessionStorage.setItem(NAME, JSON.stringify(waiting().map(({ text, key }) => ({ text, key })))); } catch { /* this page only */ }
    };

    function adopt(next) {
      if (chat && next?.conversation !== chat.conversation) {
        note(ENDED);
        rows.clear();                 // ids count from 1 in every conversation; what was said stays on the screen
        last = '';
        count(0);
      } else if (next?.seen !== chat?.seen) count(0);       // read in another tab
      chat = next;
    }

    // Every call that needs the history secret. When the secret is dead, another tab's newer one counts before the end.
    async function ask(method, path, body, extra) {
      const used = /** @type {Chat} */ (chat);
      try {
        return await call(method, `/${encodeURIComponent(used.conversation)}${path}`, used.history_secret, body, extra);
      } catch (problem) {
        // An older worker refuses a false secret unreadably, like an origin. If a new conversation opens, it was the secret.
        if (problem.kind === 'refused' && extra && !blocked && !problem.why) {
          const fresh = await begin();
          save(fresh);
          adopt(fresh);
          throw new Problem('ended');
        }
        if (problem.kind === 'ended' && chat === used) {
          const stored = load();
          const newer = stored && stored.history_secret !== used.history_secret;
          if (!newer) save(null);
          adopt(newer ? stored : null);
        }
        throw problem;
      }
    }

    const create = () => locked(async () => {
      const other = load();
      if (other) return adopt(other);
      adopt(await begin());
      save(chat);
    });
    // A token lives for an hour at most: where the page has a function, it is asked once more.
    async function begin(again) {
      try {
        return await call('POST', '', null, token === null ? {} : { identity: token });
      } catch (problem) {
        if (again || problem.kind !== 'identity' || typeof source() !== 'function') throw problem;
        await identify();
        return begin(true);
      }
    }

    async function rotate() {
      if (!chat || Date.now() < nextRotation || Date.parse(chat.expires_at) - Date.now() > ROTATE_BEFORE) return;
      nextRotation = Date.now() + 3600e3;       // a wrong clock on this machine must not rotate at every turn
      try {
        await locked(async () => {
          const stored = load();
          if (stored && stored.history_secret !== chat?.history_secret) return adopt(stored);
          if (!chat) return;
          const { history_secret, expires_at } = await ask('POST', '/secret/rotate', {});
          adopt({ ...chat, history_secret, expires_at });
          save(chat);
        });
      } catch (problem) {
        nextRotation = 0;                       // after a lost answer the same call gives the same secret for 60 s
        if (problem.kind === 'offline') throw problem;
        if (problem.kind !== 'ended') nextRotation = Date.now() + 30e3;
      }
    }

    async function send() {
      for (let endings = 0; ;) {
        const [item] = waiting();
        if (!item || life.signal.aborted) return;
        if (Date.now() < holdSend) { if (!trouble) say(new Problem('limited'), 'send'); return; }
        try {
          if (!chat) await create();
          const { conversation } = /** @type {Chat} */ (chat);
          const message = await ask('POST', '/messages', { text: item.text }, { 'Idempotency-Key': item.key });
          outbox.splice(outbox.indexOf(item), 1);
          const here = chat?.conversation === conversation;       // another tab may have ended it in the meantime
          if (here && rows.has(message.id)) item.row.remove();    // already read back: the first answer was lost on the way
          else { if (here) rows.set(message.id, item.row); drawState(item.row, message.at); place(item.row); }
          say(null);
        } catch (error) {
          const problem = error.kind ? error : new Problem('broken');
          if (problem.kind === 'ended' && ++endings < 3) continue;    // the same message goes into the next conversation
          if (problem.kind === 'limited') { holdSend = Date.now() + problem.wait * 1000; say(problem, 'send'); return; }
          if (problem.kind === 'offline' || problem.kind === 'busy') throw problem;
          if (problem.code === 'idempotency_key_reused') item.key = uuid();
          for (const lost of problem.kind === 'rejected' ? [item] : waiting()) { lost.failed = true; drawFailed(lost); }
          say(problem.kind === 'ended' ? new Problem('broken', { id: problem.id, why: 'a secret that was issued just now is refused' }) : problem, 'send');
        } finally { keepOutbox(); }
      }
    }

    async function read() {
      if (!chat || isHidden() || Date.now() < Math.max(holdRead, panel.hidden ? nextGlance : 0)) return;
      const { conversation, seen } = chat;
      const glancing = panel.hidden;                        // nothing is shown then, and only counted
      let answers = 0, newest;
      nextGlance = Date.now() + GLANCE;
      if (!last && !glancing) log.setAttribute('aria-busy', 'true');     // a whole history is not read aloud
      try {
        for (let after = last || (glancing && seen) || ''; ;) {
          const part = await ask('GET', `/messages${after ? `?after=${encodeURIComponent(after)}` : ''}`);
          if (chat?.conversation !== conversation) { again = true; return; }
          if (panel.hidden !== glancing) { again ||= glancing; return; }
          for (const message of part.items) {
            answers = message.from === 'visitor' ? 0 : answers + 1;      // who has written since has read what was above it
            if (message.from !== 'visitor') newest = message.id;
            if (!glancing) { receive(message); last = message.id; }
          }
          if (!part.next || part.next === after) break;
          after = part.next;
        }
        if (glancing && chat.seen === seen) count(answers);
        if (!glancing && newest && newest !== seen) {
          locked(async () => {
            const stored = load();
            if (stored?.conversation === conversation && chat?.conversation === conversation) save(chat = { ...stored, seen: newest });
          }).catch(() => { /* counted once more */ });
        }
        if (trouble?.from === 'read' || trouble?.problem.kind === 'offline') say(null);
      } catch (problem) {
        if (problem.kind === 'limited') holdRead = Date.now() + problem.wait * 1000;
        else if (problem.kind === 'ended') again = !!chat;
        else say(problem, 'read');
      } finally { log.removeAttribute('aria-busy'); }
    }

    // One turn at a time: rotate when due, send what waits, read what is new; then wait for the next reason.
    let running = false, again = false, timer;
    async function work() {
      if (running) { again = true; return; }
      if (life.signal.aborted) return;
      running = true;
      clearTimeout(timer);
      let delay = POLL;
      try {
        await settle();
        do { again = false; await rotate(); await send(); await read(); } while (again);
      } catch (problem) {
        if (problem.kind === 'busy') delay = 1000; else say(problem.kind ? problem : new Problem('broken'), 'send');
      }
      running = false;
      plan(delay);
    }
    function plan(delay) {
      clearTimeout(timer);
      if (life.signal.aborted) return;
      if (!waiting().length) {
        if (isHidden() || (panel.hidden && !chat)) return;
        if (panel.hidden) delay = Math.max(0, nextGlance - Date.now());
      }
      timer = setTimeout(work, delay);
    }

    function submit() {
      const text = wellFormed(input.value).trim();
      if (!text) return;
      if (!fits(text)) return say(new Problem('rejected', { error: 'This message is too long. Please shorten it.' }), 'send');
      input.value = '';
      if (trouble?.problem.kind === 'rejected') say(null);
      enqueue({ text, key: uuid() });
      keepOutbox();
      work();
    }

    function enqueue(item) {
      outbox.push(item);
      item.row = row('visitor', item.text);
      drawState(item.row, null);
      place(item.row, true);
    }

    // ---- the view --------------------------------------------------------------------------------------------------------

    const el = (name, attributes, ...children) => {
      const node = page.createElement(name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      node.append(...children);
      return node;
    };
    const icon = (path) => {
      const [svg, shape] = ['svg', 'path'].map((name) => page.createElementNS('http://www.w3.org/2000/svg', name));
      svg.setAttribute('viewBox', '0 0 24 24');
      svg.setAttribute('aria-hidden', 'true');
      shape.setAttribute('d', path);
      svg.append(shape);
      return svg;
    };

    const badge = el('span', { class: 'badge', 'aria-hidden': 'true', hidden: '' });
    const launcher = el('button', { class: 'launcher', type: 'button', 'aria-label': TITLE, 'aria-expanded': 'false', 'aria-controls': 'panel' },
      icon('M12 3C6.5 3 2 6.7 2 11.3c0 2.5 1.3 4.7 3.4 6.2L4.6 21l4-2.1c1.1.3 2.2.4 3.4.4 5.5 0 10-3.6 10-8S17.5 3 12 3Z'), badge);
    const news = el('div', { class: 'unseen', role: 'status' });
    const shut = el('button', { class: 'shut', type: 'button', 'aria-label': 'Close chat' },
      icon('M6.4 5 5 6.4l5.6 5.6L5 17.6 6.4 19l5.6-5.6 5.6 5.6 1.4-1.4-5.6-5.6L19 6.4 17.6 5 12 10.6z'));
    const hint = el('p', { class: 'note' }, 'Write to us. The answer appears here, and stays when you come back.');
    const log = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': 'Messages', tabindex: '0' }, hint);
    const status = el('div', { class: 'status', role: 'status' });
    const input = el('textarea', { rows: '2', dir: 'auto', 'aria-label': 'Your message', placeholder: 'Your message', enterkeyhint: 'send' });
    const go = el('button', { class: 'send', type: 'button', 'aria-label': 'Send' }, icon('M3 20.5 21.5 12 3 3.5v6.6L14 12 3 13.9z'));
    // No <form>: a sandboxed frame may not submit one. No <header> and no heading: the outline and the landmarks are the page's.
    const panel = el('section', { class: 'panel', id: 'panel', role: 'dialog', 'aria-label': TITLE, hidden: '' },
      el('div', { class: 'head' }, el('p', { class: 'title', dir: 'auto' }, TITLE), shut), log, status, el('div', { class: 'write' }, input, go));
    const host = el('claviger-chat', { lang: 'en', role: 'region', 'aria-label': TITLE });

    const row = (from, text) => {
      hint.remove();
      const who = from === 'visitor' ? 'You' : 'Support';
      return el('div', { class: `message ${from === 'visitor' ? 'visitor' : 'operator'}` },
        el('span', { class: 'unseen' }, `${who}: `), el('p', { dir: 'auto' }, text), el('small', {}));
    };
    const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    const drawState = (node, at) => {
      node.dataset.state = at ? 'sent' : 'pending';
      node.lastChild.replaceChildren(at ? el('time', { datetime: at, title: new Date(at).toLocaleString() }, clock(at)) : trouble || Date.now() < holdSend ? 'Not sent yet' : 'Sending…');
    };
    function drawFailed(item) {
      item.row.dataset.state = 'failed';
      item.row.lastChild.replaceChildren('Not sent. ', el('button', { type: 'button' }, 'Retry'));
    }
    function retry({ target }) {
      const item = target.localName === 'button' && outbox.find(({ row }) => row.contains(target));
      if (!item) return;
      item.failed = false;
      drawState(item.row, null);
      keepOutbox();
      input.focus();
      work();
    }

    // Messages stand in the server's order; what is not yet accepted stays below them.
    function place(node, own) {
      const low = own || log.scrollHeight - log.scrollTop - log.clientHeight < 80;
      const next = outbox.map((item) => item.row).find((pending) => pending !== node && pending.parentNode === log) ?? null;
      if (node.parentNode !== log || node.nextSibling !== next) log.insertBefore(node, own ? null : next);
      if (low) log.scrollTop = log.scrollHeight;
    }
    function receive({ id, at, from, text }) {
      const node = rows.get(id) || row(from, text);
      rows.set(id, node);
      drawState(node, at);
      place(node);
    }
    function note(text) {
      hint.remove();
      place(el('p', { class: 'note' }, text));
    }

    // Answers that came while the panel was closed.
    function count(answers) {
      const words = answers ? `${answers} new message${answers > 1 ? 's' : ''}` : '';
      badge.hidden = !answers;
      badge.textContent = answers > 99 ? '99+' : answers;
      launcher.setAttribute('aria-label', words ? `${TITLE}, ${words}` : TITLE);
      if (news.textContent !== words) news.textContent = words;
    }

    /** @type {Trouble | null} */
    let trouble = null;               // what the status line says
    let countdown;
    function say(problem, from) {
      clearInterval(countdown);
      trouble = problem && { problem, from };
      for (const item of waiting()) drawState(item.row, null);
      if (problem?.why || (problem?.kind === 'refused' && !problem.code)) tellOwner(problem);
      const text = problem ? SAYS[problem.kind](problem) : '';
      if (problem?.kind !== 'limited') { if (status.textContent !== text) status.textContent = text; return; }
      const seconds = el('span', { 'aria-hidden': 'true' });      // seen every second, announced once
      status.replaceChildren(text, seconds);
      const step = () => {
        const left = Math.ceil((holdSend - Date.now()) / 1000);
        seconds.textContent = ` Sending continues in ${left} s.`;
        if (left < 1) { say(null); work(); }
      };
      step();
      countdown = setInterval(step, 1000);
    }

    function open() {
      allowance = RETURNS;
      stand();
      if (!panel.hidden) return;
      panel.hidden = false;
      panel.classList.add('rising');
      launcher.setAttribute('aria-expanded', 'true');
      count(0);
      log.scrollTop = log.scrollHeight;
      input.focus();
      if (navigator.onLine === false) say(new Problem('offline'), 'read');
      work();
    }
    function end() {
      life.abort();
      watch.disconnect();
      clearTimeout(timer);
      clearInterval(countdown);
      host.remove();
      return !panel.hidden;
    }
    function close() {
      if (panel.hidden) return;
      const inside = panel.contains(root.activeElement);
      panel.hidden = true;
      launcher.setAttribute('aria-expanded', 'false');
      if (inside) launcher.focus();
      if (!running) plan(POLL);
    }

    on(launcher, 'click', () => (panel.hidden ? open() : close()));
    on(shut, 'click', close);
    on(log, 'click', retry);
    on(go, 'click', submit);
    // Engines differ in what an Enter that ends a composition looks like: Safari's comes after its end, and has 229.
    let composing = false;
    const isComposing = (event) => composing || event.isComposing || event.keyCode === 229;
    on(input, 'compositionstart', () => { composing = true; });
    for (const type of ['compositionend', 'blur']) on(input, type, () => { composing = false; });
    on(input, 'keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      submit();
    });
    for (const type of ['keydown', 'keypress', 'keyup']) on(panel, type, (event) => event.stopPropagation());      // a page's one-letter shortcuts
    on(panel, 'keydown', (event) => {
      if (event.key === 'Escape' && !isComposing(event)) close();
      if (event.key !== 'Tab' || !fills.matches) return;
      const edge = event.shiftKey ? shut : go;      // where the panel fills the screen nothing behind it can be reached
      if (root.activeElement === edge) { event.preventDefault(); (event.shiftKey ? go : shut).focus(); }
    });
    on(window, 'offline', () => say(new Problem('offline'), 'read'));
    on(window, 'online', () => {
      if (trouble?.problem.kind === 'offline') say(null);
      if (!panel.hidden || waiting().length) work();
    });
    on(window, 'storage', (event) => {
      if (event.key !== null && !(NAME ? event.key === NAME : event.key.startsWith(STORE))) return;
      const next = NAME && load();
      if (next || (NAME && event.newValue === null)) adopt(next ?? null);
      if (!panel.hidden || (isKnown() && !isHidden())) work();
    });
    on(document, 'visibilitychange', () => { if (!isHidden() && (!panel.hidden || isKnown())) work(); });
    const fills = matchMedia('(max-width: 479px)');
    const modal = () => (fills.matches ? panel.setAttribute('aria-modal', 'true') : panel.removeAttribute('aria-modal'));
    on(fills, 'change', modal);
    modal();

    // ---- the style: one constructed sheet, so that a strict style-src does not matter ------------------------------------

    const CSS = `
:host { all: initial !important; direction: ltr !important; unicode-bidi: isolate !important; --paper: #fff; --ink: #17211f; --soft: #596663; --line: #d5dcda; --theirs: #eef2f1;
  --accent: #0d5c53; --on: #fff; --head: #0d5c53; --head-on: #fff; --bad: #a4262c; --ring: #1a6fd4; color-scheme: light; }
@media (prefers-color-scheme: dark) { :host { --paper: #151b1a; --ink: #eaf0ee; --soft: #a3b0ad; --line: #35403d; --theirs: #26302e;
  --accent: #6bd3c0; --on: #06231f; --head: #20302d; --head-on: #eaf0ee; --bad: #ff9a93; --ring: #8fc2ff; color-scheme: dark; } }
* { box-sizing: border-box; margin: 0; font: inherit; }
[hidden] { display: none !important; }
.launcher, .panel { position: fixed; z-index: 2147483000; font: 16px/1.45 system-ui, sans-serif; color: var(--ink); }
button { cursor: pointer; border: 1px solid transparent; background: none; color: inherit; }
:focus-visible { outline: 3px solid var(--ring); outline-offset: 2px; }
svg { width: 24px; height: 24px; display: block; fill: currentColor; }
.launcher { right: 20px; bottom: 20px; width: 60px; height: 60px; display: grid; place-items: center; border-radius: 50%;
  background: var(--accent); color: var(--on); box-shadow: 0 4px 16px #0005; transition: transform .15s; }
.launcher:hover { transform: scale(1.06); }
.launcher svg { width: 30px; height: 30px; }
.badge { position: absolute; top: -4px; right: -4px; min-width: 24px; padding: 0 6px; border: 2px solid #fff; border-radius: 12px;
  background: #b3262e; color: #fff; font: 600 13px/20px system-ui, sans-serif; }
.panel { right: 20px; bottom: 96px; width: 376px; height: min(600px, calc(100dvh - 116px)); display: flex; flex-direction: column;
  overflow: hidden; background: var(--paper); border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 12px 40px #0004; }
.rising { animation: rise .16s ease-out; }
@keyframes rise { from { opacity: 0; transform: translateY(12px); } }
.head { display: flex; align-items: center; gap: 8px; padding: 10px 10px 10px 18px; background: var(--head); color: var(--head-on); }
.title { flex: 1; font-weight: 600; overflow-wrap: anywhere; }
.shut { padding: 9px; border-radius: 10px; }
.head :focus-visible { outline-color: var(--head-on); outline-offset: -3px; }
.log { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 16px; display: flex; flex-direction: column; gap: 10px; }
.log:focus-visible { outline-offset: -3px; }
.message { position: relative; max-width: 84%; align-self: flex-start; flex: none; }
.message.visitor { align-self: flex-end; text-align: right; }
.message p { padding: 9px 13px; border: 1px solid transparent; border-radius: 16px 16px 16px 4px; background: var(--theirs);
  text-align: start; unicode-bidi: plaintext; white-space: pre-wrap; overflow-wrap: anywhere; display: inline-block; }
.visitor p { background: var(--accent); color: var(--on); border-radius: 16px 16px 4px 16px; }
[data-state=pending] p, [data-state=failed] p { background: none; color: var(--ink); border: 1px dashed var(--soft); }
[data-state=failed] p { border-color: var(--bad); }
small { display: block; padding: 2px 4px 0; font-size: 12.5px; color: var(--soft); }
[data-state=failed] small { color: var(--bad); }
small button { padding: 2px 8px; border-color: currentColor; border-radius: 8px; font-weight: 600; }
.note { align-self: center; flex: none; max-width: 90%; padding: 6px; text-align: center; font-size: 14px; color: var(--soft); text-wrap: balance; }
.status { font-size: 14px; color: var(--bad); padding: 0 18px; overflow-wrap: anywhere; }
.status:not(:empty) { padding-block: 8px; border-top: 1px solid var(--line); }
.write { display: flex; align-items: flex-end; gap: 8px; padding: 10px; border-top: 1px solid var(--line); }
textarea { flex: 1; min-width: 0; padding: 9px 12px; resize: none; field-sizing: content; min-height: 44px; max-height: 130px;
  color: var(--ink); background: var(--paper); border: 1px solid var(--soft); border-radius: 12px; }
textarea::placeholder { color: var(--soft); opacity: 1; }
textarea:focus-visible { outline-offset: -1px; }
.send { flex: none; padding: 9px; border-radius: 12px; background: var(--accent); color: var(--on); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 479px) { .panel { inset: 0; width: auto; height: 100dvh; padding-bottom: env(safe-area-inset-bottom); border: 0; border-radius: 0; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
@media print { .launcher, .panel { display: none; } }`;
    const root = host.attachShadow({ __proto__: null, mode: 'open' });
    try {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(CSS);
      root.adoptedStyleSheets = [sheet];
    } catch {       // an older browser
      const style = el('style', {}, CSS);
      if (tag?.nonce) style.nonce = tag.nonce;
      root.append(style);
    }
    root.append(launcher, news, panel);

    // ---- the place: where the page replaces its body or its document, the chat stands in the new one as it was -----------

    // Where a script keeps removing it: it comes back 20 times at once and 4 times a second after that, then it stays away.
    let allowance = RETURNS, returned = Date.now(), stood = false, /** @type {any} */ focused = null, offset = 0, seen = [];
    const watch = new MutationObserver(stand);
    function stand() {
      const places = [document, page.documentElement, page.body];
      if (places.some((place, at) => place !== seen[at])) {
        seen = places;
        watch.disconnect();
        for (const place of places) if (place) watch.observe(place, { __proto__: null, childList: true });
      }
      const { body } = page;
      if (!body || body.contains(host) || (!stood && !early && page.readyState === 'loading')) return;
      const now = Date.now();
      allowance = Math.min(RETURNS, allowance + (now - returned) / 250) - 1;
      returned = now;
      if (allowance < 0) {
        watch.disconnect();
        seen = [];
        return complain('a script of this page keeps removing the chat, so it stays away. claviger.open() brings it back.');
      }
      for (const copy of body.querySelectorAll('claviger-chat')) copy.remove();     // of an earlier body, kept as markup
      body.append(host);
      if (!stood) { stood = true; return; }
      panel.classList.remove('rising');
      for (const listener of listeners) add.call(...listener, alive);               // document.open() takes all listeners away
      log.scrollTop = offset;
      if (focused && (page.activeElement ?? body) === body) focused.focus({ __proto__: null, preventScroll: true });
    }
    on(log, 'scroll', () => { if (host.isConnected) offset = log.scrollTop; });
    on(root, 'focusin', () => { focused = root.activeElement; });
    on(root, 'focusout', () => setTimeout(() => { if (host.isConnected) focused = root.activeElement; }));
    const early = !!page.body;
    on(document, 'DOMContentLoaded', stand);
    stand();

    if (isKnown() && !isHidden()) work();
    return { open, close, end };
  }
})();
