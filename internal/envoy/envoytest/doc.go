// Package envoytest helps tests that are about Envoy's configuration.
//
// In come documents as a user types them, mostly in txtar files; out go what a proxy gets, as lines that a person can read, the
// difference that a policy makes, and the word of a real Envoy on whether it takes it.
package envoytest
