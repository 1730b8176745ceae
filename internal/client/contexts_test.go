package client_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/client"
)

func plane(name, url string) client.ControlPlane {
	return client.ControlPlane{Name: name, Coordinates: client.Coordinates{APIServer: client.Endpoint{URL: url}}}
}

// The file is Kuma's, word for word, so that both programs can use it.
const contextsFile = `contexts:
- controlPlane: local
  name: local
- controlPlane: third
  name: third
controlPlanes:
- coordinates:
    apiServer:
      url: http://localhost:5681
  name: local
- coordinates:
    apiServer:
      authConf:
        token: abc
      authType: tokens
      caCertFile: /x/ca.crt
      headers:
      - key: x-a
        value: b
      skipVerify: true
      url: https://cp.example.com:5682
  name: third
currentContext: third
`

func TestContextsFile(t *testing.T) {
	known := client.DefaultContexts()
	third := plane("third", "https://cp.example.com:5682")
	third.Coordinates.APIServer = client.Endpoint{
		URL: "https://cp.example.com:5682", CACertFile: "/x/ca.crt", AuthType: "tokens", AuthConf: map[string]string{"token": "abc"},
		Headers: []client.Header{{Key: "x-a", Value: "b"}}, SkipVerify: true,
	}
	if err := known.Add(third, false); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "new", "config")
	if err := known.Write(path); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(contextsFile, string(raw)); diff != "" {
		t.Error(diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, err := client.ReadContexts(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(known, again); diff != "" {
		t.Error(diff)
	}
}

func TestContextsThatAreNotUnderstoodAreNotRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	text := contextsFile + "somethingNew: 1\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := client.ReadContexts(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := known.Write(path); err == nil || !strings.Contains(err.Error(), "somethingNew") {
		t.Errorf("got %v", err)
	}
	if raw, _ := os.ReadFile(path); string(raw) != text {
		t.Error("the file was changed")
	}
}

func TestContextsFileThatIsMissingOrBroken(t *testing.T) {
	dir := t.TempDir()
	if _, err := client.ReadContexts(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	broken := filepath.Join(dir, "broken")
	if err := os.WriteFile(broken, []byte("]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := client.ReadContexts(broken); err == nil || !strings.Contains(err.Error(), broken) {
		t.Errorf("got %v", err)
	}
}

func TestActive(t *testing.T) {
	known := client.DefaultContexts()
	if err := known.Add(plane("second", "http://b:1"), false); err != nil {
		t.Fatal(err)
	}
	for ask, want := range map[string]string{"": "http://b:1", "local": client.LocalURL, "second": "http://b:1"} {
		got, err := known.Active(ask)
		if err != nil || got.Coordinates.APIServer.URL != want {
			t.Errorf("%q: %s, %v", ask, got.Coordinates.APIServer.URL, err)
		}
	}
	if _, err := known.Active("secnd"); err == nil || !strings.Contains(told(err), `did you mean "second"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := (&client.Contexts{}).Active(""); err == nil || !strings.Contains(told(err), "control-planes add") {
		t.Errorf("got %v", err)
	}
}

func TestContextsChange(t *testing.T) {
	known := client.DefaultContexts()
	steps := []struct {
		what string
		do   func() error
		want string
		fine bool
	}{
		{"add", func() error { return known.Add(plane("second", "http://b:1"), false) }, "second: local second", true},
		{"add again", func() error { return known.Add(plane("second", "http://c:1"), false) }, "second: local second", false},
		{"overwrite", func() error { return known.Add(plane("second", "http://c:1"), true) }, "second: local second", true},
		{"switch", func() error { return known.Switch("local") }, "local: local second", true},
		{"switch to nothing", func() error { return known.Switch("nope") }, "local: local second", false},
		{"remove another", func() error { return known.Remove("second") }, "local: local", true},
		{"remove it again", func() error { return known.Remove("second") }, "local: local", false},
		{"remove the last", func() error { return known.Remove("local") }, ": ", true},
	}
	for _, s := range steps {
		if err := s.do(); (err == nil) != s.fine {
			t.Errorf("%s: %v", s.what, err)
		}
		if got := known.CurrentContext + ": " + strings.Join(known.Names(), " "); got != s.want {
			t.Errorf("%s: %q, want %q", s.what, got, s.want)
		}
	}
}
