package render_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
)

var proxies = render.Table{
	Columns: []render.Column{{Title: "MESH"}, {Title: "NAME"}, {Title: "TAGS", List: true}, {Title: "STATUS"}, {Title: "UPDATES", Rank: 1}, {Title: "ENVOY", Rank: 2}},
	Rows: [][]string{
		{"default", "web-1", "kuma.io/protocol=http kuma.io/service=web", "Online", "4", "1.40.0"},
		{"default", "db", "kuma.io/service=db", "Offline", "0", ""},
	},
	Empty: "no dataplanes in mesh default",
}

func TestTableFits(t *testing.T) {
	for name, c := range map[string]struct {
		width int
		want  string
	}{
		"a pipe": {0, `
MESH     NAME   TAGS                                       STATUS   UPDATES  ENVOY
default  web-1  kuma.io/protocol=http kuma.io/service=web  Online   4        1.40.0
default  db     kuma.io/service=db                         Offline  0
`},
		"lists break first": {70, `
MESH     NAME   TAGS                   STATUS   UPDATES  ENVOY
default  web-1  kuma.io/protocol=http  Online   4        1.40.0
                kuma.io/service=web
default  db     kuma.io/service=db     Offline  0
`},
		"then columns go": {50, `
MESH     NAME   TAGS                   STATUS
default  web-1  kuma.io/protocol=http  Online
                kuma.io/service=web
default  db     kuma.io/service=db     Offline
(not shown: updates, envoy; -o wide shows all)
`},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := (render.Output{Out: &b, Width: c.width}).Table(proxies); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want[1:], b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTableWithoutRows(t *testing.T) {
	var b bytes.Buffer
	if err := (render.Output{Out: &b}).Table(render.Table{Columns: proxies.Columns, Empty: proxies.Empty}); err != nil {
		t.Fatal(err)
	}
	if b.String() != "no dataplanes in mesh default\n" {
		t.Errorf("got %q", b.String())
	}
}

func TestColorsAreForAPerson(t *testing.T) {
	for _, color := range []bool{false, true} {
		var b bytes.Buffer
		if err := (render.Output{Out: &b, Color: color}).Table(proxies); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(b.String(), "\x1b["); got != color {
			t.Errorf("color %v: escapes %v", color, got)
		}
	}
}

func TestProblem(t *testing.T) {
	p := problem.New(problem.Invalid, "2 fields are wrong").WithHint("kumactl explain dataplane")
	p.Violations = []problem.Violation{{Field: "networking.address", Message: "must be defined", File: "web.yaml", Line: 4}}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a problem": {fmt.Errorf("apply: %w", p), "Error: apply: 2 fields are wrong\n* web.yaml:4: networking.address: must be defined\nHint: kumactl explain dataplane\n"},
		"any error": {errors.New("disk is gone"), "Error: disk is gone\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			found, _ := errors.AsType[*problem.Error](c.err)
			render.Output{Out: &b}.Problem(c.err, found)
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, then := range map[string]time.Time{
		"never": {}, "0s": now.Add(time.Hour), "59s": now.Add(-59 * time.Second), "1m": now.Add(-time.Minute),
		"23h": now.Add(-23 * time.Hour), "3d": now.AddDate(0, 0, -3), "2y": now.AddDate(-2, 0, 0),
	} {
		if got := render.Age(now, then); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
