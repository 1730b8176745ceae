package client_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/client"
)

func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/doc", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("type: Mesh\n")) })
	mux.HandleFunc("/once", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/doc", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/loop", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/doc", http.StatusFound)
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("#"), 9<<20)) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	for from, want := range map[string]string{
		s.URL + "/doc":                 "",
		s.URL + "/once":                "",
		s.URL + "/none":                "404 Not Found",
		s.URL + "/loop":                "more than 3 redirects",
		s.URL + "/away":                "is not https",
		s.URL + "/large":               "over 8 MiB",
		"http://elsewhere.invalid/doc": "is not https",
		"http://" + free(t):            "connection refused",
	} {
		text, err := client.Fetch(t.Context(), from, false)
		switch {
		case want == "" && (err != nil || string(text) != "type: Mesh\n"):
			t.Errorf("%s: %q, %v", from, text, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", from, err, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
