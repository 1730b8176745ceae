// Package api is the control plane's HTTP API: resources as JSON, derived from the list of kinds.
//
// In come HTTP requests; out go the store's resources in the shape of Kuma 2.14's API, and writes for
// internal/admission, which decides. The package knows no kind by name save the mesh that a path begins with. Reading takes
// no lock: every answer is made from one snapshot.
//
// What goes beyond Kuma's API:
//
//   - A document's unknown fields and keys given twice are named in `warnings`; `?strict=true` (or Options.Strict) refuses them.
//   - An answer to GET of one resource carries `ETag: "<revision>"`. PUT and DELETE take it back in `If-Match` and end with
//     409 when somebody else was faster; `If-None-Match: *` on PUT only creates.
//   - POST /_apply writes a set of documents in one transaction (see setAnswer); `?dryRun=true` only checks it.
//   - GET /_watch gives changes as they happen, one JSON object a line (see watchEvent).
//   - GET /meshes/{mesh}/dataplanes/{name}/_status says what a proxy was sent, acknowledged and refused.
//   - The header `Kumactl-Source` of a write (a file's name) goes into the change log; `Kumactl-Version` in every answer is
//     the control plane's version. Errors may carry a `hint`.
//
// Who may do what: requests from this machine are the administrator's (see identify), others need the administrator's token to
// write and to read kinds that hold secrets. The server around this handler should give a client 1 s for the header, 10 s for
// the body, 30 s for the answer and 2 min of idleness; a watch lifts its own limits.
package api
