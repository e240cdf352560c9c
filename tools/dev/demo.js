// The shop's own script: signing in and out, and telling the chat widget who is signed in.

// The widget asks when its panel opens, and as the page loads where this browser has had a conversation. The shop's server signs the answer; nobody signed in is `null`.
window.clavigerIdentity = async () => (await (await fetch('/chat-identity')).json()).token;

const buttons = document.querySelectorAll('#account button');

function show({ subject }) {
  document.getElementById('who').textContent = subject ? `Signed in: ${subject}` : '';
  for (const button of buttons) button.hidden = Boolean(button.dataset.as) === Boolean(subject);
}

for (const button of buttons) {
  button.addEventListener('click', async () => {
    const as = button.dataset.as;
    show(await (await fetch(`/session${as && `?as=${as}`}`, { method: 'POST' })).json());
    window.claviger?.identify();      // somebody else sits here now
  });
}
fetch('/session').then((answer) => answer.json()).then(show);
