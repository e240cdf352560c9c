// The operator's side of the chat: conversations on the left, messages on the right, a reply box; asks every 2 seconds.
const POLL = 2000;
const $ = (id) => document.getElementById(id);
const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
};
const when = (at) => {
  const date = new Date(at), today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString([], today ? { hour: '2-digit', minute: '2-digit' } : { dateStyle: 'short', timeStyle: 'short' });
};
// What a customer's server vouches for; whoever it does not vouch for stays a nameless visitor, and looks like one.
const badge = (subject) => (subject
  ? [el('span', { class: 'verified' }, '✓ verified'), ' ', el('bdi', {}, subject)]
  : [el('span', { class: 'unverified' }, 'not verified')]);
const short = (id) => `Visitor ${id.split('_')[1].slice(-5)}`; // conv_<unique>_<workspace>

let chosen = '';            // the conversation in the address (#id), so that the phone's Back button works
let last = '';              // id of the last message shown
let running = false, again = false;
const seen = new Map();     // conversation → time of the last message that was on the screen
const links = new Map();    // conversation → its link in the list

async function call(path, options) {
  const answer = await fetch(`/operator/api/${path}`, options);
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(`${body.error ?? `Status ${answer.status}`}${body.request_id ? ` (request id ${body.request_id})` : ''}`);
  return body;
}

async function drawList() {
  const items = [];
  let cursor = '';
  for (let pages = 0; pages < 10; pages++) {
    const page = await call(`conversations${cursor && `?cursor=${encodeURIComponent(cursor)}`}`);
    items.push(...page.items);
    if (!(cursor = page.next_cursor ?? '')) break;
  }
  const time = (item) => item.last_message_at ?? item.created_at;
  items.sort((a, b) => Date.parse(time(b)) - Date.parse(time(a)));
  $('none').hidden = items.length > 0;
  const order = items.map((item) => {
    const link = links.get(item.id) ?? el('a', { href: `#${item.id}` }, el('strong'), el('time'), el('span'), el('span'));
    links.set(item.id, link);
    const [name, at, facts, identity] = link.children;
    if (item.id === chosen) seen.set(item.id, time(item));
    const fresh = seen.get(item.id) !== time(item);
    name.textContent = short(item.id);
    at.textContent = when(time(item));
    facts.textContent = [fresh && 'new', item.status].filter(Boolean).join(' · ');
    if (!identity.firstChild) identity.append(...badge(item.verified ? item.subject : null));
    link.classList.toggle('fresh', fresh);
    if (item.id === chosen) link.setAttribute('aria-current', 'true'); else link.removeAttribute('aria-current');
    return link;
  });
  // Moving a focused link would take the focus away, so the list is only touched when its order has changed.
  const list = $('list');
  if (order.some((link, i) => list.children[i]?.firstChild !== link) || list.children.length !== order.length) {
    const focused = document.activeElement;
    list.replaceChildren(...order.map((link) => el('li', {}, link)));
    if (order.includes(focused)) focused.focus();
  }
}

async function drawMessages() {
  const conversation = chosen, log = $('log');
  if (!conversation) return;
  for (;;) {
    const page = await call(`conversations/${encodeURIComponent(conversation)}/messages${last && `?after=${encodeURIComponent(last)}`}`);
    if (conversation !== chosen) return;
    if (!$('identity').firstChild) $('identity').append(...badge(page.verified ? page.subject : null));
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    for (const { id, at, from, text } of page.items) {
      last = id;
      log.append(el('div', { class: `message ${from === 'operator' ? 'own' : ''}` },
        el('p', { dir: 'auto' }, text), el('small', {}, `${from === 'operator' ? 'You' : 'Visitor'}, `, el('time', { datetime: at }, when(at)))));
    }
    if (low) log.scrollTop = log.scrollHeight;
    if (!page.next || !page.items.length) return;
  }
}

async function work() {
  if (running) { again = true; return; }
  running = true;
  do {
    again = false;
    try {
      await drawMessages();
      await drawList();
      $('state').textContent = '';
    } catch (error) {
      $('state').textContent = `Not up to date: ${error.message}`;
    }
  } while (again);
  running = false;
}

function choose() {
  chosen = decodeURIComponent(location.hash.slice(1));
  last = '';
  $('log').replaceChildren();
  $('conversation').hidden = !chosen;
  $('choose').hidden = !!chosen;
  document.body.classList.toggle('chosen', !!chosen);
  if (chosen) {
    $('title').textContent = short(chosen);
    $('identity').replaceChildren();
    $('text').focus();
  }
  work();
}

let draft = null;           // {text, key}: the same key for a second try, so that a reply is never sent twice
async function send() {
  const text = $('text').value.trim();
  if (!text || !chosen) return;
  if (draft?.text !== text || draft.chosen !== chosen) draft = { text, chosen, key: crypto.randomUUID() };
  try {
    await call(`conversations/${encodeURIComponent(chosen)}/messages`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': draft.key },
      body: JSON.stringify({ text }),
    });
    draft = null;
    $('text').value = '';
    work();
  } catch (error) {
    $('state').textContent = `Not sent: ${error.message}`;
  }
}

$('reply').addEventListener('submit', (event) => { event.preventDefault(); send(); });
$('text').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
addEventListener('keydown', (event) => { if (event.key === 'Escape' && chosen) { const link = links.get(chosen); location.hash = ''; link?.focus(); } });
addEventListener('hashchange', choose);
setInterval(() => { if (!document.hidden) work(); }, POLL);
document.addEventListener('visibilitychange', () => { if (!document.hidden) work(); });
choose();
