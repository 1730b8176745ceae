package server

import (
	"net/http"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// gauge is one number that the control plane tells Prometheus, read at the moment of the scrape.
type gauge struct {
	name string
	read func() float64
}

// diagnostics answers /healthy, /ready and /metrics: the port that supervisors and Prometheus ask.
type diagnostics struct {
	ready   atomic.Bool
	metrics *metrics.Set
}

func newDiagnostics(gauges []gauge) *diagnostics {
	d := &diagnostics{metrics: metrics.NewSet()}
	for _, g := range gauges {
		d.metrics.NewGauge(g.name, g.read)
	}
	return d
}

func (d *diagnostics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/healthy":
		w.WriteHeader(http.StatusOK)
	case "/ready":
		if !d.ready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	case "/metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		d.metrics.WritePrometheus(w)
		metrics.WriteProcessMetrics(w)
	default:
		http.NotFound(w, r)
	}
}
