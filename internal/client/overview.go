package client

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
)

// State is how a proxy, or a service, is.
type State string

// The states.
const (
	Online    State = "Online"
	Partly    State = "Partially degraded"
	Offline   State = "Offline"
	Unwatched State = "Not available"
)

// Overview is a Dataplane with what the control plane has seen of it.
type Overview struct {
	Mesh      string
	Name      string
	Labels    map[string]string
	Dataplane *kumapb.Dataplane
	Insight   *kumapb.DataplaneInsight
}

// Overviews reads the overviews of a mesh, or of all for "". The list is what the server sent.
func (c *Client) Overviews(ctx context.Context, mesh string, query url.Values) ([]Overview, *List, error) {
	path := "/dataplanes/_overview"
	if mesh != "" {
		path = "/meshes/" + url.PathEscape(mesh) + path
	}
	list, err := c.List(ctx, path, query)
	if err != nil {
		return nil, nil, err
	}
	overviews := make([]Overview, len(list.Items))
	for i, raw := range list.Items {
		if overviews[i], err = readOverview(raw); err != nil {
			return nil, nil, problem.New(problem.Internal, "answer to GET %s at %s: %w", path, c.URL(), err)
		}
	}
	return overviews, list, nil
}

func readOverview(raw []byte) (Overview, error) {
	var parts struct {
		Mesh      string            `json:"mesh"`
		Name      string            `json:"name"`
		Labels    map[string]string `json:"labels"`
		Dataplane json.RawMessage   `json:"dataplane"`
		Insight   json.RawMessage   `json:"dataplaneInsight"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return Overview{}, err
	}
	o := Overview{parts.Mesh, parts.Name, parts.Labels, &kumapb.Dataplane{}, &kumapb.DataplaneInsight{}}
	lenient := protojson.UnmarshalOptions{DiscardUnknown: true}
	if len(parts.Dataplane) > 0 {
		if err := lenient.Unmarshal(parts.Dataplane, o.Dataplane); err != nil {
			return o, fmt.Errorf("dataplane %q: %w", o.Name, err)
		}
	}
	if len(parts.Insight) > 0 {
		if err := lenient.Unmarshal(parts.Insight, o.Insight); err != nil {
			return o, fmt.Errorf("insight of dataplane %q: %w", o.Name, err)
		}
	}
	return o, nil
}

// Connected says whether the proxy has an open stream to a control plane.
func (o Overview) Connected() bool {
	return slices.ContainsFunc(o.Insight.GetSubscriptions(), func(s *kumapb.DiscoverySubscription) bool {
		return s.GetConnectTime() != nil && s.GetDisconnectTime() == nil
	})
}

// Last is the newest connection; nil when there was none.
func (o Overview) Last() *kumapb.DiscoverySubscription {
	all := o.Insight.GetSubscriptions()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// LastConnected and LastUpdated are zero when it never happened.
func (o Overview) LastConnected() time.Time {
	if t := o.Last().GetConnectTime(); t != nil {
		return t.AsTime()
	}
	return time.Time{}
}

// LastUpdated is when the proxy answered last to what it was sent, on any connection.
func (o Overview) LastUpdated() (last time.Time) {
	for _, s := range o.Insight.GetSubscriptions() {
		if t := s.GetStatus().GetLastUpdateTime(); t != nil && t.AsTime().After(last) {
			last = t.AsTime()
		}
	}
	return last
}

// Updates counts what was sent over all known connections.
func (o Overview) Updates() (n uint64) {
	for _, s := range o.Insight.GetSubscriptions() {
		n += s.GetStatus().GetTotal().GetResponsesSent()
	}
	return n
}

// Errors counts what the proxy refused.
func (o Overview) Errors() (n uint64) {
	for _, s := range o.Insight.GetSubscriptions() {
		n += s.GetStatus().GetTotal().GetResponsesRejected()
	}
	return n
}

// State follows the peer: a gateway is as connected as its proxy; a sidecar needs a ready inbound to be online, and all of them to
// be wholly so. Why says what keeps it from being Online.
func (o Overview) State() (state State, why []string) {
	networking := o.Dataplane.GetNetworking()
	if !o.Connected() {
		return Offline, o.notReady()
	}
	if networking.GetGateway() != nil {
		return Online, nil
	}
	serving := 0
	for _, in := range networking.GetInbound() {
		if in.GetState() != kumapb.Dataplane_Networking_Inbound_Ignored {
			serving++
		}
	}
	why = o.notReady()
	switch {
	case serving == 0:
		return Offline, []string{"it has no inbound"}
	case len(why) == serving:
		return Offline, why
	case len(why) > 0:
		return Partly, why
	}
	return Online, nil
}

func (o Overview) notReady() (why []string) {
	for _, in := range o.Dataplane.GetNetworking().GetInbound() {
		if in.GetState() == kumapb.Dataplane_Networking_Inbound_NotReady || in.GetHealth() != nil && !in.GetHealth().GetReady() {
			why = append(why, fmt.Sprintf("inbound %d (%s) is not ready", in.GetPort(), in.GetTags()["kuma.io/service"]))
		}
	}
	return why
}

// Tags joins the tags of all inbounds and the gateway: the values of each tag, sorted, without repetition.
func (o Overview) Tags() map[string][]string {
	tags := map[string][]string{}
	add := func(of map[string]string) {
		for key, value := range of {
			if !slices.Contains(tags[key], value) {
				tags[key] = append(tags[key], value)
			}
		}
	}
	for _, in := range o.Dataplane.GetNetworking().GetInbound() {
		add(in.GetTags())
	}
	add(o.Dataplane.GetNetworking().GetGateway().GetTags())
	for _, values := range tags {
		slices.Sort(values)
	}
	return tags
}

// TagText is `key=a,b key2=c`, sorted.
func (o Overview) TagText() string {
	tags := o.Tags()
	var words []string
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		words = append(words, key+"="+strings.Join(tags[key], ","))
	}
	return strings.Join(words, " ")
}

// Services are the services that the proxy is an instance of.
func (o Overview) Services() []string { return o.Tags()["kuma.io/service"] }
