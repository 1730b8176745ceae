package xds

import (
	"sync"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// maxBrought bounds how many resources wait for their proxies' streams.
const maxBrought = 1024

// brought reads the resources that proxies bring. A proxy sends the same text twice within moments, with its bootstrap request and
// with its stream; what was read for the first is kept for the second, for reading it costs as much as a TLS handshake.
type brought struct {
	mu     sync.Mutex
	byText map[string]*resource.Resource
}

func newBrought() *brought { return &brought{byText: map[string]*resource.Resource{}} }

// read gives the resource of a text; it is the caller's to change.
func (b *brought) read(text string) (*resource.Resource, error) {
	b.mu.Lock()
	r := b.byText[text]
	delete(b.byText, text)
	b.mu.Unlock()
	if r != nil {
		return r, nil
	}
	decoded, err := dataplane.Kind.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	if decoded.Type != dataplane.Kind.Name {
		return nil, problem.New(problem.Invalid, "the proxy brought a %s, and only a %s is served", decoded.Type, dataplane.Kind.Name)
	}
	return decoded.Resource, nil
}

// keep gives a resource back that was read; it is nobody's now.
func (b *brought) keep(text string, r *resource.Resource) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for old := range b.byText {
		if len(b.byText) < maxBrought {
			break
		}
		delete(b.byText, old)
	}
	b.byText[text] = r
}

// isOwn refuses a resource that is not what its proxy connects as.
func isOwn(key resource.Key, r *resource.Resource) error {
	if r.Mesh != key.Mesh || r.Name != key.Name {
		return problem.New(problem.Invalid, "the proxy connects as %s of mesh %s and brought %s of mesh %s", key.Name, key.Mesh, r.Name, r.Mesh)
	}
	return nil
}
