// Package install makes this machine a node of the mesh, and takes that back.
//
// In come Options: where things go, who supervises the control plane, which ports. Out comes a Plan, which is computed without
// touching anything. The plan is applied step by step (Apply), undone (Uninstall), or printed as a shell script that does the
// same (Script). Applied twice it changes nothing, and says so.
package install
