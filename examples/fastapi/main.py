"""Notes, kept per workspace. The service has no keys, no users and no sessions: Claviger stands in front of it and says who calls."""

import os
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

# Where Claviger is (its ORIGIN), and what Claviger calls this service (its UPSTREAM).
CLAVIGER = os.environ.get("CLAVIGER", "http://127.0.0.1:8787")
SELF = os.environ.get("SELF", "http://127.0.0.1:8000")

keys = jwt.PyJWKClient(f"{CLAVIGER}/.well-known/jwks.json")
expected = {"algorithms": ["ES256"], "issuer": CLAVIGER, "audience": SELF, "leeway": 5, "options": {"require": ["exp", "sub"]}}


def who_calls(claviger_assertion: Annotated[str, Header()] = "") -> dict:
    try:
        key = keys.get_signing_key_from_jwt(claviger_assertion)
        token = jwt.decode_complete(claviger_assertion, key, **expected)
    except jwt.PyJWTError:
        raise HTTPException(401, "Call this service through Claviger.")
    if token["header"].get("typ") != "claviger-assertion+jwt":
        raise HTTPException(401, "Call this service through Claviger.")
    return token["payload"]


Caller = Annotated[dict, Depends(who_calls)]
notes: dict[tuple[str, str], list[dict]] = {}
app = FastAPI()


def place(caller: dict) -> tuple[str, str]:
    """Whose notes: of one customer, and of live or test data. An operator's deploy key is bound to neither."""
    if "workspace" not in caller or "environment" not in caller:
        raise HTTPException(403, "Call this service for a workspace.")
    return caller["workspace"], caller["environment"]


class Note(BaseModel):
    text: str


@app.get("/notes")
def read(caller: Caller) -> dict:
    return {"items": notes.get(place(caller), [])}


@app.post("/notes", status_code=201)
def write(note: Note, caller: Caller) -> dict:
    kept = {"text": note.text, "by": caller["sub"]}
    notes.setdefault(place(caller), []).append(kept)
    return kept
