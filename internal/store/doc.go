// Package store keeps resources and the log of their changes, each transaction under one revision.
//
// In come transactions (Update) and status that need not survive a crash (PutVolatile); out come immutable snapshots, the
// changes after a revision (Watch) and their history. What Update acknowledged is on disk. Reads come from memory and take
// no lock: a snapshot is a copy-on-write tree for each kind.
//
// One goroutine owns the engine (bbolt, or memory for tests and trials). It drains a queue and commits what it finds there
// together, so that many writers share one flush of the disk.
package store
