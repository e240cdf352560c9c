//! Header families: in which servers expect the word of a proxy, about where a call came from, who made it, or which call is meant.
//!
//! A caller can write any of these. So they never pass as they came; what is known of the call is written anew.

use std::borrow::Cow;

/// Names that belong to a family by themselves. In order, for the search.
const NAMES: &[&str] = &[
    "base-url",
    "cdn-src-ip",
    "client-ip",
    "cluster-ip",
    "coming-from",
    "disguised-host",
    "do-connecting-ip",
    "forwarded",
    "front-end-https",
    "http-url",
    "proxy",
    "real-ip",
    "realip",
    "request-uri",
    "script-name",
    "source-ip",
    "src-ip",
    "uri",
    "url",
    "was-default-hostname",
    "x-amzn-request-context",
    "x-anonymous-consumer",
    "x-apigateway-api-userinfo",
    "x-backend-host",
    "x-cluster-ip",
    "x-coming-from",
    "x-custom-ip-authorization",
    "x-endpoint-api-userinfo",
    "x-host",
    "x-https",
    "x-ip",
    "x-proto",
    "x-realip",
    "x-request-path",
    "x-request-uri",
    "x-request-url",
    "x-scheme",
    "x-scope-orgid",
    "x-script-name",
    "x-server-name",
    "x-sso-user",
    "x-url-rewrite",
    "x-url-scheme",
    "xforwardedfor",
];

/// Beginnings of names. In order, and none of them the beginning of another: so one search finds the only one that may fit.
const BEGINNINGS: &[&str] = &[
    "akamai-",
    "cf-",
    "client-cert",
    "cloudfront-",
    "fastly-",
    "fly-",
    "forwarded-",
    "impersonate-",
    "iv-",
    "kubeflow-",
    "ngrok-auth-",
    "oam-",
    "oidc-",
    "proxy-",
    "remote-",
    "shib-",
    "sm-",
    "ssl-",
    "tailscale-",
    "teleport-jwt-",
    "true-client",
    "wl-proxy-",
    "x-accel-",
    "x-akamai-",
    "x-amzn-lambda-",
    "x-amzn-mtls-",
    "x-amzn-oidc-",
    "x-amzn-tls-",
    "x-apigateway-",
    "x-appengine-",
    "x-arr-",
    "x-auth-email",
    "x-auth-group",
    "x-auth-name",
    "x-auth-request",
    "x-auth-role",
    "x-auth-subject",
    "x-auth-user",
    "x-authenticated-",
    "x-authentik-",
    "x-azure-",
    "x-client-addr",
    "x-client-cert",
    "x-client-dn",
    "x-client-fingerprint",
    "x-client-i-dn",
    "x-client-ip",
    "x-client-issuer",
    "x-client-s-dn",
    "x-client-san",
    "x-client-serial",
    "x-client-ssl",
    "x-client-subject",
    "x-client-tls",
    "x-client-verif",
    "x-clientcert",
    "x-clientip",
    "x-cluster-client",
    "x-consumer-",
    "x-credential-",
    "x-envoy-",
    "x-forward",
    "x-goog-authenticated-user",
    "x-goog-iap-",
    "x-http-",
    "x-istio-",
    "x-jwt-",
    "x-kong-",
    "x-method",
    "x-middleware-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-mtls-",
    "x-nf-",
    "x-original",
    "x-originating-",
    "x-override-",
    "x-pomerium-",
    "x-proxy",
    "x-real-",
    "x-remote-",
    "x-replit-user-",
    "x-rewrite-",
    "x-sendfile",
    "x-ssl",
    "x-sucuri-",
    "x-tls-",
    "x-true-",
    "x-userinfo",
    "x-vercel-",
    "x-vouch-",
    "x-waws-",
    "x-webauth-",
];

/// Endings of names that say where a call came from or who made it, whatever stands before: `HTTP_X_FORWARDED_FOR`, `CDN-Real-IP`,
/// `OAM_REMOTE_USER`. In order.
const ENDINGS: &[&str] = &[
    "-client-cert",
    "-client-ip",
    "-clientip",
    "-connecting-ip",
    "-forwarded-for",
    "-forwarded-host",
    "-forwarded-proto",
    "-front-end-https",
    "-override",
    "-peer-ip",
    "-real-ip",
    "-remote-addr",
    "-remote-ip",
    "-remote-user",
    "-source-ip",
    "-src-ip",
    "-user-ip",
];

