package mesh_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"iter"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/resource/secret"
)

// read makes a Mesh of its specification's JSON.
func read(t *testing.T, spec string) *resource.Resource {
	t.Helper()
	r := mesh.Kind.New("", "m")
	if err := r.SetSpecJSON([]byte(spec)); err != nil {
		t.Fatal(err)
	}
	r.Default()
	return r
}

func texts(v problem.Violations) (all []string) {
	for _, one := range v {
		all = append(all, one.Field+"|"+one.Message)
	}
	return all
}

func TestValidate(t *testing.T) {
	const taken, none = `"a" name is already used for another backend`, "has to be set to one of the backends in the mesh"
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"empty":            {`{}`, nil},
		"full":             {`{"mtls":{"enabledBackend":"a","backends":[{"name":"a","type":"builtin","dpCert":{"rotation":{"expiration":"24h"}}}]},"logging":{"defaultBackend":"t","backends":[{"name":"f","type":"file","conf":{"path":"/x"}},{"name":"t","type":"tcp","conf":{"address":"a:1"}}]},"tracing":{"defaultBackend":"z","backends":[{"name":"z","type":"zipkin","sampling":50.5,"conf":{"url":"http://z:9411/x","apiVersion":"httpJson"}},{"name":"d","type":"datadog","conf":{"address":"d","port":8126}}]},"metrics":{"enabledBackend":"p","backends":[{"name":"p","type":"prometheus"}]},"routing":{"zoneEgress":true},"constraints":{"dataplaneProxy":{"requirements":[{"tags":{"a":"*"}}]}}}`, nil},
		"mtls":             {`{"mtls":{"enabledBackend":"x","backends":[{"name":"a"},{"name":"a","dpCert":{"rotation":{"expiration":"soon"}}}]}}`, []string{"mtls.backends|cannot have more than 1 backends", "mtls.backends[1].name|" + taken, "mtls.enabledBackend|" + none, "mtls.dpcert.rotation.expiration|has to be a valid format"}},
		"expiration: none": {`{"mtls":{"backends":[{"name":"a","dpCert":{}}]}}`, []string{"mtls.dpcert.rotation.expiration|has to be a valid format"}},
		"expiration: two":  {`{"mtls":{"backends":[{"name":"a","dpCert":{"rotation":{"expiration":"1h30m"}}}]}}`, []string{"mtls.dpcert.rotation.expiration|has to be a valid format"}},
		"expiration: unit": {`{"mtls":{"backends":[{"name":"a","dpCert":{"rotation":{"expiration":"10"}}}]}}`, []string{"mtls.dpcert.rotation.expiration|has to be a valid format"}},
		"logging":          {`{"logging":{"defaultBackend":"x","backends":[{"type":"file","conf":{"path":null}},{"name":"a","type":"udp"},{"name":"a","type":"tcp","conf":{"address":"x"}},{"name":"b","type":"tcp"},{"name":"c","type":"file","conf":{"path":7}}]}}`, []string{"logging.backends[0].name|cannot be empty", "logging.backends[0].config.path|cannot be empty", `logging.backends[1].type|unknown backend type. Available backends: "tcp", "file"`, "logging.backends[2].config.address|has to be in format of HOST:PORT", "logging.backends[2].name|" + taken, "logging.backends[3].config.address|cannot be empty", "logging.backends[4].config|could not parse config: json: cannot unmarshal number into Go value of type string", "logging.defaultBackend|has to be set to one of the logging backend in mesh"}},
		"tracing":          {`{"tracing":{"defaultBackend":"x","backends":[{"name":"a","sampling":-1,"type":"zipkin","conf":{"url":"x","apiVersion":"v9"}},{"name":"a","type":"zipkin","conf":{"url":"http://z/x"}},{"type":"zipkin"},{"name":"d","type":"datadog","conf":{"port":70000}},{"name":"e","type":"other"}]}}`, []string{"tracing.backends[0].sampling|has to be in [0.0 - 100.0] range", "tracing.backends[0].config.apiVersion|has invalid value. Allowed values: httpJsonV1, httpJson, httpProto", "tracing.backends[0].config.url|invalid URL", "tracing.backends[1].config.url|port has to be explicitly specified", "tracing.backends[1].name|" + taken, "tracing.backends[2].name|cannot be empty", "tracing.backends[2].config.url|cannot be empty", "tracing.backends[3].config.address|cannot be empty", "tracing.backends[3].config.port|port must be in the range [1, 65535]", `tracing.backends[4].type|unknown backend type. Available backends: "zipkin", "datadog"`, "tracing.defaultBackend|has to be set to one of the tracing backend in mesh"}},
		"metrics":          {`{"metrics":{"enabledBackend":"x","backends":[{"name":"a","type":"statsd"},{"name":"a","type":"prometheus","conf":{"skipMTLS":true,"tls":{"mode":"activeMTLSBackend"}}},{"name":"b","type":"prometheus","conf":{"envoy":{"filterRegex":"("}}},{"name":"c","type":"prometheus","conf":{"port":"x"}}]}}`, []string{`metrics.backends[0].type|unknown backend type. Available backends: "prometheus"`, "metrics.backends[1].name|" + taken, "metrics.backends[1].conf|skipMTLS and tls configuration cannot be defined together", "metrics.backends[2].conf.envoy.filterRegex|provided regexp isn't correct: error parsing regexp: missing closing ): `(`", "metrics.backends[3].conf|could not parse config: invalid character 'x' looking for beginning of value", "metrics.enabledBackend|" + none}},
		"constraints":      {`{"constraints":{"dataplaneProxy":{"requirements":[{}],"restrictions":[{"tags":{"a":"b c"}}]}}}`, []string{"constraints.dataplaneProxy.requirements[0].tags|must have at least one tag", `constraints.dataplaneProxy.restrictions[0].tags["a"]|tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"`}},
		"egress":           {`{"routing":{"zoneEgress":true},"mtls":{"backends":[{"name":"a"}]}}`, []string{"mtls|has to be set when zoneEgress enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(read(t, c.spec).Validate())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefault(t *testing.T) {
	for name, c := range map[string]struct{ conf, want string }{
		"nothing":      {`null`, `{"port":5670,"path":"/metrics","tags":{"kuma.io/service":"dataplane-metrics"},"tls":{}}`},
		"given":        {`{"port":1,"path":"/x","tags":{"a":"b"},"tls":{"mode":"disabled"}}`, `{"port":1,"path":"/x","tags":{"a":"b"},"tls":{"mode":"disabled"}}`},
		"skips mTLS":   {`{"skipMTLS":true}`, `{"port":5670,"path":"/metrics","tags":{"kuma.io/service":"dataplane-metrics"},"skipMTLS":true,"tls":{"mode":"disabled"}}`},
		"unreadable":   {`{"port":"x"}`, `{"port":"x"}`},
		"keeps lists":  {`{"aggregate":[{"name":"a","port":1}]}`, `{"port":5670,"path":"/metrics","tags":{"kuma.io/service":"dataplane-metrics"},"tls":{},"aggregate":[{"name":"a","port":1}]}`},
		"not ours":     {`{"unknown":1}`, `{"port":5670,"path":"/metrics","tags":{"kuma.io/service":"dataplane-metrics"},"tls":{}}`},
		"number words": {`{"port":"7"}`, `{"port":7,"path":"/metrics","tags":{"kuma.io/service":"dataplane-metrics"},"tls":{}}`},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := read(t, `{"metrics":{"backends":[{"name":"p","type":"prometheus","conf":`+c.conf+`}]}}`).SpecJSON()
			if err != nil {
				t.Fatal(err)
			}
			var got struct {
				Metrics struct{ Backends []struct{ Conf any } }
			}
			if err := json.Unmarshal(raw, &got); err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got.Metrics.Backends[0].Conf); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	if got := read(t, `{}`).Warnings(); got != nil {
		t.Errorf("got %q", got)
	}
	r := mesh.Kind.New("", "aa.a")
	want := "Invalid Mesh resource name: 'aa.a'. It does not conform to the DNS format (RFC 1035). This is deprecated. Errors: a DNS-1035 label must consist of "
	if got := r.Warnings(); len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q", got)
	}
}

func TestColumns(t *testing.T) {
	for spec, want := range map[string]string{
		`{}`: "off off off Disabled",
		`{"mtls":{"enabledBackend":"ca","backends":[{"name":"ca","type":"builtin"}]},"routing":{"localityAwareLoadBalancing":true,"zoneEgress":true},"meshServices":{"mode":"Exclusive"}}`: "builtin/ca on on Exclusive",
		`{"mtls":{"backends":[{"name":"","type":"builtin"}]}}`: "off off off Disabled",
	} {
		var got []string
		for _, c := range mesh.Kind.Columns {
			got = append(got, c.Value(read(t, spec)))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", spec, got, want)
		}
	}
}

// world is what else is stored.
type world []*resource.Resource

func (w world) Get(k resource.Key) (*resource.Resource, bool) {
	for _, r := range w {
		if r.Key() == k {
			return r, true
		}
	}
	return nil, false
}

func (w world) List(kind, in string) iter.Seq[*resource.Resource] {
	return func(yield func(*resource.Resource) bool) {
		for _, r := range w {
			if r.Kind.Name == kind && r.Mesh == in && !yield(r) {
				return
			}
		}
	}
}

// authority makes a certificate and its key.
func authority(t *testing.T, template x509.Certificate) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	template.Subject, template.BasicConstraintsValid = pkix.Name{CommonName: "ca"}, true
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func TestBeforePut(t *testing.T) {
	cert, key := authority(t, x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	weak, weakKey := authority(t, x509.Certificate{KeyUsage: x509.KeyUsageDigitalSignature})
	all := world{secret.New("m", "cert", cert), secret.New("m", "key", key), secret.New("m", "weak", weak), secret.New("m", "weak-key", weakKey)}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, cert, 0o600); err != nil {
		t.Fatal(err)
	}
	provided := func(conf string) string {
		return `{"mtls":{"enabledBackend":"p","backends":[{"name":"p","type":"provided","conf":` + conf + `}]}}`
	}
	const missing = `could not load data: resource not found: type="Secret" name="none" mesh="m"`
	for name, c := range map[string]struct {
		old, new string
		want     []string
	}{
		"nothing":           {"", `{}`, nil},
		"builtin":           {"", `{"mtls":{"backends":[{"name":"a","type":"builtin","conf":{"any":1}}]}}`, nil},
		"unknown type":      {"", `{"mtls":{"backends":[{"name":"a","type":"vault"}]}}`, []string{"mtls.backends[0].type|could not find installed plugin for this type"}},
		"another authority": {`{"mtls":{"enabledBackend":"a","backends":[{"name":"a","type":"builtin"}]}}`, `{"mtls":{"enabledBackend":"b","backends":[{"name":"b","type":"builtin"}]}}`, []string{"mtls.enabledBackend|Changing CA when mTLS is enabled is forbidden. Disable mTLS first and then change the CA"}},
		"another, on purpose": {
			`{"mtls":{"enabledBackend":"a","backends":[{"name":"a","type":"builtin"}]}}`,
			`{"mtls":{"skipValidation":true,"enabledBackend":"b","backends":[{"name":"b","type":"builtin"}]}}`, nil,
		},
		"mTLS off":          {`{"mtls":{"enabledBackend":"a","backends":[{"name":"a","type":"builtin"}]}}`, `{"mtls":{"backends":[{"name":"b","type":"builtin"}]}}`, nil},
		"provided":          {"", provided(`{"cert":{"secret":"cert"},"key":{"secret":"key"}}`), nil},
		"from a file":       {"", provided(`{"cert":{"file":"` + file + `"},"key":{"secret":"key"}}`), nil},
		"no file":           {"", provided(`{"cert":{"file":"` + file + `.gone"},"key":{"secret":"key"}}`), []string{"mtls.backends[0].conf.cert|could not load data: stat " + file + ".gone: no such file or directory", "mtls.backends[0].conf.key|could not load data: stat " + file + ".gone: no such file or directory"}},
		"no plain file":     {"", provided(`{"cert":{"file":"/dev/null"},"key":{"secret":"key"}}`), []string{"mtls.backends[0].conf.cert|could not load data: /dev/null: not a plain file", "mtls.backends[0].conf.key|could not load data: /dev/null: not a plain file"}},
		"no conf":           {"", provided(`null`), []string{"mtls.backends[0].conf.cert|has to be defined", "mtls.backends[0].conf.key|has to be defined"}},
		"no source":         {"", provided(`{"cert":{},"key":{"secret":""}}`), []string{"mtls.backends[0].conf.cert|data source has to be chosen. Available sources: secret, file, inline", "mtls.backends[0].conf.key.secret|cannot be empty"}},
		"unreadable source": {"", provided(`{"cert":{"inline":"%"},"key":{"secret":"key"}}`), []string{"mtls.backends[0].conf|could not convert backend config: illegal base64 data at input byte 0"}},
		"missing secret":    {"", provided(`{"cert":{"secret":"cert"},"key":{"secret":"none"}}`), []string{"mtls.backends[0].conf.cert|" + missing, "mtls.backends[0].conf.key|" + missing}},
		"unchecked":         {"", `{"mtls":{"skipValidation":true,"backends":[{"name":"p","type":"provided"}]}}`, nil},
		"no certificate":    {"", provided(`{"cert":{"inlineString":"x"},"key":{"inlineString":"y"}}`), []string{"mtls.backends[0].conf.cert|not a valid TLS key pair: tls: failed to find any PEM data in certificate input"}},
		"no authority":      {"", provided(`{"cert":{"secret":"weak"},"key":{"secret":"weak-key"}}`), []string{"mtls.backends[0].conf.cert|basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)", "mtls.backends[0].conf.cert|key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)", "mtls.backends[0].conf.cert|key usage extension 'digitalSignature' must NOT be set (see X509-SVID: Appendix A. X.509 Field Reference)"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &resource.Write{All: all, New: read(t, c.new)}
			if c.old != "" {
				w.Old = read(t, c.old)
			}
			var got []string
			if p, ok := errors.AsType[*problem.Error](mesh.Kind.BeforePut(w)); ok {
				got = texts(p.Violations)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	w := &resource.Write{All: all, New: mesh.Kind.New("", strings.Repeat("m", 64))}
	p, _ := errors.AsType[*problem.Error](mesh.Kind.BeforePut(w))
	if p == nil || p.Violations[0].Message != "cannot be longer than 63 characters" {
		t.Errorf("a long name: %v", p)
	}
}

func TestBeforeDelete(t *testing.T) {
	old := read(t, `{}`)
	if err := mesh.Kind.BeforeDelete(world{dataplane.Kind.New("other", "dp")}, old); err != nil {
		t.Errorf("proxies of another mesh: %v", err)
	}
	p, _ := errors.AsType[*problem.Error](mesh.Kind.BeforeDelete(world{dataplane.Kind.New("m", "dp")}, old))
	if diff := cmp.Diff([]string{"mesh|unable to delete mesh, there are still some dataplanes attached"}, texts(p.Violations)); diff != "" {
		t.Error(diff)
	}
}

func TestSkips(t *testing.T) {
	for spec, want := range map[string]bool{`{}`: false, `{"skipCreatingInitialPolicies":["*"]}`: true, `{"skipCreatingInitialPolicies":["A","B"]}`: true, `{"skipCreatingInitialPolicies":["A"]}`: false} {
		if got := mesh.Kind.Skips(read(t, spec).Spec, "B"); got != want {
			t.Errorf("%s: %v", spec, got)
		}
	}
}
