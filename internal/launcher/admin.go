package launcher

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/problem"
)

// adminClient speaks to Envoy's admin, which sits on a unix socket or on a TCP port of loopback.
type adminClient struct {
	// address is host:port or the path of the socket.
	address string
	client  *http.Client
}

// adminAddress is the part of an Envoy bootstrap that says where the admin listens, in both spellings that Envoy reads.
type adminAddress struct {
	Admin struct {
		Address struct {
			Pipe struct {
				Path string `json:"path"`
			} `json:"pipe"`
			Socket struct {
				Address string `json:"address"`
				Port    int    `json:"portValue"`
			} `json:"socketAddress"`
			SocketSnake struct {
				Address string `json:"address"`
				Port    int    `json:"port_value"`
			} `json:"socket_address"`
		} `json:"address"`
	} `json:"admin"`
}

// parseAdmin reads where the admin listens; nothing else of the bootstrap needs to be understood.
func parseAdmin(bootstrap []byte) (network, address string, err error) {
	var b adminAddress
	if err := yaml.Unmarshal(bootstrap, &b); err != nil {
		return "", "", problem.New(problem.Invalid, "bootstrap from the control plane: %w", err)
	}
	at := b.Admin.Address
	switch {
	case at.Pipe.Path != "":
		return "unix", at.Pipe.Path, nil
	case at.Socket.Address != "":
		return "tcp", net.JoinHostPort(at.Socket.Address, strconv.Itoa(at.Socket.Port)), nil
	case at.SocketSnake.Address != "":
		return "tcp", net.JoinHostPort(at.SocketSnake.Address, strconv.Itoa(at.SocketSnake.Port)), nil
	}
	return "", "", problem.New(problem.Invalid, "bootstrap from the control plane: it gives Envoy no admin address")
}

// newAdmin keeps at most two connections: Envoy's admin is one thread.
func newAdmin(network, address string) *adminClient {
	transport := &http.Transport{
		MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	return &adminClient{address: address, client: &http.Client{Transport: transport, Timeout: 5 * time.Second}}
}

// close gives the connections back.
func (a *adminClient) close() { a.client.CloseIdleConnections() }

// do sends one request and gives status and body.
func (a *adminClient) do(ctx context.Context, method, path string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://envoy"+path, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	return resp.StatusCode, string(body), err
}

// traffic is what Envoy's listeners know about their clients, the admin's own left out.
type traffic struct {
	// open connections now, and all since the start.
	open, total int
}

// traffic asks for the connections that clients hold and held to Envoy's listeners.
func (a *adminClient) traffic(ctx context.Context) (traffic, error) {
	filter := url.QueryEscape(`^listener\..*\.downstream_cx_(active|total)$`)
	status, body, err := a.do(ctx, http.MethodGet, "/stats?filter="+filter)
	if err != nil {
		return traffic{}, err
	}
	if status != http.StatusOK {
		return traffic{}, problem.New(problem.Unavailable, "envoy's admin answers %d to /stats", status)
	}
	return countTraffic(body), nil
}

// countTraffic adds up lines like `listener.ADDRESS.downstream_cx_active: N`. The same connections stand a second time below
// each worker thread.
func countTraffic(stats string) traffic {
	var t traffic
	for line := range strings.Lines(stats) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok || strings.HasPrefix(name, "listener.admin.") || strings.Contains(name, ".worker_") {
			continue
		}
		n, err := strconv.Atoi(value)
		switch {
		case err != nil:
		case strings.HasSuffix(name, ".downstream_cx_active"):
			t.open += n
		case strings.HasSuffix(name, ".downstream_cx_total"):
			t.total += n
		}
	}
	return t
}
