package install

import "fmt"

// launchdCommands supervise on macOS: a daemon for the system, an agent for a user.
func launchdCommands(o Options) commands {
	domain := "system"
	if o.Scope == User {
		domain = fmt.Sprintf("gui/%d", o.UID)
	}
	target := domain + "/" + launchdLabel
	start := []string{"launchctl", "bootstrap", domain, o.Paths.UnitFile}
	stop := []string{"launchctl", "bootout", target}
	return commands{
		checks:  [][]string{{"launchctl", "print", target}},
		setup:   [][]string{start},
		restart: [][]string{stop, start},
		stop:    [][]string{stop},
		log:     "tail -n 50 " + word(o.Paths.LogFile),
	}
}
