package launcher

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// envoyLogFormat makes Envoy's lines easy to take apart: level, component, text.
const envoyLogFormat = "[%l][%n] %v"

const (
	// tailLines is how many of Envoy's last lines are kept, to be shown when it dies.
	tailLines = 20
	// maxLogLine bounds a line that never ends.
	maxLogLine = 16 << 10
)

// envoyLog is Envoy's standard error: each line goes to our log with its level, and the last ones are kept.
// It is written by one goroutine and read when that has ended, or for the tail.
type envoyLog struct {
	log *slog.Logger

	mu      sync.Mutex
	partial []byte
	tail    []string
}

// Write takes whatever Envoy wrote, in pieces of any size. It never fails: a full log must not stop Envoy.
func (e *envoyLog) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(p)
	for {
		line, rest, found := bytes.Cut(p, []byte{'\n'})
		if room := maxLogLine - len(e.partial); room > 0 {
			e.partial = append(e.partial, line[:min(len(line), room)]...)
		}
		if !found {
			return n, nil
		}
		e.line(string(e.partial))
		e.partial, p = e.partial[:0], rest
	}
}

func (e *envoyLog) line(text string) {
	text = strings.TrimRight(text, " \t\r")
	if text == "" {
		return
	}
	if len(e.tail) == tailLines {
		e.tail = append(e.tail[:0], e.tail[1:]...)
	}
	e.tail = append(e.tail, text)
	level, component, message := parseEnvoyLine(text)
	e.log.Log(context.Background(), level, message, "from", "envoy", "component", component)
}

// last gives the last lines, oldest first, an unfinished one included.
func (e *envoyLog) last() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := append([]string(nil), e.tail...)
	if len(e.partial) > 0 {
		lines = append(lines, string(e.partial))
	}
	return lines
}

// parseEnvoyLine takes `[warning][main] text` apart. A line without that head (an access log, the second line of a message)
// is information.
func parseEnvoyLine(line string) (level slog.Level, component, message string) {
	head, rest, ok := strings.Cut(line, "] ")
	if !ok || !strings.HasPrefix(head, "[") {
		return slog.LevelInfo, "", line
	}
	name, component, ok := strings.Cut(head[1:], "][")
	if !ok {
		return slog.LevelInfo, "", line
	}
	if strings.Contains(component, "][") { // Envoy's own format, used before its options are read: date, thread, level, component, source
		parts := strings.Split(head[1:], "][")
		if len(parts) < 4 {
			return slog.LevelInfo, "", line
		}
		name, component = parts[2], parts[3]
	}
	level, known := map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo,
		"warning": slog.LevelWarn, "error": slog.LevelError, "critical": slog.LevelError,
	}[name]
	if !known {
		return slog.LevelInfo, "", line
	}
	if level == slog.LevelWarn && harmless(rest) {
		level = slog.LevelDebug
	}
	return level, component, rest
}

// harmless knows the warnings that Envoy gives at each healthy start and stop.
func harmless(message string) bool {
	for _, text := range []string{
		"There is no configured limit to the number of allowed active downstream connections",
		"--cpuset-threads is now the default behavior",
		"caught ENVOY_SIGTERM",
	} {
		if strings.Contains(message, text) {
			return true
		}
	}
	return false
}
