//! The codes that callers may rely on: the HTTP status of each, and what a person reads about it in `docs/errors.md`.
//!
//! One entry here is one code. After a change, `UPDATE=1 cargo test --locked --test errors` makes the page anew.

/// What a person reads about a code, in one or two plain sentences each. It may say `code` and [link](#like_this).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Explanation {
    /// What the code says.
    pub means: &'static str,
    /// What brings it about.
    pub when: &'static str,
    /// How to mend it.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($code:ident $status:literal $text:literal { means $means:literal when $when:literal fix $fix:literal })*) => {
        /// The stable name of a refusal.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum Code {
            $(#[doc = concat!("`", $text, "`, HTTP ", stringify!($status), ". ", $means)] $code,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $(Self::$code => $status),* }
            }

            /// The name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$code => $text),* }
            }

            /// For the page. What runs at the edge never asks, so none of these texts is in the wasm.
            pub fn explanation(self) -> Explanation {
                match self { $(Self::$code => Explanation { means: $means, when: $when, fix: $fix }),* }
            }
        }
    };
}

codes! {
    InvalidRequest 400 "invalid_request" {
        means "The request makes no sense as it was sent. `error` names the field, where it is one."
        when "A member or a parameter is missing, unknown, doubled or out of its bounds, or the body is not the JSON \
              of this call, broke off, or did not arrive in time."
        fix "`fix` says what would be right. Change the request; sent again as it is, it gets the same answer."
    }
    AmbiguousCredential 400 "ambiguous_credential" {
        means "More than one credential came, and we do not choose between them."
        when "Two headers carry a credential, or one header came twice. A proxy that adds a header of its own does \
              this too."
        fix "Send one credential, in one header, once."
    }
    IdempotencyKeyInvalid 400 "idempotency_key_invalid" {
        means "The header `Idempotency-Key` cannot be used."
        when "It is empty, longer than 255 characters, not visible ASCII, or there twice."
        fix "Send 1 to 255 visible ASCII characters, for instance a new UUID for each new message."
    }
    IdempotencyKeyRequired 400 "idempotency_key_required" {
        means "This call must not happen twice by accident, and came without an `Idempotency-Key`."
        when "The policy says `idempotency = \"required\"` for the route."
        fix "Make a new key for each new request, a UUID for instance, and send the same one to repeat that request."
    }
    MissingCredential 401 "missing_credential" {
        means "This call needs a credential, or a visitor's identity, and none came."
        when "The header is missing or has another name; or the policy says `identity = \"required\"` and no \
              identity was sent."
        fix "Send the credential in `Authorization`. In a chat, let your server sign who the visitor is."
    }
    InvalidCredential 401 "invalid_credential" {
        means "What was sent is no credential of this deployment. Unknown, forged and malformed look alike on purpose."
        when "The text was cut or changed, belongs to another deployment, stands in the wrong header, or its root secret \
              is gone. A visitor's identity that no living identity secret signed gets this too."
        fix "Copy it again, whole. If that does not help, make a new one."
    }
    ExpiredCredential 401 "expired_credential" {
        means "The credential, or the visitor's identity, was good and is past its end."
        when "Its `expires_at` has come. A visitor's identity lives for an hour at most."
        fix "Get a new one. Rotate what has an end before it comes; sign an identity afresh for each page."
    }
    RevokedCredential 401 "revoked_credential" {
        means "The credential was good, and somebody ended it."
        when "It was revoked, a rotation replaced it and the overlap is over, or its conversation was closed."
        fix "Get a new one. If nobody of yours ended it, ask the operator: the audit says who did."
    }
    InvalidSignature 401 "invalid_signature" {
        means "The report is not signed by GitHub."
        when "A header of the signature is missing or doubled, names a key that GitHub does not list, or does not fit the \
              body to the byte."
        fix "Nobody but GitHub reports here. If you found a credential, end it with `POST /v1/self/revoke`. Where it \
             is GitHub that is refused, look whether a proxy changes bodies or drops headers."
    }
    ReviewRequired 403 "review_required" {
        means "The write is one that a person must approve. This version of Claviger cannot ask for that yet."
        when "`/v1/verify` or `/v1/forward-auth` is asked about a route under `review`. Sent through Claviger itself, such a \
              write is `not_configured`."
        fix "No call makes this write until a version can ask for approval. The deployment's operator may take `review` off \
             the route in the policy."
    }
    InsufficientScope 403 "insufficient_scope" {
        means "The credential is good and may not do this. `required` names the scopes that would be enough."
        when "The credential was made without the scope that this call asks for; or the policy has no scope for this call, and \
              `required` is not there."
        fix "Use a credential with the scope, or add it with `PATCH /v1/credentials/{id}` and a deploy \
             key or an administrator's key. Where the policy has no scope for the call, only a deploy key opens it."
    }
    WrongWorkspace 403 "wrong_workspace" {
        means "The credential, or the visitor's identity, belongs to another workspace."
        when "A server key names another workspace than its own, a history secret meets a widget key of another, or \
              the `aud` of an identity is not the widget key's workspace."
        fix "Use a credential of the workspace in question; put that workspace's id into `aud`."
    }
    WrongEnvironment 403 "wrong_environment" {
        means "A `test` credential met something `live`, or the other way round."
        when "A secret from a trial is used with the key of the real site, or a test key was left in a page that \
              went live."
        fix "Use `live` with `live`, and `test` with `test`."
    }
    WrongStage 403 "wrong_stage" {
        means "The deploy key was made for another stage or another deployment."
        when "For instance, a key for `staging` is used against `prod`."
        fix "Make one for this stage and this deployment with `claviger deploy-key`."
    }
    PlanExceeded 403 "plan_exceeded" {
        means "A workspace's own credential asked for a tier or for limits that the workspace's plan does not grant."
        when "A key is made or changed with such a tier or such numbers; or the workspace's `default_tier` or `plan` is \
              changed by anybody but a deploy key. `error` says what is not in the plan, `fix` what is."
        fix "Ask for what the plan grants. The operator changes the plan with a deploy key: \
             `PATCH /v1/workspaces/{id}` with `plan`."
    }
    EscalationNotAllowed 403 "escalation_not_allowed" {
        means "What was asked for would be wider than the credential that asks."
        when "A credential puts off its own end or widens its own `allowed_addresses`, or makes, changes or rotates \
              another one that would outlive it or be usable from where it is not."
        fix "Ask for an `expires_at` no later than its own and for addresses among its own; or ask with a credential \
             that has no such bound, such as a deploy key."
    }
    CredentialKindNotAllowed 403 "credential_kind_not_allowed" {
        means "The credential is good, and of a kind that this call never takes."
        when "A widget key or a history secret is sent to a call of servers, a server's key to a call of the widget, or a \
              service token to an administrator's call."
        fix "Use the kind that the call takes. No kind opens what another opens."
    }
    OriginNotAllowed 403 "origin_not_allowed" {
        means "The widget key may not be used on this page."
        when "The page's origin is not on the key's list: `www.` or a port more or less, `http:` for `https:`, or a \
              page without an origin."
        fix "Add the exact origin, as in `https://shop.example`, to the key's `origins`."
    }
    ServerKeyInBrowser 403 "server_key_in_browser" {
        means "A server's key came from a browser. Everybody who sees the page can take it."
        when "The request has `Origin` or `Sec-Fetch-Site`, which browsers send and servers do not."
        fix "Treat the key as leaked: rotate it with `overlap_seconds: 0`, and call from your server. \
             `seen_in_browser` of the key tells the page. Pages use widget keys."
    }
    AddressNotAllowed 403 "address_not_allowed" {
        means "The credential is held to addresses, and this call came from another."
        when "The client's address is not within its `allowed_addresses`, or the deployment cannot tell the address."
        fix "Call from an address on the list, or change the list with `PATCH /v1/credentials/{id}`."
    }
    WrongConversation 403 "wrong_conversation" {
        means "The history secret belongs to another conversation than the path."
        when "A page mixes two conversations, or the id in the path was changed."
        fix "Send the secret that came with this conversation."
    }
    NotFound 404 "not_found" {
        means "There is nothing here, or nothing that you may know of."
        when "The path or the id is misspelled, the policy switches the call off, or the thing belongs to somebody \
              else."
        fix "Check the path and the id. A path has one spelling: no slash at its end, no other case, no percent \
             encoding."
    }
    MethodNotAllowed 405 "method_not_allowed" {
        means "The path is right and does not take this method."
        when "For instance, `PUT` where only `GET` and `POST` are. The header `Allow` names those that are taken."
        fix "Use one of the methods in `Allow`."
    }
    Conflict 409 "conflict" {
        means "The request does not fit what is there by now."
        when "The id is taken, what should be changed has ended, a workspace or a conversation is full, or the same work \
              is under way already."
        fix "Read the present state, and send the request again only if it is still wanted. Where a conversation is \
             full, begin a new one."
    }
    IdempotencyInProgress 409 "idempotency_in_progress" {
        means "The first request with this `Idempotency-Key` has no answer yet."
        when "A request was repeated while the first one was still under way."
        fix "Wait a moment and send it again with the same key: it gets the answer of the first."
    }
    Gone 410 "gone" {
        means "It was there and has ended."
        when "An operator answers in a conversation that was closed or has expired, or asks for one that was deleted."
        fix "Start a new one. This one does not come back."
    }
    PayloadTooLarge 413 "payload_too_large" {
        means "The body, or a text in it, is too long, or the call may take more tokens than the tier ever has. `error` names the limit."
        when "A body is over 1 MiB, or one of the widget over 100 KiB (16 KiB where it is no message); a message is over \
              the policy's limit, 16 KiB unless that was changed; or `max_tokens` and the prompt are more than the \
              tier's tokens."
        fix "Send less at once: two messages, or smaller parts; ask for fewer tokens."
    }
    UriTooLong 414 "uri_too_long" {
        means "The path and query of the URL are too long. Nothing else was looked at. `error` names the limit."
        when "They are over 8 KiB on a call that Claviger answers itself, or on a route of the policy over its \
              `max_url_bytes`, 16 KiB unless that was changed."
        fix "Send less in the URL: a shorter query, or the data in the body of a call that has one."
    }
    UnsupportedMediaType 415 "unsupported_media_type" {
        means "The body is not said to be JSON."
        when "`Content-Type` is missing, doubled or another one, as browsers' forms send it; or the body is compressed."
        fix "Send `Content-Type: application/json`, and the body as it is."
    }
    IdempotencyKeyReused 422 "idempotency_key_reused" {
        means "The same `Idempotency-Key` came before, with another body."
        when "A key was used for two different requests. It is remembered for a day."
        fix "Make a new key for each new request, and keep it only to repeat that very request."
    }
    RateLimited 429 "rate_limited" {
        means "A limit is reached. Nothing was done."
        when "Too many calls came with one credential, from one network or in one conversation. `RateLimit` says which \
              limits there are."
        fix "Wait for as many seconds as `Retry-After` says, then send the same request again."
    }
    TokenRateLimited 429 "token_rate_limited" {
        means "A limit of tokens is reached. Nothing was forwarded, and nothing was counted."
        when "The tokens that were used lately, those that running calls may still use, and those that this call may \
              take are more than the tier has."
        fix "Wait for as many seconds as `Retry-After` says, or lower what the call may take at most, as in `max_tokens`."
    }
    HeaderTooLarge 431 "header_too_large" {
        means "One of the request's headers is over 8 KiB, or all of them together are over 64 KiB."
        when "Cookies have piled up, or a header holds what belongs into the body."
        fix "Send fewer or shorter headers. Claviger needs no cookie."
    }
    Internal 500 "internal" {
        means "We failed, and it is our fault."
        when "Something in the worker or in one of its objects broke. What earlier answers said is kept."
        fix "Send the same request again, with the same `Idempotency-Key`. If it goes on, report the request id."
    }
    UpstreamError 502 "upstream_error" {
        means "The upstream did not answer, or none is named. Whether the call had an effect there is then not known."
        when "It is down, closed the connection, or its answer makes no sense; it failed so often lately that it is left \
              alone, and `Retry-After` says for how long; or the variable `UPSTREAM` is not set."
        fix "Look whether the upstream answers by itself. A read can be sent again; before a write is, look what became of it."
    }
    UpstreamTimeout 504 "upstream_timeout" {
        means "The upstream did not begin to answer in time. Whether the call had an effect there is not known."
        when "It takes longer than the route's `timeout_seconds`."
        fix "Look whether the upstream answers by itself. Before you repeat a write, look what became of it."
    }
    NotConfigured 503 "not_configured" {
        means "The deployment is not set up for this call. `error` says what is missing."
        when "A variable is missing or malformed: then every call gets this. Or the policy no longer has the credential's tier, \
              or this version cannot serve the route: then only such calls get it."
        fix "The operator sets the variable or changes the policy, and starts again. Callers can only wait."
    }
    Unavailable 503 "unavailable" {
        means "The answer is not to be had right now. With `pending: true`, the change is stored and not yet known \
               everywhere."
        when "An object or its storage did not answer in time, the worker was restarted in the middle, or it receives as many \
              bodies of such callers at once as it has memory for."
        fix "Wait for `Retry-After`. Then read the state, if it was `pending`; else send the same request again, with \
             the same `Idempotency-Key`."
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn every_code_has_one_name() {
        let mut names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Code::ALL.len());
    }
}
