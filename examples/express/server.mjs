// Notes, kept per workspace and environment. The service has no keys, no users and no sessions: Claviger stands in front of it and says who calls.

import express from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";

// Where Claviger is (its ORIGIN), and what Claviger calls this service (its UPSTREAM).
const { CLAVIGER = "http://127.0.0.1:8787", SELF = "http://127.0.0.1:3000", PORT = new URL(SELF).port } = process.env;

const keys = createRemoteJWKSet(new URL("/.well-known/jwks.json", CLAVIGER));
const expected = { algorithms: ["ES256"], typ: "claviger-assertion+jwt", issuer: CLAVIGER, audience: SELF, requiredClaims: ["exp", "sub"], clockTolerance: 5 };

async function whoCalls(request, response, next) {
  try {
    request.caller = (await jwtVerify(request.get("claviger-assertion") ?? "", keys, expected)).payload;
  } catch {
    return response.status(401).json({ error: "Call this service through Claviger." });
  }
  next();
}

// Whose notes: of one customer, and of live or test data. An operator's deploy key is bound to neither.
function place({ caller }, response, next) {
  const { workspace, environment } = caller;
  if (!workspace || !environment) return response.status(403).json({ error: "Call this service for a workspace." });
  response.locals.place = `${workspace}/${environment}`;
  next();
}

const notes = new Map();
const app = express().use(whoCalls, place, express.json());

app.get("/notes", (request, response) => {
  response.json({ items: notes.get(response.locals.place) ?? [] });
});

app.post("/notes", ({ caller, body }, response) => {
  if (typeof body?.text !== "string") return response.status(400).json({ error: "Send JSON with a text, and Content-Type: application/json." });
  const note = { text: body.text, by: caller.sub };
  const { place } = response.locals;
  notes.set(place, [...(notes.get(place) ?? []), note]);
  response.status(201).json(note);
});

// What could not be read, and everything else that goes wrong: no stack for the caller.
app.use((error, request, response, next) => {
  const status = error.status >= 400 && error.status < 500 ? error.status : 500;
  response.status(status).json({ error: status === 500 ? "Something went wrong." : "The body is not sound JSON." });
});

const server = app.listen(PORT, "127.0.0.1", () => console.log(`ready http://127.0.0.1:${server.address().port}`));
