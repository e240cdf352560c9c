// The Claviger chat widget: one script tag puts a chat button on a page, and this file is all of it.
//
//   <script async src="https://WORKER/widget.js" data-key="clv_wk_live_…"></script>
//
// Optional: data-title="Chat with us". Page API: claviger.open(), .close(), .identify(…).
// Who is signed in: data-identity="<JWT signed by your server>", or window.clavigerIdentity, a JWT or a function that
// answers one (or a promise of one; null for nobody). When that changes without a reload: claviger.identify().
// A page's Content-Security-Policy needs the worker's origin in script-src and connect-src, and nothing else: styles are
// a constructed sheet, text is only ever written as text, no cookie is set, nothing is fetched before the panel opens.
((start) => {
  const tag = document.currentScript;
  if (!tag || window.claviger) return;
  let live = start(tag);
  if (!live) return;
  window.claviger = Object.freeze({
    open: () => live.open(),
    close: () => live.close(),
    // Another visitor gets another widget: of the one before nothing stays on the screen, and nothing in memory.
    identify(identity) {
      const reopen = live.end();
      live = start(tag, identity);
      if (reopen) live.open();
    },
  });
})((tag, given) => {
  'use strict';
  const KEY = tag.dataset.key || '';
  const TITLE = tag.dataset.title || 'Chat with us';
  const WORKER = new URL(tag.src).origin;
  const BASE = `${WORKER}/w/${KEY}/conversations`;
  if (!/^[a-z0-9]{2,8}_wk_(test|live)_[\w-]+$/.test(KEY)) {
    console.error('Claviger: data-key is not a widget key. Only a key with _wk_ in it may stand in a page; if this is a server key, revoke it.');
    return;
  }

  const POLL = 5000, PATIENCE = 20000, ROTATE_BEFORE = 7 * 86400e3, MAX_BYTES = 16384;
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

  // ---- what is kept: the conversation for all tabs of this site, unsent messages for this tab --------------------

  const decode = (text) => atob(text.replace(/-/g, '+').replace(/_/g, '/'));
  // The key's id stands in its text (version, key id, length, id): a rotated key finds the conversations of the one before.
  const keyId = () => {
    try {
      const bytes = decode(KEY.replace(/^[a-z0-9]+_wk_(test|live)_/, ''));
      return bytes.slice(3, 3 + bytes.charCodeAt(2));
    } catch { return KEY; }
  };
  // Two people who sign in one after the other in one browser must not see each other's history: each has a store of their
  // own, named by a digest of who they are. Where there is none to make (no secure context) this page remembers, nothing else.
  let token, who, NAME;
  async function identify() {
    try {
      const source = given === undefined ? window.clavigerIdentity ?? tag.dataset.identity : given;
      const late = () => { throw new Error(`no answer within ${PATIENCE} ms`); };
      token = (typeof source === 'function' ? await Promise.race([source(), pause(PATIENCE).then(late)]) : source) ?? null;
    } catch (error) {
      console.error('Claviger: the page’s function for the identity failed:', error);
      throw new Problem('identity');
    }
    let next = token === null ? '' : ':?';
    try { next = `:${JSON.parse(new TextDecoder().decode(Uint8Array.from(decode(token.split('.')[1]), (c) => c.charCodeAt(0)))).sub}`; } catch { /* the worker will say so */ }
    if ((who ??= next) !== next) throw new Problem('identity');     // somebody else by now: the page must say so first
    if (NAME) return;
    try {
      const hash = who && new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(who)));
      NAME = `claviger:${keyId()}${hash && `:${btoa(String.fromCharCode(...hash.slice(0, 18)))}`}`;
    } catch { NAME = Symbol(who); }
  }
  let settling;
  const settle = () => settling ??= (async () => {
    await identify();
    try { localStorage.getItem(NAME); } catch { shared = false; }
    chat = load();
    try { for (const { text, key } of JSON.parse(sessionStorage.getItem(NAME)) || []) enqueue({ text, key }); } catch { /* none kept */ }
    keepOutbox();
  })().catch((problem) => { settling = null; throw problem; });

  let memory = null, shared = true;
  const load = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(NAME));
      return kept && typeof kept.conversation === 'string' && typeof kept.history_secret === 'string' ? kept : null;
    } catch { return memory; }
  };
  const save = (value) => {
    memory = value;
    try {
      if (value) localStorage.setItem(NAME, JSON.stringify(value, ['conversation', 'history_secret', 'expires_at']));
      else localStorage.removeItem(NAME);
    } catch { shared = false; }
  };
  const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));
  // One tab at a time creates or rotates (Web Locks); the others find its result in the store. The lock is held a little
  // longer than the job: a browser hands a change of localStorage to its other processes only after a while.
  const locked = (job) => (shared && navigator.locks
    ? new Promise((done, failed) => { navigator.locks.request(NAME, () => job().then(done, failed).then(() => pause(250))).catch(failed); })
    : job());
  const uuid = () => crypto.randomUUID?.()
    ?? Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');

  // ---- the wire ----------------------------------------------------------------------------------------------------

  class Problem extends Error {
    constructor(kind, facts) { super(kind); Object.assign(this, facts, { kind }); }
  }
  let listed = false;     // this page's origin was accepted at least once
  let blocked = false;    // this page's own Content-Security-Policy stops the calls
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
    if (effectiveDirective === 'connect-src' && blockedURI.startsWith(WORKER)) blocked = true;
  });

  // No `cache: 'no-store'` on calls (the worker's answers say so themselves): Chromium would then ask a preflight each time.
  const reach = (url, options) => fetch(url, {
    ...options, credentials: 'omit', referrerPolicy: 'no-referrer', signal: AbortSignal.timeout(PATIENCE),
  });
  const health = () => reach(`${WORKER}/healthz`, { cache: 'no-store' }).then((answer) => answer.status, () => 0);

  async function call(method, path, secret, body, extra) {
    const headers = { ...extra };
    if (secret) headers.Authorization = `Bearer ${secret}`;
    if (body) headers['Content-Type'] = 'application/json';
    for (let attempt = 0; ; attempt++) {
      let answer;
      try {
        answer = await reach(BASE + path, { method, headers, body: body && JSON.stringify(body) });
      } catch (error) {
        // A browser does not say whether the network or the origin list refused. A public document tells them apart,
        // and a second try tells a refusal from a connection that broke once.
        const status = navigator.onLine === false ? 0 : await health();
        if (!status) {
          await pause(0);                   // the report of a violation is an event of its own
          throw new Problem(blocked ? 'refused' : 'offline');
        }
        if (status >= 500 || error.name === 'TimeoutError') throw new Problem('broken');
        if (attempt) throw new Problem(listed ? 'broken' : 'refused');
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
    const gone = status === 401 || status === 404 || status === 410 || code === 'wrong_conversation' || code === 'conflict';
    if (secret) return new Problem(gone ? 'ended' : 'rejected', facts);
    console.error(`Claviger: no conversation could be opened: ${code} ${error || ''} ${fix || ''}`);
    if (code === 'missing_credential') return new Problem('anonymous', facts);
    return new Problem(token !== null && /^(invalid_request|(in|ex).+_credential|wrong_workspace)$/.test(code) ? 'identity' : 'refused', facts);
  }

  let told = false;
  function tellOwner() {
    if (!told) console.error(blocked
      ? `Claviger: the Content-Security-Policy of this page stops the chat. Add ${WORKER} to its connect-src.`
      : window.origin === 'null' ? 'Claviger: this page has no origin (a sandboxed frame, a data: or a file: page), so no widget key can allow it.'
      : `Claviger: the widget key does not allow this site. Add the origin ${window.origin} to its list of origins.`);
    told = true;
  }

  // ---- the conversation ----------------------------------------------------------------------------------------------

  let chat = null;                  // {conversation, history_secret, expires_at}
  let last = '';                    // id of the last message read
  let holdSend = 0, holdRead = 0, nextRotation = 0;
  const rows = new Map();           // message id → its element
  let outbox = [];                  // {text, key, failed, row}: not yet accepted, oldest first

  const waiting = () => outbox.filter((item) => !item.failed);
  const keepOutbox = () => {
    if (NAME) try { sessionStorage.setItem(NAME, JSON.stringify(waiting().map(({ text, key }) => ({ text, key })))); } catch { /* this page only */ }
  };

  function adopt(next) {
    if (chat && next?.conversation !== chat.conversation) {
      note(ENDED);
      rows.clear();                 // ids count from 1 in every conversation; what was said stays on the screen
      last = '';
    }
    chat = next;
  }

  // Every call that needs the history secret. When the secret is dead, another tab's newer one counts before the end.
  async function ask(method, path, body, extra) {
    const used = chat;
    try {
      return await call(method, `/${encodeURIComponent(used.conversation)}${path}`, used.history_secret, body, extra);
    } catch (problem) {
      // A secret that was never genuine is refused unreadably, like an origin. If a new conversation opens, it was the secret.
      if (problem.kind === 'refused' && extra && !blocked) {
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
      if (again || problem.kind !== 'identity' || typeof (given ?? window.clavigerIdentity) !== 'function') throw problem;
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
      if (!item || life.signal.aborted || Date.now() < holdSend) return;
      try {
        if (!chat) await create();
        const { conversation } = chat;
        const message = await ask('POST', '/messages', { text: item.text }, { 'Idempotency-Key': item.key });
        outbox.splice(outbox.indexOf(item), 1);
        const here = chat?.conversation === conversation;       // another tab may have ended it in the meantime
        if (here && rows.has(message.id)) item.row.remove();    // already read back: the first answer was lost on the way
        else { if (here) rows.set(message.id, item.row); drawState(item.row, message.at); place(item.row); }
        say(null);
      } catch (error) {
        const problem = error.kind ? error : new Problem('broken');
        if (problem.kind === 'ended' && ++endings < 4) continue;    // the same message goes into the next conversation
        if (problem.kind === 'limited') { holdSend = Date.now() + problem.wait * 1000; say(problem, 'send'); return; }
        if (problem.kind === 'offline' || problem.kind === 'busy') throw problem;
        if (problem.code === 'idempotency_key_reused') item.key = uuid();
        for (const lost of problem.kind === 'rejected' ? [item] : waiting()) { lost.failed = true; drawFailed(lost); }
        say(problem.kind === 'ended' ? new Problem('broken', { id: problem.id }) : problem, 'send');
      } finally { keepOutbox(); }
    }
  }

  async function read() {
    if (!chat || panel.hidden || document.hidden || Date.now() < holdRead) return;
    const { conversation } = chat;
    if (!last) log.setAttribute('aria-busy', 'true');     // a whole history is not read aloud
    try {
      for (let after = last; ;) {
        const page = await ask('GET', `/messages${after ? `?after=${encodeURIComponent(after)}` : ''}`);
        if (chat?.conversation !== conversation) { again = true; return; }
        for (const message of page.items) { receive(message); last = message.id; }
        if (!page.next || page.next === after) break;
        after = page.next;
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
    if (life.signal.aborted) return;
    if ((!panel.hidden && !document.hidden) || waiting().length) timer = setTimeout(work, delay);
  }

  function submit() {
    const text = input.value.trim();
    if (!text) return;
    if (new TextEncoder().encode(text).length > MAX_BYTES) return say(new Problem('rejected', { error: 'This message is too long. Please shorten it.' }), 'send');
    input.value = '';
    enqueue({ text, key: uuid() });
    if (trouble?.problem.kind === 'rejected') say(null);
    keepOutbox();
    work();
  }

  function enqueue(item) {
    outbox.push(item);
    item.row = row('visitor', item.text);
    drawState(item.row, null);
    place(item.row, true);
  }

  // ---- the view ------------------------------------------------------------------------------------------------------

  const el = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    node.append(...children);
    return node;
  };
  const icon = (path) => {
    const [svg, shape] = ['svg', 'path'].map((name) => document.createElementNS('http://www.w3.org/2000/svg', name));
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    shape.setAttribute('d', path);
    svg.append(shape);
    return svg;
  };

  const launcher = el('button', { class: 'launcher', type: 'button', 'aria-label': TITLE, 'aria-expanded': 'false', 'aria-controls': 'panel' },
    icon('M12 3C6.5 3 2 6.7 2 11.3c0 2.5 1.3 4.7 3.4 6.2L4.6 21l4-2.1c1.1.3 2.2.4 3.4.4 5.5 0 10-3.6 10-8S17.5 3 12 3Z'));
  const shut = el('button', { class: 'shut', type: 'button', 'aria-label': 'Close chat' },
    icon('M6.4 5 5 6.4l5.6 5.6L5 17.6 6.4 19l5.6-5.6 5.6 5.6 1.4-1.4-5.6-5.6L19 6.4 17.6 5 12 10.6z'));
  const hint = el('p', { class: 'note' }, 'Write to us. The answer appears here, and stays when you come back.');
  const log = el('div', { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': 'Messages', tabindex: '0' }, hint);
  const status = el('div', { class: 'status', role: 'status' });
  const input = el('textarea', { rows: '2', 'aria-label': 'Your message', placeholder: 'Your message', enterkeyhint: 'send' });
  const go = el('button', { class: 'send', type: 'submit', 'aria-label': 'Send' }, icon('M3 20.5 21.5 12 3 3.5v6.6L14 12 3 13.9z'));
  const form = el('form', {}, input, go);
  const panel = el('section', { class: 'panel', id: 'panel', role: 'dialog', 'aria-label': TITLE, hidden: '' },
    el('header', {}, el('h2', {}, TITLE), shut), log, status, form);
  const host = el('claviger-chat', { lang: 'en' });

  const row = (from, text) => {
    hint.remove();
    const who = from === 'visitor' ? 'You' : 'Support';
    return el('div', { class: `message ${from === 'visitor' ? 'visitor' : 'operator'}` },
      el('span', { class: 'unseen' }, `${who}: `), el('p', { dir: 'auto' }, text), el('small', {}));
  };
  const clock = (at) => new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  const drawState = (node, at) => {
    node.dataset.state = at ? 'sent' : 'pending';
    node.lastChild.replaceChildren(at ? el('time', { datetime: at, title: new Date(at).toLocaleString() }, clock(at)) : 'Sending…');
  };
  function drawFailed(item) {
    const retry = el('button', { type: 'button' }, 'Retry');
    retry.addEventListener('click', () => {
      item.failed = false;
      drawState(item.row, null);
      keepOutbox();
      input.focus();
      work();
    });
    item.row.dataset.state = 'failed';
    item.row.lastChild.replaceChildren('Not sent. ', retry);
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

  let trouble = null;               // {problem, from}: what the status line says
  let countdown;
  function say(problem, from) {
    clearInterval(countdown);
    trouble = problem && { problem, from };
    if (problem?.kind === 'refused' && !problem.code) tellOwner();
    const text = problem ? SAYS[problem.kind](problem) : '';
    if (problem?.kind !== 'limited') { if (status.textContent !== text) status.textContent = text; return; }
    const seconds = el('span', { 'aria-hidden': 'true' });      // seen every second, announced once
    status.replaceChildren(text, seconds);
    const step = () => {
      const left = Math.ceil((holdSend - Date.now()) / 1000);
      seconds.textContent = ` Try again in ${left} s.`;
      if (left < 1) { say(null); work(); }
    };
    step();
    countdown = setInterval(step, 1000);
  }

  function open() {
    if (!panel.hidden) return;
    panel.hidden = false;
    launcher.setAttribute('aria-expanded', 'true');
    log.scrollTop = log.scrollHeight;
    input.focus();
    if (navigator.onLine === false) say(new Problem('offline'), 'read');
    work();
  }
  const life = new AbortController(), alive = { signal: life.signal };
  function end() {
    life.abort();
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
  }

  launcher.addEventListener('click', () => (panel.hidden ? open() : close()));
  shut.addEventListener('click', close);
  form.addEventListener('submit', (event) => { event.preventDefault(); submit(); });
  input.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  panel.addEventListener('keydown', (event) => {
    event.stopPropagation();        // a page's one-letter shortcuts must not fire while somebody writes
    if (event.key === 'Escape' && !event.isComposing) close();
    if (event.key !== 'Tab' || !fills.matches) return;
    const edge = event.shiftKey ? shut : go;      // where the panel fills the screen nothing behind it can be reached
    if (root.activeElement === edge) { event.preventDefault(); (event.shiftKey ? go : shut).focus(); }
  });
  addEventListener('offline', () => say(new Problem('offline'), 'read'), alive);
  addEventListener('online', () => {
    if (trouble?.problem.kind === 'offline') say(null);
    if (!panel.hidden || waiting().length) work();
  }, alive);
  addEventListener('storage', (event) => {
    if (!NAME || (event.key !== NAME && event.key !== null)) return;
    adopt(load());
    if (!panel.hidden) work();
  }, alive);
  document.addEventListener('visibilitychange', () => { if (!document.hidden && !panel.hidden) work(); }, alive);
  const fills = matchMedia('(max-width: 479px)');
  const modal = () => (fills.matches ? panel.setAttribute('aria-modal', 'true') : panel.removeAttribute('aria-modal'));
  fills.addEventListener('change', modal, alive);
  modal();

  // ---- the style: one constructed sheet, so that a strict style-src does not matter ----------------------------------

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
:host { all: initial !important; --paper: #fff; --ink: #17211f; --soft: #596663; --line: #d5dcda; --theirs: #eef2f1;
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
.panel { right: 20px; bottom: 96px; width: 376px; height: min(600px, calc(100dvh - 116px)); display: flex; flex-direction: column;
  overflow: hidden; background: var(--paper); border: 1px solid var(--line); border-radius: 16px; box-shadow: 0 12px 40px #0004;
  animation: rise .16s ease-out; }
@keyframes rise { from { opacity: 0; transform: translateY(12px); } }
header { display: flex; align-items: center; gap: 8px; padding: 10px 10px 10px 18px; background: var(--head); color: var(--head-on); }
h2 { flex: 1; font-weight: 600; overflow-wrap: anywhere; }
.shut { padding: 9px; border-radius: 10px; }
header :focus-visible { outline-color: var(--head-on); outline-offset: -3px; }
.log { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: 16px; display: flex; flex-direction: column; gap: 10px; }
.log:focus-visible { outline-offset: -3px; }
.message { position: relative; max-width: 84%; align-self: flex-start; flex: none; }
.message.visitor { align-self: flex-end; text-align: right; }
.message p { padding: 9px 13px; border: 1px solid transparent; border-radius: 16px 16px 16px 4px; background: var(--theirs);
  text-align: start; white-space: pre-wrap; overflow-wrap: anywhere; display: inline-block; }
.visitor p { background: var(--accent); color: var(--on); border-radius: 16px 16px 4px 16px; }
[data-state=pending] p, [data-state=failed] p { background: none; color: var(--ink); border: 1px dashed var(--soft); }
[data-state=failed] p { border-color: var(--bad); }
small { display: block; padding: 2px 4px 0; font-size: 12.5px; color: var(--soft); }
[data-state=failed] small { color: var(--bad); }
small button { padding: 2px 8px; border-color: currentColor; border-radius: 8px; font-weight: 600; }
.note { align-self: center; flex: none; max-width: 90%; padding: 6px; text-align: center; font-size: 14px; color: var(--soft); text-wrap: balance; }
.status { font-size: 14px; color: var(--bad); padding: 0 18px; overflow-wrap: anywhere; }
.status:not(:empty) { padding-block: 8px; border-top: 1px solid var(--line); }
form { display: flex; align-items: flex-end; gap: 8px; padding: 10px; border-top: 1px solid var(--line); }
textarea { flex: 1; min-width: 0; padding: 9px 12px; resize: none; field-sizing: content; min-height: 44px; max-height: 130px;
  color: var(--ink); background: var(--paper); border: 1px solid var(--soft); border-radius: 12px; }
textarea::placeholder { color: var(--soft); opacity: 1; }
textarea:focus-visible { outline-offset: -1px; }
.send { flex: none; padding: 9px; border-radius: 12px; background: var(--accent); color: var(--on); }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
@media (max-width: 479px) { .panel { inset: 0; width: auto; height: 100dvh; padding-bottom: env(safe-area-inset-bottom); border: 0; border-radius: 0; } }
@media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
@media print { .launcher, .panel { display: none; } }`);

  const root = host.attachShadow({ mode: 'open' });
  root.adoptedStyleSheets = [sheet];
  root.append(launcher, panel);
  const mount = () => document.body.append(host);
  if (document.body) mount(); else addEventListener('DOMContentLoaded', mount, alive);
  return { open, close, end };
});
