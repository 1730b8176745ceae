package api

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/kumactl/kumactl/internal/resource"
)

// index tells who answers. Clients of Kuma look for its name in product.
func (a *API) index(c *call) error {
	info := a.o.Info
	respond(c, http.StatusOK, encode(map[string]string{
		"product": "Kuma", "version": info.Version, "hostname": info.Hostname, "instanceId": info.InstanceID,
		"clusterId": info.ClusterID, "gui": guiPath,
	}))
	return nil
}

// whoAmI shows a client what it may hope for.
func (a *API) whoAmI(c *call) error {
	respond(c, http.StatusOK, encode(c.who))
	return nil
}

// configuration is shown as it is, compact: it is the one answer that is not laid out.
func (a *API) configuration(c *call) error {
	respond(c, http.StatusOK, append(slices.Clone(a.o.Config), '\n'))
	return nil
}

// policyEntry is a policy in GET /policies.
type policyEntry struct {
	Name         string `json:"name"`
	ReadOnly     bool   `json:"readOnly"`
	Path         string `json:"path"`
	Singular     string `json:"singularDisplayName"`
	Plural       string `json:"pluralDisplayName"`
	Experimental bool   `json:"isExperimental"`
	TargetRef    bool   `json:"isTargetRefBased"`
	Inbound      bool   `json:"isInbound"`
	Outbound     bool   `json:"isOutbound"`
}

// policies lists the kinds that are policies, for pages in the browser.
func (a *API) policies(c *call) error {
	list := []policyEntry{}
	for _, k := range a.sorted() {
		if p := k.Policy; p != nil {
			list = append(list, policyEntry{
				Name: k.Name, ReadOnly: a.readOnly(k), Path: k.Path, Singular: displayName(k), Plural: plural(displayName(k)),
				TargetRef: p.TargetRef, Inbound: p.From || p.Rules, Outbound: p.To,
			})
		}
	}
	respond(c, http.StatusOK, encode(map[string]any{"policies": list}))
	return nil
}

// resourceEntry is a kind in GET /_resources.
type resourceEntry struct {
	Federation bool          `json:"includeInFederation"`
	Name       string        `json:"name"`
	Path       string        `json:"path"`
	Plural     string        `json:"pluralDisplayName"`
	Policy     *policyTraits `json:"policy,omitempty"`
	ReadOnly   bool          `json:"readOnly"`
	Scope      string        `json:"scope"`
	Short      string        `json:"shortName"`
	Singular   string        `json:"singularDisplayName"`
}

// policyTraits tell where a policy has target references.
type policyTraits struct {
	From        bool `json:"hasFromTargetRef"`
	Rules       bool `json:"hasRulesTargetRef"`
	To          bool `json:"hasToTargetRef"`
	FromAsRules bool `json:"isFromAsRules"`
	TargetRef   bool `json:"isTargetRef"`
}

// resources lists all kinds, so that clients need not know them: `kumactl export` of Kuma walks through this list.
func (a *API) resources(c *call) error {
	list := []resourceEntry{}
	for _, k := range a.sorted() {
		e := resourceEntry{
			Name: k.Name, Path: k.Path, Plural: plural(displayName(k)), Singular: displayName(k), ReadOnly: a.readOnly(k),
			Scope: "Mesh", Short: k.Short,
			// What zones tell of themselves (proxies, zones, insights) is not what a new global control plane starts from.
			Federation: k.Sync&resource.GlobalToZone != 0 && !k.ReadOnly && k.Overview == nil,
		}
		if k.Scope == resource.Global {
			e.Scope = "Global"
		}
		if p := k.Policy; p != nil {
			e.Policy = &policyTraits{p.From, p.Rules, p.To, p.From && p.Rules, p.TargetRef}
		}
		list = append(list, e)
	}
	respond(c, http.StatusOK, encode(map[string]any{"resources": list}))
	return nil
}

// sorted gives the kinds by name, the order of both lists.
func (a *API) sorted() []*resource.Kind {
	return slices.SortedFunc(slices.Values(a.kinds()), func(x, y *resource.Kind) int { return cmp.Compare(x.Name, y.Name) })
}

// displayName is a kind's name in words: `MeshHTTPRoute` is "Mesh HTTP Route".
func displayName(k *resource.Kind) string {
	if k.Policy != nil && k.Policy.Singular != "" {
		return k.Policy.Singular
	}
	letters := []rune(k.Name)
	var b strings.Builder
	for i, r := range letters {
		afterSmall := i > 0 && unicode.IsLower(letters[i-1])
		beforeSmall := i > 0 && i+1 < len(letters) && unicode.IsLower(letters[i+1])
		if unicode.IsUpper(r) && (afterSmall || beforeSmall) {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plural of a display name; all that it has to know are the kinds that exist.
func plural(name string) string {
	switch {
	case strings.HasSuffix(name, "y") && !strings.ContainsAny(name[len(name)-2:len(name)-1], "aeiou"):
		return strings.TrimSuffix(name, "y") + "ies"
	case strings.HasSuffix(name, "s"), strings.HasSuffix(name, "S"), strings.HasSuffix(name, "h"), strings.HasSuffix(name, "x"):
		return name + "es"
	}
	return name + "s"
}
