package launcher

import (
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
)

// QuickOptions describe a data plane in the few words of a command line.
type QuickOptions struct {
	// Service is the value of kuma.io/service; Protocol that of kuma.io/protocol, tcp when empty.
	Service, Protocol string
	// Name of the Dataplane; empty: service, host name and the application's port, so that replicas differ.
	Name string
	// Mesh is "default" when empty.
	Mesh string
	// Port is where the application listens. When ServicePort is given too, it is where the application listens, and Port
	// is where the mesh comes in, as in a Dataplane's inbound. 0 without a service: a proxy that only consumes.
	Port, ServicePort int
	// Address is where other proxies reach this one. Empty: the address that this host has towards ControlPlane, which is
	// loopback when that is on this host, so that nothing is open to the network unless the mesh spans it.
	Address      string
	ControlPlane string
	// Outbounds are SERVICE:PORT; the application finds SERVICE on 127.0.0.1:PORT.
	Outbounds []string
	// Tags are further tags of the inbound.
	Tags map[string]string
}

// QuickDataplane is the Dataplane that Quick built, and what a person wants to see of it.
type QuickDataplane struct {
	// Resource is the JSON for Config.Resource.
	Resource   string
	Name, Mesh string
	// Inbound is where the mesh comes in, Application where Envoy hands over to; both host:port, empty without a service.
	Inbound, Application string
	// Outbounds are "SERVICE 127.0.0.1:PORT".
	Outbounds []string
	// Why says in one sentence how the inbound was chosen; empty when the person chose it.
	Why string
}

// quickResource is as much of a Dataplane as Quick writes; its own type, so that this package needs no protobuf.
type quickResource struct {
	Type       string          `json:"type"`
	Mesh       string          `json:"mesh"`
	Name       string          `json:"name"`
	Networking quickNetworking `json:"networking"`
}

type quickNetworking struct {
	Address  string      `json:"address"`
	Inbound  []quickPort `json:"inbound,omitempty"`
	Outbound []quickPort `json:"outbound,omitempty"`
}

type quickPort struct {
	Port           int               `json:"port"`
	ServicePort    int               `json:"servicePort,omitempty"`
	ServiceAddress string            `json:"serviceAddress,omitempty"`
	Tags           map[string]string `json:"tags"`
}

// Quick builds a Dataplane for an application on 127.0.0.1.
//
// The application has its port on loopback already, so the inbound needs another place: the same port on the proxy's own
// address when that is not loopback and free there, else the application's port plus 10,000, else any free port.
func Quick(o QuickOptions) (QuickDataplane, error) {
	if err := o.check(); err != nil {
		return QuickDataplane{}, err
	}
	if o.Mesh == "" {
		o.Mesh = "default"
	}
	if o.Address == "" {
		o.Address = addressTowards(o.ControlPlane)
	}
	built := QuickDataplane{Name: o.Name, Mesh: o.Mesh}
	if built.Name == "" {
		built.Name = o.defaultName()
	}
	res := quickResource{Type: "Dataplane", Mesh: o.Mesh, Name: built.Name, Networking: quickNetworking{Address: o.Address}}
	taken := map[int]string{}
	if o.Service != "" {
		inbound, why, err := o.inbound()
		if err != nil {
			return QuickDataplane{}, err
		}
		res.Networking.Inbound = []quickPort{inbound}
		built.Why = why
		built.Inbound = net.JoinHostPort(o.Address, strconv.Itoa(inbound.Port))
		built.Application = net.JoinHostPort(inbound.ServiceAddress, strconv.Itoa(inbound.ServicePort))
		taken[inbound.ServicePort] = "the application"
		if isLoopback(o.Address) {
			taken[inbound.Port] = "the inbound"
		}
	}
	for _, text := range o.Outbounds {
		out, err := parseOutbound(text, taken)
		if err != nil {
			return QuickDataplane{}, err
		}
		res.Networking.Outbound = append(res.Networking.Outbound, out)
		built.Outbounds = append(built.Outbounds, fmt.Sprintf("%s 127.0.0.1:%d", out.Tags["kuma.io/service"], out.Port))
	}
	raw, err := json.Marshal(res)
	if err != nil {
		return QuickDataplane{}, problem.New(problem.Internal, "dataplane %s: %w", built.Name, err)
	}
	built.Resource = string(raw)
	return built, nil
}

