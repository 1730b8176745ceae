// Package house holds the rules of the project as tests.
//
// In come the module's own source files, parsed and not type-checked; out come failures, each of which names the place and says
// what to do. One file a rule; docs/architecture.md says why they are there. There is nothing here to import.
package house
