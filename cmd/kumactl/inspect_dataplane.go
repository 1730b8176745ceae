package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

// What --type takes.
const (
	inspectPolicies   = "policies"
	inspectConfig     = "config"
	inspectConfigDump = "config-dump"
	inspectStats      = "stats"
	inspectClusters   = "clusters"
)

func inspectTypes() []string {
	return []string{inspectPolicies, inspectConfig, inspectConfigDump, inspectStats, inspectClusters}
}

type inspectDataplaneOptions struct {
	out     render.Output
	now     func() time.Time
	kinds   []*resource.Kind
	connect func() (*client.Client, error)

	mesh, name string
	what       string
	format     render.Format
	shadow     bool
	includeEDS bool
	include    []string
}

func newInspectDataplaneCmd(a *app) *cobra.Command {
	o := &inspectDataplaneOptions{out: a.out, now: a.now, connect: a.connect}
	cmd := &cobra.Command{
		Use:   "dataplane NAME",
		Short: "Show one data plane: its state, the policies in force, Envoy's configuration",
		Example: "  kumactl inspect dataplane web-1\n" +
			"  kumactl inspect dataplane web-1 --type config\n" +
			"  kumactl inspect dataplane web-1 --type config --shadow --include diff",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kinds, o.name = a.kinds(), args[0]
			return inspectDataplaneRun(cmd.Context(), o)
		},
	}
	cmd.ValidArgsFunction = a.completeNames("dataplanes", &o.mesh)
	flags := cmd.Flags()
	flags.StringVarP(&o.mesh, "mesh", "m", "default", "mesh of the data plane")
	flags.StringVar(&o.what, "type", inspectPolicies, "what to show: "+strings.Join(inspectTypes(), ", "))
	flags.BoolVar(&o.shadow, "shadow", false, "count policies with the label kuma.io/effect=shadow too (--type config)")
	flags.StringSliceVar(&o.include, "include", nil, "diff: what --shadow would change, as a JSON patch (--type config)")
	flags.BoolVar(&o.includeEDS, "include-eds", false, "show endpoints too (--type config-dump)")
	formatFlag(cmd, &o.format)
	a.completeMeshes(cmd)
	// The error is about a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions(inspectTypes(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func inspectDataplaneRun(ctx context.Context, o *inspectDataplaneOptions) error {
	if err := o.format.Check(); err != nil {
		return err
	}
	if !slices.Contains(inspectTypes(), o.what) {
		return problem.New(problem.Invalid, "there is nothing of type %q to inspect", o.what).WithHint("--type takes %s", strings.Join(inspectTypes(), ", "))
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if o.what == inspectPolicies {
		err = o.policies(ctx, c)
	} else {
		err = o.envoy(ctx, c)
	}
	if k, _, found := kindNamed(o.kinds, "dataplane"); notThere(err) && found == nil && o.what == inspectPolicies {
		return missingResource(ctx, c, k, o.mesh, o.name)
	}
	return err
}

// envoy shows what the control plane, or Envoy's admin port, says about the proxy.
func (o *inspectDataplaneOptions) envoy(ctx context.Context, c *client.Client) error {
	query := map[string][]string{}
	word := map[string]string{inspectConfig: "_config", inspectConfigDump: "xds", inspectStats: "stats", inspectClusters: "clusters"}[o.what]
	switch o.what {
	case inspectConfig:
		if o.shadow {
			query["shadow"] = []string{"true"}
		}
		if len(o.include) > 0 {
			query["include"] = []string{strings.Join(o.include, ",")}
		}
	case inspectConfigDump:
		query["include_eds"] = []string{fmt.Sprint(o.includeEDS)}
	}
	text, err := c.Envoy(ctx, client.Ref{Mesh: o.mesh, Name: o.name}, word, query)
	if err != nil {
		return err
	}
	switch {
	case !json.Valid(text):
		o.out.Line("%s", strings.TrimRight(string(text), "\n"))
		return nil
	case o.format == render.FormatYAML:
		return o.out.YAML(text)
	}
	return o.out.JSON(text)
}

// policies shows the proxy's state and the policies that are in force for it.
func (o *inspectDataplaneOptions) policies(ctx context.Context, c *client.Client) error {
	rules, raw, err := c.Rules(ctx, o.mesh, o.name)
	if err != nil {
		return err
	}
	switch o.format {
	case render.FormatYAML:
		return o.out.YAML(raw)
	case render.FormatJSON:
		return o.out.JSON(raw)
	case render.FormatName:
		for _, p := range rules {
			o.out.Line("%s", p.Type)
		}
		return nil
	}
	v, err := c.Overview(ctx, o.mesh, o.name)
	if err != nil {
		return err
	}
	notes := c.Refusals(ctx, []client.Overview{v})
	if err := o.out.Tree(stateTree(o.now(), v, notes[resource.Key{Mesh: v.Mesh, Name: v.Name}])); err != nil {
		return err
	}
	if len(rules) == 0 {
		o.out.Line("no policy applies")
		return nil
	}
	for _, p := range rules {
		node, err := policyTree(p)
		if err != nil {
			return err
		}
		if err := o.out.Tree(node); err != nil {
			return err
		}
	}
	return nil
}

