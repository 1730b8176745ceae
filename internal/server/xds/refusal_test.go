package xds

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestRefusedIsNotSentAgain follows random changes with proxies that refuse some of what they are sent. They never get the same
// again, and when nothing bad is left, they have what there is.
func TestRefusedIsNotSentAgain(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			clock := time.Unix(0, 0)
			now := func() time.Time { return clock }
			w := newWorld()
			w.change(r)
			bad := func(body string) bool {
				var version int
				if name := nameIn(body); len(body) > len(name) {
					fmt.Sscanf(body[len(name):], "@%d", &version)
				}
				return version%4 == 3
			}
			all := []*follower{follow(t, false, now), follow(t, true, now)}
			for _, f := range all {
				f.picky = bad
				f.s.offer(w.config())
				f.s.adopt()
				f.start()
				f.pump()
			}
			for range 20 {
				w.change(r)
				for _, f := range all {
					f.s.offer(w.config())
					f.s.adopt()
					f.pump()
					clock = clock.Add(patience)
					f.pump()
				}
			}
			for _, of := range []map[string]int{w.clusters, w.endpoints, w.listeners} {
				for name := range of {
					of[name] += 4 - of[name]%4
				}
			}
			for _, f := range all {
				f.s.offer(w.config())
				f.s.adopt()
				f.pump()
				clock = clock.Add(patience)
				f.pump()
				f.is(w)
			}
		})
	}
}
