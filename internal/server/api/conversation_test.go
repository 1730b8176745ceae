package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/server/api"
	"github.com/kumactl/kumactl/internal/store"
)

var update = flag.Bool("update", false, "write the conversations anew")

// plane is an API over a store in memory, at a time that stands still.
type plane struct {
	*api.API
	store *store.Store
	kinds []*resource.Kind
}

func start(t testing.TB, change func(*api.Options)) plane {
	t.Helper()
	kinds := catalog.Kinds()
	s := store.OpenMemory(store.Options{Kinds: kinds, Now: func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC) }})
	t.Cleanup(func() { s.Close() })
	o := api.Options{
		Kinds: kinds, Store: s, Admission: admission.New(admission.Options{Store: s, Kinds: kinds, Zone: "east"}),
		Computed: catalog.Computed(), AdminToken: "right", Config: []byte(`{"mode":"zone"}`),
		Info: api.Info{Version: "1.2.3", InstanceID: "instance", ClusterID: "cluster", Hostname: "host", Zone: "east"},
	}
	if change != nil {
		change(&o)
	}
	return plane{api.New(o), o.Store, kinds}
}

// ask sends one request, as a program on this machine would. Headers with an empty value are left out.
func (p plane) ask(method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:50000", "localhost:5681"
	if method == http.MethodPut || method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		switch {
		case value == "":
			r.Header.Del(strings.TrimSuffix(name, ":"))
		case name == "Host":
			r.Host = value
		case name == "From":
			r.RemoteAddr = value
		default:
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// transcript is an answer as the files show it: status, headers that say something, and the body on one line, unless its layout is
// what matters. What older clients read twice is held against the original and left out.
func transcript(t *testing.T, w *httptest.ResponseRecorder, layout bool) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "> %d\n", w.Code)
	for _, name := range []string{"Content-Type", "Allow", "Location", "ETag"} {
		if v := w.Header().Get(name); v != "" && v != "application/json" {
			fmt.Fprintf(&b, "> %s: %s\n", name, v)
		}
	}
	text := w.Body.String()
	if json.Valid(w.Body.Bytes()) && !layout {
		text = compact(t, w.Body.Bytes())
	}
	for line := range strings.Lines(text) {
		b.WriteString("> " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

var repeated = regexp.MustCompile(`,"details":("(?:[^"\\]|\\.)*")(?:,"causes":(\[.*?\}\]))?`)

func compact(t *testing.T, raw []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	if m := repeated.FindStringSubmatch(text); m != nil {
		if causes := strings.ReplaceAll(m[2], `"message":`, `"reason":`); !strings.Contains(text, `"detail":`+m[1]) || !strings.Contains(text, `"invalid_parameters":`+causes) && causes != "" {
			t.Errorf("details or causes do not repeat the others: %s", text)
		}
	}
	return repeated.ReplaceAllString(text, "")
}

// converse plays a file: blocks of a request, its headers and its body, each followed by the answer in lines with `>`. The first
// line may set options: `options: readOnly strict compat`.
func converse(t *testing.T, file []byte) []byte {
	var p *plane
	options := ""
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(file))
	var request []string
	flush := func() {
		if len(request) == 0 {
			return
		}
		if p == nil {
			started := start(t, func(o *api.Options) {
				o.ReadOnly, o.Strict = strings.Contains(options, "readOnly"), strings.Contains(options, "strict")
				o.CompatOpenAPI, o.LocalIsNobody = strings.Contains(options, "compat"), strings.Contains(options, "nobody")
			})
			p = &started
		}
		method, path, _ := strings.Cut(request[0], " ")
		at := 1
		for at < len(request) && strings.Contains(request[at], ":") && !strings.ContainsAny(request[at][:1], "{[\"") {
			at++
		}
		out.WriteString(transcript(t, p.ask(method, path, strings.Join(request[at:], "\n"), request[1:at]...), strings.Contains(options, "layout")))
		request = nil
	}
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "> "), line == ">":
			flush()
			continue
		case line == "", strings.HasPrefix(line, "#"):
			flush()
		case strings.HasPrefix(line, "options: "):
			options = line
		default:
			request = append(request, line)
		}
		out.WriteString(line + "\n")
	}
	flush()
	return out.Bytes()
}

func TestConversations(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatal("no conversations", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			got := converse(t, want)
			if *update {
				if err := os.WriteFile(name, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" && !*update {
				t.Error(diff)
			}
		})
	}
}
