package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/view"
)

// TestServiceLookup: whatever the entries are, the rule that is found for a service is the merge of the entries about it.
func TestServiceLookup(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	services := []string{"a", "b", "c", "d"}
	for range 50 {
		var lines []string
		type said struct{ service, key, value string }
		var all []said
		for i := range 1 + random.IntN(5) {
			var entries []string
			for range random.IntN(4) {
				s := said{"", string(rune('a' + random.IntN(2))), fmt.Sprint(random.IntN(9))}
				target := `{"kind":"Mesh"}`
				if random.IntN(3) > 0 {
					s.service = services[random.IntN(4)]
					target = fmt.Sprintf(`{"kind":"MeshService","name":%q}`, s.service)
				}
				entries = append(entries, fmt.Sprintf(`{"targetRef":%s,"default":{%q:%q}}`, target, s.key, s.value))
				all = append(all, s)
			}
			// Names descend, so that policies count in the order in which they are written here.
			lines = append(lines, fmt.Sprintf(`{"type":"Toy","name":"p%d","spec":{"to":[%s]}}`, 9-i, strings.Join(entries, ",")))
		}
		shuffled := slices.Clone(lines)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		m := pictureOf(t, strings.Join(shuffled, "\n"))
		set := shape().Bind(m.Policies("Toy"))
		rules, err := set.To(policy.Mask("\xff"), m)
		if err != nil {
			t.Fatal(err)
		}
		for _, service := range append(services, "other") {
			var want conf
			found := false
			for _, s := range all {
				if s.service != "" && s.service != service {
					continue
				}
				found = true
				if s.key == "a" {
					want.A = s.value
				} else {
					want.B = s.value
				}
			}
			got := rules.Service(service)
			if (got != nil) != found || found && (got.A != want.A || got.B != want.B) {
				t.Fatalf("seed %d: %s\n%s gets %+v, want %+v", seed, strings.Join(lines, "\n"), service, got, want)
			}
			if again := rules.Service(service); again != got {
				t.Fatalf("%s gets another configuration when asked again", service)
			}
		}
	}
}

// TestFromRulesEqualTheirEntries: for any client, the first rule that fits says what the entries about that client say together.
func TestFromRulesEqualTheirEntries(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	keys, valuesOf := []string{"kuma.io/service", "v", "w"}, []string{"1", "2", "3"}
	for range 100 {
		var entries []string
		type said struct {
			tags  map[string]string
			value string
		}
		var all []said
		for i := range 1 + random.IntN(4) {
			tags := map[string]string{}
			for _, k := range keys {
				if random.IntN(2) == 0 {
					tags[k] = valuesOf[random.IntN(2)]
				}
			}
			raw, _ := json.Marshal(tags)
			all = append(all, said{tags, fmt.Sprint(i)})
			entries = append(entries, fmt.Sprintf(`{"targetRef":{"kind":"MeshSubset","tags":%s},"default":{"a":"%d"}}`, raw, i))
		}
		m := pictureOf(t, fmt.Sprintf(`{"type":"Toy","name":"p","spec":{"from":[%s]}}`, strings.Join(entries, ",")))
		rules, err := shape().Bind(m.Policies("Toy")).From("\x01")
		if err != nil {
			t.Fatal(err)
		}
		for n := range 64 {
			client := map[string]string{}
			for i, k := range keys {
				if v := n >> (2 * i) & 3; v < 3 {
					client[k] = valuesOf[v]
				}
			}
			want := ""
			for _, s := range all {
				if view.Match(s.tags, client) {
					want = s.value
				}
			}
			got := ""
			if i := slices.IndexFunc(rules, func(r policy.SubsetRule[conf]) bool { return r.Subset.Contains(client) }); i >= 0 {
				got = rules[i].Conf.A
			}
			if got != want {
				t.Fatalf("seed %d: entries %s\nclient %v gets %q, want %q", seed, strings.Join(entries, "\n"), client, got, want)
			}
		}
	}
}