// stateTree says how a proxy is and what goes through it.
func stateTree(now time.Time, v client.Overview, refused string) *render.Node {
	state, why := v.State()
	root := &render.Node{Text: "dataplane " + v.Name, Note: "in mesh " + v.Mesh}
	root.Add(string(state), strings.Join(why, "; "))
	if refused != "" {
		root.Add(refused, "")
	}
	if last := v.Last(); last != nil {
		text := "connected " + render.Age(now, v.LastConnected()) + " ago"
		if !v.Connected() {
			text = "disconnected " + render.Age(now, last.GetDisconnectTime().AsTime()) + " ago"
		}
		root.Add(text, fmt.Sprintf("Envoy %s, %d updates, %d errors", last.GetVersion().GetEnvoy().GetVersion(), v.Updates(), v.Errors()))
	}
	if until := certificate(now, v); until != "" {
		root.Add("certificate: "+until, v.Insight.GetMTLS().GetIssuedBackend())
	}
	networking := v.Dataplane.GetNetworking()
	for _, in := range networking.GetInbound() {
		to := in.GetServicePort()
		if to == 0 {
			to = in.GetPort()
		}
		root.Add(fmt.Sprintf("inbound %d → application %d", in.GetPort(), to), tagsText(in.GetTags()))
	}
	for _, out := range networking.GetOutbound() {
		root.Add(fmt.Sprintf("outbound %d", out.GetPort()), tagsText(out.GetTags())+out.GetBackendRef().GetName())
	}
	return root
}

func tagsText(tags map[string]string) string {
	var words []string
	for key, value := range tags {
		words = append(words, key+"="+value)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// policyTree is a kind of policy: what it says about the proxy, its inbounds and its destinations, and which policies said so.
func policyTree(p client.PolicyRules) (*render.Node, error) {
	root := &render.Node{Text: p.Type}
	for _, w := range p.Warnings {
		root.Add("warning: "+w, "")
	}
	if p.Proxy != nil {
		node := root.Add("proxy", originText(refsOf(p.Proxy.Origin)))
		if err := confBlock(node, p.Proxy.Conf); err != nil {
			return nil, err
		}
	}
	inbound := p.Inbound
	if len(inbound) == 0 {
		inbound = p.From
	}
	for _, in := range inbound {
		at := fmt.Sprintf("inbound %d", in.Inbound.Port)
		if service := in.Inbound.Tags[resource.TagService]; service != "" {
			at += " (" + service + ")"
		}
		for _, rule := range in.Rules {
			if err := ruleNode(root, at+matchText(" from ", rule), rule); err != nil {
				return nil, err
			}
		}
	}
	for _, rule := range p.To {
		if err := ruleNode(root, "to"+matchText(" ", rule), rule); err != nil {
			return nil, err
		}
	}
	for _, rule := range p.ToOne {
		// What is for the whole mesh stands among the rules by tag already.
		if rule.Meta.Mesh == "" && len(p.To) > 0 {
			continue
		}
		if err := ruleNode(root, strings.TrimSpace("to "+rule.Meta.Type+" "+rule.Meta.Name+" "+rule.Section), rule); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func ruleNode(root *render.Node, text string, rule client.Rule) error {
	return confBlock(root.Add(text, originText(rule.Origin)), rule.Conf)
}

func matchText(before string, rule client.Rule) string {
	var words []string
	for _, m := range rule.Matchers {
		sign := "="
		if m.Not {
			sign = "!="
		}
		words = append(words, m.Key+sign+m.Value)
	}
	if len(words) == 0 {
		if before == " " {
			return " everything"
		}
		return ""
	}
	return before + strings.Join(words, " ")
}

func originText(origins []client.Origin) string {
	var names []string
	for _, o := range origins {
		name := o.Name
		if name == "" {
			name = o.Meta.Name
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return "by " + strings.Join(names, ", ")
}

func refsOf(refs []client.Ref) []client.Origin {
	origins := make([]client.Origin, len(refs))
	for i, r := range refs {
		origins[i].Ref = r
	}
	return origins
}

// confBlock puts a configuration below a node, as YAML. A list of one is shown as that one.
func confBlock(node *render.Node, conf json.RawMessage) error {
	var list []json.RawMessage
	if json.Unmarshal(conf, &list) == nil && len(list) == 1 {
		conf = list[0]
	}
	if len(conf) == 0 {
		return nil
	}
	text, err := yaml.JSONToYAML(conf)
	node.Block = string(text)
	return err
}
