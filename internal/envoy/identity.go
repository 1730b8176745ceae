package envoy

import (
	"encoding/json"
	"sync"

	"github.com/kumactl/kumactl/internal/policy"
)

// identities give equal rules the same pointer, also over changes of policies: what was made with a rule is found again as long
// as the rule says the same, however it came about.
type identities[C any] struct {
	mu    sync.Mutex
	confs map[string]*C
	rules map[string]*policy.InboundRules[C]
}

func (k *identities[C]) conf(c *C) (*C, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return same(&k.confs, string(text), c), nil
}

// inbound compares rules by what they say and which policies say it, since problems name these.
func (k *identities[C]) inbound(r *policy.InboundRules[C]) (*policy.InboundRules[C], error) {
	type said struct {
		Match  *policy.Match
		Conf   *C
		Policy string
		Index  int
	}
	all := make([]said, len(r.Rules))
	for i := range r.Rules {
		one := &r.Rules[i]
		all[i] = said{one.Match, &one.Conf, one.Origin.Policy.Mesh + "/" + one.Origin.Policy.Name, one.Origin.Index}
	}
	text, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return same(&k.rules, string(text), r), nil
}

// same gives what is known by a text, or makes v known by it.
func same[V any](known *map[string]*V, text string, v *V) *V {
	if had, ok := (*known)[text]; ok {
		return had
	}
	if *known == nil || len(*known) >= maxKept {
		*known = map[string]*V{}
	}
	(*known)[text] = v
	return v
}
