package launcher

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// defaultReadinessPort is the peer's.
const defaultReadinessPort = 9902

// readiness answers GET /ready on loopback: what Envoy says of itself, and TERMINATING once the end has begun.
type readiness struct {
	listener net.Listener
	server   *http.Server
	// admin is nil until Envoy has been started.
	admin       atomic.Pointer[adminClient]
	terminating atomic.Bool
}

// listenReadiness takes the port before the control plane is told of it. The port preferred is used for AutoPort.
func listenReadiness(port, preferred int) (*readiness, error) {
	tries := []int{port}
	switch port {
	case AutoPort:
		tries = []int{preferred, 0}
	case AnyPort:
		tries = []int{0}
	}
	var err error
	for _, try := range tries {
		var ln net.Listener
		if ln, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(try))); err == nil {
			r := &readiness{listener: ln}
			r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10}
			return r, nil
		}
	}
	return nil, problem.New(problem.Conflict, "readiness port: %w", err).
		WithHint("choose another with KUMA_READINESS_PORT, or leave it out and a free one is chosen")
}

// port is what the control plane is told; 0 says that there is none.
func (r *readiness) port() int {
	if r == nil {
		return 0
	}
	return r.listener.Addr().(*net.TCPAddr).Port
}

func (r *readiness) address() string {
	if r == nil {
		return ""
	}
	return r.listener.Addr().String()
}

// ServeHTTP answers /ready; any other path is not found.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != "/ready" {
		http.NotFound(w, req)
		return
	}
	status, body := http.StatusServiceUnavailable, "NOT_READY\n"
	if r.terminating.Load() {
		body = "TERMINATING\n"
	} else if admin := r.admin.Load(); admin != nil {
		if s, b, err := admin.do(req.Context(), http.MethodGet, "/ready"); err == nil {
			status, body = s, b
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// serve answers until the returned function is called, which waits for the end.
func (r *readiness) serve() (stop func()) {
	var serving sync.WaitGroup
	serving.Go(func() { r.server.Serve(r.listener) }) // ends with the listener; there is nobody to tell
	return func() {
		r.server.Close()
		serving.Wait()
	}
}
