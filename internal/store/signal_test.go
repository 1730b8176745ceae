package store_test

import (
	"os/signal"
	"syscall"
)

// signalIgnored lets writes over the limit of a file's size end with an error.
func signalIgnored() { signal.Ignore(syscall.SIGXFSZ) }
