package server

import (
	"fmt"

	"github.com/kumactl/kumactl/internal/catalog"
)

// gauges are the control plane's own metrics; those of the process come with the library.
func (s *Server) gauges() []gauge {
	all := []gauge{
		{"kumactl_store_revision", func() float64 { return float64(s.store.Snapshot().Revision()) }},
	}
	for _, k := range catalog.Kinds() {
		all = append(all, gauge{
			fmt.Sprintf("kumactl_resources{kind=%q}", k.Name),
			func() float64 { return float64(s.store.Snapshot().Count(k.Name, "")) },
		})
	}
	return append(all,
		gauge{"kumactl_proxies_connected", func() float64 { return float64(s.xds.Totals().Connected) }},
		gauge{"kumactl_xds_responses{state=\"sent\"}", func() float64 { return float64(s.xds.Totals().Sent) }},
		gauge{"kumactl_xds_responses{state=\"rejected\"}", func() float64 { return float64(s.xds.Totals().Rejected) }},
	)
}
