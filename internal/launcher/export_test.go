package launcher

import (
	"io"
	"log/slog"
)

// What the tests see of the inside.

func ParseVersion(out string) (version, build string, compatible bool) {
	v := parseVersion(out)
	return v.version, v.build, v.compatible()
}

func ParseAdmin(bootstrap []byte) (network, address string, err error) { return parseAdmin(bootstrap) }

func CountTraffic(stats string) (open, total int) {
	t := countTraffic(stats)
	return t.open, t.total
}

// QuietAfter feeds observations (open, total) and gives the verdict after each.
func QuietAfter(observations ...[2]int) []bool {
	var q quiet
	verdicts := make([]bool, 0, len(observations))
	for _, o := range observations {
		verdicts = append(verdicts, q.after(traffic{open: o[0], total: o[1]}))
	}
	return verdicts
}

// ListenReadiness takes a readiness port, gives it back, and tells its number.
func ListenReadiness(port, preferred int) (int, error) {
	r, err := listenReadiness(port, preferred)
	if err != nil {
		return 0, err
	}
	defer r.listener.Close()
	return r.port(), nil
}

// EnvoyLog is the writer of Envoy's standard error; last gives the lines that it keeps.
func EnvoyLog(log *slog.Logger) (w io.Writer, last func() []string) {
	e := &envoyLog{log: log}
	return e, e.last
}
