//! `docs/gateway.md`: what the gateway does with each request, from the scope's own table.

/// The page.
pub(crate) fn markdown() -> String {
    format!("{HEAD}{}{TAIL}", bulkhead_scope::table::markdown())
}

const HEAD: &str = "\
# The gateway

The API server as a tenant's people and machines see it. This page is made by `cargo xtask generate` from the table by which the gateway is tested
(`crates/scope/src/table.rs`). `scope:the_table_says_what_is_decided` holds the table against the decision, and
`e2e:scope::everything_that_is_served_is_answered_as_the_table_says` against everything that a live API server serves: each resource with each of its verbs in one's
own namespace, in another's, and in none, by the audit log of the API server.

## What becomes of a request

The first row that fits says it. `OWN` is a namespace of one of the caller's tenants.

";

const TAIL: &str = "
Documents (`/api`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`, `/openapi/v2`, `/openapi/v3` and below, `/version`, `/healthz`, `/livez`, `/readyz`) are passed, without the
addresses of the API server and without what does not work here: discovery in both forms lists the groups, kinds, subresources and verbs that the table does not refuse, and the
schemas have the operations that it does not refuse, in JSON, the second version also in protobuf (`e2e:discovery::what_is_discovered_through_the_gateway_works`). Every other path
is refused with 404.

## Lists over all namespaces

`kubectl get KIND -A` is made of one request for each of one's namespaces, sent under the user of the tenant that the namespace belongs to; a person in several tenants sees
the parts of all of them, each with the rights of its own role (`e2e:lists::a_member_of_two_tenants_sees_both`).

- The list shows one state. The first namespace that answers says which resource version that is, and all others are asked for exactly that. A client's own `resourceVersion` and
  `resourceVersionMatch` mean what they mean at the API server (`e2e:lists::over_all_namespaces_are_those_of_an_administrator`).
- `limit` and `continue` work as usual; a page holds 1000 items at most. The token is the gateway's own: signed, valid for five minutes, and good for the same person, kind,
  selectors and set of namespaces only. In every other case the answer is `410 Expired`, and clients list again (`e2e:lists::over_all_namespaces_come_in_pages_of_one_state`).
  Replicas of a gateway that have the same TLS key understand each other's tokens.
- Namespaces in which the role may not list the kind are left out; if there is none in which it may, the answer is one 403.
- `metadata.remainingItemCount` is left out.
- JSON and tables are answered. A client that takes nothing but protobuf is told 406.
- Up to 4 MiB an answer is made whole before its first byte goes out, so that whatever goes wrong is told as an error. A larger one streams, and breaks off if something goes wrong.

## Watches over all namespaces

- Events of all namespaces come in the order of their resource versions. Each is held for 200 ms, so that one of another namespace that happened earlier can still go first
  (`e2e:watches::a_client_that_reconnects_sees_what_an_administrator_sees`). A client may hang up at any event and go on from its resource version.
- An event that comes later still ends the watch with `410 Expired`; so does a namespace that comes or goes, a membership that ends, a role that changes. Clients list
  again then (`e2e:watches::end_when_a_namespace_comes`). A watch from a state at which one's namespaces were others is answered in the same way.
- What is not covered: an event that comes more than 200 ms late while the client has hung up meanwhile and comes back before it.
- Without a `resourceVersion`, with `0`, and with `sendInitialEvents=true` a watch begins with the state as additions; with `sendInitialEvents` and `allowWatchBookmarks` a bookmark
  says where that ends (`e2e:watches::begin_with_the_state_that_is_asked_for`).
- Bookmarks are those of the namespace that is furthest behind.
- No watch lives longer than five minutes: rights are looked at anew when it comes back.
- Events of the kind `events` may be kept in a store of their own, with resource versions of its own. For them the set of namespaces at the beginning is not compared.

## Bodies

- JSON, YAML (`application/yaml`, and server-side apply), Kubernetes' protobuf, and the four kinds of patches, of 3 MiB at most. What goes upstream is the gateway's own JSON.
- Refused, because two readers could read two things: a key given twice, a number that would lose digits, a second document, a YAML scalar that YAML 1.1 and 1.2 read differently
  (`a: y`), a body that is compressed.

## Clients

What each is tried with, through the gateway, by `cargo xtask test` or, for those that take minutes to install (helm, kubectl 1.32, JavaScript, client-go), by `cargo xtask clients`; both print the matrix.

| client | trial |
|---|---|
| kubectl 1.36: get, apply both ways, diff, edit, patch, create, scale, set, rollout, wait, describe, events, exec, cp, debug, create token, auth, explain, api-resources, delete | `e2e:clients::kubectl` |
| kubectl 1.32: the same | `e2e:clients::kubectl_1_32` |
| kubectl 1.36: exec, attach, cp, port-forward by WebSocket and SPDY | `e2e:streams::kubectl_connects_to_pods` |
| Python `kubernetes` 37.0: objects, pages, patches, watch, exec, port-forward | `e2e:clients::python` |
| JavaScript `@kubernetes/client-node` 1.3: objects, an informer over all namespaces, exec | `e2e:clients::javascript` |
| helm 3: install, upgrade, history, rollback, list, status, uninstall | `e2e:clients::helm` |
| client-go 0.32: an informer over all namespaces, with protobuf preferred | `e2e:clients::client_go` |
| kube-rs: lists, watches, apply, patches | `e2e:work::kube_watches`, `e2e:work::kube_applies_and_patches` |
";