// check refuses what cannot become a Dataplane; the finer rules (names, tags) are the control plane's.
func (o QuickOptions) check() error {
	switch {
	case o.Service == "" && len(o.Outbounds) == 0:
		return problem.New(problem.Invalid, "neither a service nor an outbound is given, so there is nothing to proxy").
			WithHint("add --service NAME --port PORT, or --outbound NAME:PORT")
	case o.Service == "" && (o.Port != 0 || o.ServicePort != 0 || o.Protocol != "" || len(o.Tags) > 0):
		return problem.New(problem.Invalid, "a port, protocol or tag is given, but no service that it belongs to").WithHint("add --service NAME")
	case o.Service == "" && o.Name == "":
		return problem.New(problem.Invalid, "a proxy without a service needs a name").WithHint("add --name NAME")
	case o.Service == "":
		return nil
	}
	if o.Port == 0 {
		return problem.New(problem.Invalid, "service %s: the port is missing", o.Service).WithHint("add --port PORT, where the application listens")
	}
	if o.Port < 1 || o.Port > 65535 {
		return problem.New(problem.Invalid, "--port %d is not a port; ports are 1 to 65535", o.Port)
	}
	if o.ServicePort < 0 || o.ServicePort > 65535 {
		return problem.New(problem.Invalid, "--service-port %d is not a port; ports are 1 to 65535", o.ServicePort)
	}
	if o.Address != "" && net.ParseIP(o.Address) == nil {
		return problem.New(problem.Invalid, "address %q is not an IP address", o.Address)
	}
	return nil
}

// inbound is the one inbound, and why it is where it is when that was not said.
func (o QuickOptions) inbound() (quickPort, string, error) {
	tags := map[string]string{"kuma.io/service": o.Service, "kuma.io/protocol": "tcp"}
	for k, v := range o.Tags {
		tags[k] = v
	}
	if o.Protocol != "" {
		tags["kuma.io/protocol"] = o.Protocol
	}
	in := quickPort{Port: o.Port, ServicePort: o.Port, ServiceAddress: "127.0.0.1", Tags: tags}
	if o.ServicePort != 0 {
		in.ServicePort = o.ServicePort
		return in, "", nil
	}
	port, why, err := inboundPort(o.Address, o.Port)
	in.Port = port
	return in, why, err
}

// inboundPort chooses where the mesh comes in, for an application on 127.0.0.1:port.
func inboundPort(address string, port int) (int, string, error) {
	reason := "its application holds the port on loopback"
	if !isLoopback(address) {
		if free(address, port) {
			return port, fmt.Sprintf("the mesh comes in on %s, the application keeps the same port on 127.0.0.1", address), nil
		}
		reason = "that port is taken there; an application that listens on 127.0.0.1 only would leave it free"
	}
	if high := port + 10_000; high <= 65535 && free(address, high) {
		return high, fmt.Sprintf("port %d instead of %d on %s: %s", high, port, address, reason), nil
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return 0, "", problem.New(problem.Invalid, "address %s: %w", address, err).
			WithHint("give an address of this host with --address")
	}
	defer ln.Close()
	chosen := ln.Addr().(*net.TCPAddr).Port
	return chosen, fmt.Sprintf("port %d instead of %d on %s: %s", chosen, port, address, reason), nil
}

// free tells by trying; somebody may still be faster than Envoy, which then says so and ends.
func free(address string, port int) bool {
	ln, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
	if err != nil {
		return false
	}
	ln.Close()
	return true
}

// parseOutbound reads SERVICE:PORT; taken holds who has a port of loopback already.
func parseOutbound(text string, taken map[int]string) (quickPort, error) {
	at := strings.LastIndexByte(text, ':')
	if at < 1 {
		return quickPort{}, problem.New(problem.Invalid, "outbound %q is not SERVICE:PORT", text).WithHint("for example --outbound backend:9001")
	}
	port, err := strconv.Atoi(text[at+1:])
	if err != nil || port < 1 || port > 65535 {
		return quickPort{}, problem.New(problem.Invalid, "outbound %q: %q is not a port; ports are 1 to 65535", text, text[at+1:])
	}
	if who, found := taken[port]; found {
		return quickPort{}, problem.New(problem.Invalid, "outbound %q: port %d belongs to %s already", text, port, who)
	}
	taken[port] = "outbound " + text[:at]
	return quickPort{Port: port, Tags: map[string]string{"kuma.io/service": text[:at]}}, nil
}

// addressTowards asks the routing table, without sending anything, for the address that this host has towards the control
// plane; loopback when there is no route.
func addressTowards(controlPlane string) string {
	const loopback = "127.0.0.1"
	u, err := url.Parse(controlPlane)
	if err != nil || u.Hostname() == "" {
		return loopback
	}
	conn, err := net.Dial("udp", net.JoinHostPort(u.Hostname(), "9"))
	if err != nil {
		return loopback
	}
	defer conn.Close()
	addr, ok := conn.LocalAddr().(*net.UDPAddr)
	if !ok || addr.IP.IsLoopback() {
		return loopback
	}
	return addr.IP.String()
}

func isLoopback(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && ip.IsLoopback()
}

// defaultName is unique for each application of each host, and a valid resource name.
func (o QuickOptions) defaultName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	port := o.Port
	if o.ServicePort != 0 {
		port = o.ServicePort
	}
	return strings.Trim(strings.Map(nameRune, fmt.Sprintf("%s-%s-%d", o.Service, host, port)), "-")
}

func nameRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '.':
		return r
	case r >= 'A' && r <= 'Z':
		return r + 'a' - 'A'
	}
	return '-'
}