/// Of those, the ones by which a server takes another method or path than the policy was asked about.
const OTHER_CALLS: &[&str] = &[
    "x-envoy-original-",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-ur",
    "x-http-",
    "x-method",
    "x-original-me",
    "x-original-path",
    "x-original-quer",
    "x-original-request",
    "x-original-ur",
    "x-override-",
    "x-rewrite-",
];

/// The name as servers of the CGI family read it: `_`, and with some of them `.` and others, count as `-` there. So what is
/// spelled with these must not become another header behind our back.
pub fn read(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return name.into();
    }
    name.replace(|c: char| !c.is_ascii_alphanumeric(), "-").into()
}

/// Whether a name, as it is [`read`], belongs to a family.
pub fn is_of_proxies(name: &str) -> bool {
    let at = BEGINNINGS.partition_point(|beginning| *beginning <= name);
    let nearest = at.checked_sub(1).and_then(|at| BEGINNINGS.get(at));
    nearest.is_some_and(|beginning| name.starts_with(beginning))
        || NAMES.binary_search(&name).is_ok()
        || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Whether a server that believes this header may take another call for the one that was sent.
pub fn names_other_call(name: &str) -> bool {
    name.ends_with("-override") || OTHER_CALLS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::{BEGINNINGS, ENDINGS, NAMES, is_of_proxies, names_other_call, read};

    #[test]
    fn both_lists_are_in_order_and_no_beginning_begins_another() {
        assert!(NAMES.is_sorted() && BEGINNINGS.is_sorted());
        for (at, one) in BEGINNINGS.iter().enumerate() {
            assert!(BEGINNINGS.iter().enumerate().all(|(other, text)| at == other || !text.starts_with(one)), "{one}");
            assert!(is_of_proxies(one) && is_of_proxies(&format!("{one}x")), "{one}");
        }
        assert!(NAMES.iter().all(|name| is_of_proxies(name)));
    }

    #[test]
    fn f6_a10_what_servers_believe_of_a_proxy_is_known_by_its_family() {
        let names = "
            Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Forwarded-Prefix X-Forwarded-Port
            X-Forwarded-Server X-Forwarded-Ssl X-Forwarded-Scheme X-Forwarded-By X-Forwarded X-Forward-For
            X-Forwarded-For-Original X-Forwarder-For Forwarded-For X-Forwarded-User X-Forwarded-Email
            X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token X-Forwarded-Client-Cert
            X-Forwarded-Uri X-Forwarded-Path X-Forwarded-Method X-Forwarded-Tls-Client-Cert X-Real-IP X-Real-Host
            X-Client-IP X-ClientIP Client-IP X-Cluster-Client-IP True-Client-IP X-True-IP CF-Connecting-IP
            CF-Connecting-IPv6 CF-Pseudo-IPv4 Cf-IPCountry CF-Ray CF-Visitor Cf-Access-Jwt-Assertion
            Cf-Access-Authenticated-User-Email Fastly-Client-IP Fly-Client-IP CloudFront-Viewer-Address
            X-Azure-ClientIP X-Appengine-User-IP X-Vercel-Forwarded-For X-Originating-IP X-Remote-IP X-Remote-Addr
            X-ProxyUser-Ip WL-Proxy-Client-IP Proxy-Client-IP Proxy X-Envoy-External-Address X-Envoy-Internal
            X-Original-URL X-Original-URI X-Original-Method X-Original-Host X-Original-Forwarded-For X-Rewrite-URL
            X-Override-URL X-HTTP-Method-Override X-HTTP-Method X-Method-Override X-HTTP-Host-Override
            X-Host-Override X-Path-Override X-Envoy-Original-Path X-Envoy-Original-Method X-Host X-Scheme
            X-URL-Scheme X-Script-Name Front-End-Https X-Auth-Request-User X-Auth-Request-Email X-Auth-User
            X-Auth-Username X-Authenticated-Userid X-WEBAUTH-USER Remote-User Remote-Groups Remote-Addr
            X-Remote-User X-Remote-Group X-Remote-Extra-Scopes Impersonate-User X-Client-Cert X-Client-Cert-Chain
            X-Client-DN X-Client-Verify X-SSL-Client-Cert X-SSL-Client-S-DN SSL-Client-Cert X-SSLClientCert
            Client-Cert Client-Cert-Chain X-Amzn-Oidc-Data X-Amzn-Oidc-Identity X-Amzn-Mtls-Clientcert-Leaf
            X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-Iap-Jwt-Assertion
            X-MS-CLIENT-PRINCIPAL X-MS-CLIENT-PRINCIPAL-NAME X-MS-TOKEN-AAD-ID-TOKEN X-ARR-ClientCert
            Tailscale-User-Login Tailscale-User-Name X-Consumer-Username X-Credential-Identifier OIDC_CLAIM_sub
            x_forwarded_for X.Forwarded.For X~Real~IP remote_user X_FORWARDED_USER x-forwarded_client-cert
        ";
        for name in names.split_whitespace() {
            let name = name.to_ascii_lowercase();
            assert!(is_of_proxies(&read(&name)), "{name}");
        }
        let names = "
            accept user-agent x-request-id traceparent x-client-info x-client-version x-client-id x-user-agent
            x-goog-api-client x-ms-client-request-id x-amzn-trace-id x-amz-date x-auth-token x-auth-key api-key via
            cdn-loop max-forwards prefer x-forbidden forward x-real x-hostname x-stainless-lang anthropic-version
            mcp-session-id origin x-origin override x-theirs x-trace x-client cf
        ";
        for name in names.split_whitespace() {
            assert!(!is_of_proxies(&read(name)), "{name}");
        }
        for name in
            ["x-http-method-override", "x-original-url", "x-original-uri", "x-method-override", "x-path-override"]
        {
            assert!(names_other_call(name), "{name}");
        }
        assert!(!names_other_call("x-client-cert") && !names_other_call("x-original-host"));
    }

    #[test]
    fn x_what_is_less_known_or_spelled_in_another_way_is_known_by_how_it_begins_or_ends() {
        assert!(ENDINGS.is_sorted());
        let names = "
            X-IP Source-IP X-Source-IP Src-IP X-User-IP RealIP X-RealIP XForwardedFor Z-Forwarded-For Cluster-Client-IP
            X-Cluster-IP Incap-Client-IP X-Sucuri-ClientIP Akamai-Client-IP X-Akamai-Edgescape Ali-CDN-Real-IP
            CDN-Real-IP EO-Client-IP EO-Connecting-IP Edge-Client-IP X-Orig-Client-IP HTTP_X_FORWARDED_FOR
            HTTP_CLIENT_IP X-Coming-From X-Peer-IP Nginx-Client-Cert SM_USER SM-UserDN iv-user iv-groups iv-creds
            OAM_REMOTE_USER CT-Remote-User kubeflow-userid ngrok-auth-user-email Teleport-Jwt-Assertion X-Userinfo
            X-JWT-Assertion X-Jwt-Payload X-Replit-User-Id X-SSO-User X-Apigateway-Event X-Apigateway-Context
            X-Amzn-Request-Context X-Amzn-Lambda-Context X-Amzn-Oidc-Accesstoken X-Istio-Attributes X-Kong-Request-Id
            X-Backend-Host X-Url-Rewrite X-Request-Path Uri Url X-Front-End-Https X-Real-Client-Cert
        ";
        for name in names.split_whitespace() {
            let name = name.to_ascii_lowercase();
            assert!(is_of_proxies(&read(&name)), "x {name}");
        }
        let names = "
            ip x-zip x-ship x-clip x-trip iv smile x-user x-user-id x-jwt x-amzn-trace-id x-url x-uri uris x-tenant-id
            akamai ngrok-skip-browser-warning x-source source-map destination auth-scheme x-customer-ip
        ";
        for name in names.split_whitespace() {
            assert!(!is_of_proxies(&read(name)), "x {name}");
        }
    }
}
