package launcher_test

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
)

func TestExpand(t *testing.T) {
	t.Parallel()
	vars := map[string]string{"name": "web", "a.b": "<&>", "empty": "", "nested": "{{ name }}"}
	tests := map[string]struct{ text, want, wrong string }{
		"no variables":   {"type: Dataplane\n", "type: Dataplane\n", ""},
		"spaces or none": {"{{ name }}-{{name}}", "web-web", ""},
		"never escaped":  {"{{ a.b }} {{{ a.b }}} {{& a.b }}", "<&> <&> <&>", ""},
		"empty value":    {"[{{ empty }}]", "[]", ""},
		"once only":      {"{{ nested }}", "{{ name }}", ""},
		"comment":        {"a{{! name }}b", "ab", ""},
		"flow mapping":   {"{a: {b: c}}", "{a: {b: c}}", ""},
		"no value":       {"a\nb: {{ other }}", "", `line 2: variable "other" has no value`},
		"section":        {"{{#name}}x{{/name}}", "", "line 1: `{{#name}}`: only variables"},
		"partial":        {"{{> file }}", "", "only variables"},
		"not closed":     {"{{ name", "", "line 1: `{{` has no matching `}}`"},
		"no name":        {"{{ }}", "", "names no variable"},
		"half triple":    {"{{{ name }}", "", "no matching `}}}`"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := launcher.Expand(test.text, vars)
			if test.wrong != "" {
				expect(t, err, problem.Invalid, test.wrong, "")
				return
			}
			if err != nil || got != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"{{ a }}", "{{{a}}}", "{{&a}}", "{{!", "{{#a}}{{/a}}", "}}{{", "{{\n a}}"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		got, err := launcher.Expand(text, map[string]string{"a": value})
		if err == nil && !strings.Contains(text, "{{") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}

func FuzzParseAdmin(f *testing.F) {
	f.Add([]byte("admin: {address: {pipe: {path: /a}}}"))
	f.Add([]byte("admin: {address: {socket_address: {address: a, port_value: 1}}}"))
	f.Fuzz(func(t *testing.T, bootstrap []byte) {
		if network, address, err := launcher.ParseAdmin(bootstrap); err == nil && (network == "" || address == "") {
			t.Errorf("%q: neither an address nor an error", bootstrap)
		}
	})
}

func TestResourceFromFileAndStdin(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dp.yaml")
	if err := os.WriteFile(file, []byte(webResource), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"file": file, "stdin": "-"} {
		cfg := launcher.Default()
		cfg.ResourcePath, cfg.ResourceVars = path, map[string]string{"name": name}
		cfg.Stdin = strings.NewReader(webResource)
		if _, err := launcher.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := launcher.Default()
	cfg.ResourcePath, cfg.Stdin = "-", strings.NewReader(strings.Repeat("#", 2<<20))
	_, err := launcher.New(cfg)
	expect(t, err, problem.TooLarge, "standard input has more than", "")
}

func TestQuick(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options     launcher.QuickOptions
		want        string
		application string
	}{
		"service port given": {
			launcher.QuickOptions{Service: "web", Name: "web-1", Port: 18080, ServicePort: 8080, Protocol: "http", Address: "10.1.2.3", Tags: map[string]string{"version": "2"}},
			`{"type":"Dataplane","mesh":"default","name":"web-1","networking":{"address":"10.1.2.3","inbound":[{"port":18080,"servicePort":8080,"serviceAddress":"127.0.0.1","tags":{"kuma.io/protocol":"http","kuma.io/service":"web","version":"2"}}]}}`,
			"127.0.0.1:8080",
		},
		"only consumes": {
			launcher.QuickOptions{Name: "client", Mesh: "m", Outbounds: []string{"backend:9001", "db:9002"}},
			`{"type":"Dataplane","mesh":"m","name":"client","networking":{"address":"127.0.0.1","outbound":[{"port":9001,"tags":{"kuma.io/service":"backend"}},{"port":9002,"tags":{"kuma.io/service":"db"}}]}}`,
			"",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := launcher.Quick(test.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got.Resource); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if got.Application != test.application || got.Why != "" {
				t.Errorf("application %q, why %q", got.Application, got.Why)
			}
			cfg := launcher.Default()
			cfg.Resource = got.Resource
			if _, err := launcher.New(cfg); err != nil {
				t.Errorf("New does not take it: %v", err)
			}
		})
	}
}

// inboundOf builds for an application on a port of loopback that is taken, and gives the inbound's port.
func inboundOf(t *testing.T, o launcher.QuickOptions) (launcher.QuickDataplane, int) {
	t.Helper()
	got, err := launcher.Quick(o)
	if err != nil {
		t.Fatal(err)
	}
	var res struct {
		Networking struct {
			Inbound []struct{ Port, ServicePort int }
		}
	}
	if err := json.Unmarshal([]byte(got.Resource), &res); err != nil {
		t.Fatal(err)
	}
	if res.Networking.Inbound[0].ServicePort != o.Port {
		t.Errorf("service port %d", res.Networking.Inbound[0].ServicePort)
	}
	return got, res.Networking.Inbound[0].Port
}

func TestQuickChoosesAnotherPlaceThanTheApplication(t *testing.T) {
	t.Parallel()
	application, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer application.Close()
	port := application.Addr().(*net.TCPAddr).Port

	o := launcher.QuickOptions{Service: "web", Port: port, ControlPlane: "https://127.0.0.1:5678"}
	got, inbound := inboundOf(t, o)
	if inbound == port || !strings.Contains(got.Why, strconv.Itoa(inbound)) || !strings.HasPrefix(got.Inbound, "127.0.0.1:") {
		t.Errorf("%+v", got)
	}
	if !strings.HasPrefix(got.Name, "web-") || !strings.HasSuffix(got.Name, "-"+strconv.Itoa(port)) {
		t.Errorf("name %q", got.Name)
	}

	// The number that it would like best is taken, too.
	if high := port + 10_000; high <= 65535 {
		if ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(high))); err == nil {
			defer ln.Close()
		}
		if _, inbound := inboundOf(t, o); inbound == port || inbound == high {
			t.Errorf("inbound on port %d, which is taken", inbound)
		}
	}
}

func TestQuickRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options    launcher.QuickOptions
		text, hint string
	}{
		"nothing":          {launcher.QuickOptions{}, "nothing to proxy", "--service NAME --port PORT"},
		"port alone":       {launcher.QuickOptions{Port: 80, Outbounds: []string{"a:1"}}, "no service", "--service NAME"},
		"consumer no name": {launcher.QuickOptions{Outbounds: []string{"a:1"}}, "needs a name", "--name NAME"},
		"no port":          {launcher.QuickOptions{Service: "web"}, "the port is missing", "--port PORT"},
		"port range":       {launcher.QuickOptions{Service: "web", Port: 70000}, "--port 70000 is not a port", ""},
		"service port":     {launcher.QuickOptions{Service: "web", Port: 80, ServicePort: -1}, "--service-port -1 is not a port", ""},
		"address":          {launcher.QuickOptions{Service: "web", Port: 80, Address: "localhost"}, `"localhost" is not an IP address`, ""},
		"foreign address":  {launcher.QuickOptions{Service: "web", Port: 80, Address: "192.0.2.1"}, "address 192.0.2.1: ", "--address"},
		"outbound form":    {launcher.QuickOptions{Name: "c", Outbounds: []string{"backend"}}, `"backend" is not SERVICE:PORT`, "backend:9001"},
		"outbound empty":   {launcher.QuickOptions{Name: "c", Outbounds: []string{":80"}}, "is not SERVICE:PORT", ""},
		"outbound port":    {launcher.QuickOptions{Name: "c", Outbounds: []string{"a:http"}}, `"http" is not a port`, ""},
		"outbound twice":   {launcher.QuickOptions{Name: "c", Outbounds: []string{"a:1", "b:1"}}, "port 1 belongs to outbound a already", ""},
		"outbound is the application": {
			launcher.QuickOptions{Service: "web", Port: 18080, ServicePort: 8080, Address: "127.0.0.1", Outbounds: []string{"a:8080"}}, "belongs to the application", "",
		},
		"outbound is the inbound": {
			launcher.QuickOptions{Service: "web", Port: 18080, ServicePort: 8080, Address: "127.0.0.1", Outbounds: []string{"a:18080"}}, "belongs to the inbound", "",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := launcher.Quick(test.options)
			expect(t, err, problem.Invalid, test.text, test.hint)
		})
	}
}
