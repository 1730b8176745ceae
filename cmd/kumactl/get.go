package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

type getOptions struct {
	out, errs render.Output
	now       func() time.Time
	kinds     []*resource.Kind
	connect   func() (*client.Client, error)

	word   string
	names  []string
	format render.Format
	scope  scopeOptions
	filter client.Filter
	watch  bool
}

// scopeOptions say which meshes a command looks into.
type scopeOptions struct {
	mesh string
	all  bool
}

func (s *scopeOptions) flags(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.mesh, "mesh", "m", "default", "mesh to look into")
	cmd.Flags().BoolVarP(&s.all, "all-meshes", "A", false, "look into all meshes")
	a.completeMeshes(cmd)
}

// name is the mesh, "" for all of them.
func (s *scopeOptions) name() string {
	if s.all {
		return ""
	}
	return s.mesh
}

func formatFlag(cmd *cobra.Command, format *render.Format) {
	cmd.Flags().StringVarP((*string)(format), "output", "o", string(render.FormatTable), "how to show it: table, wide, yaml, json, name")
	// The error is about a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(render.Formats(), cobra.ShellCompDirectiveNoFileComp))
}

func newGetCmd(a *app) *cobra.Command {
	o := &getOptions{out: a.out, errs: a.errs, now: a.now, connect: a.connect}
	cmd := &cobra.Command{
		Use:   "get TYPE [NAME...]",
		Short: "Show resources",
		Long: "Shows all resources of a type, or those that are named. A type is given in the plural (dataplanes), in the singular with\n" +
			"a name (dataplane web-1), or by its short word (dp). `kumactl get` alone lists the types.",
		Example: "  kumactl get meshes\n" +
			"  kumactl get dataplanes -m demo -l app=web\n" +
			"  kumactl get dataplane web-1 -o yaml\n" +
			"  kumactl get meshtimeouts -A --watch",
		ValidArgsFunction: a.completeKindAndNames(&o.scope.mesh),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kinds = a.kinds()
			if len(args) == 0 {
				return showKinds(o.out, o.kinds)
			}
			o.word, o.names = args[0], args[1:]
			return getRun(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	o.scope.flags(a, cmd)
	formatFlag(cmd, &o.format)
	flags.IntVar(&o.filter.Size, "size", 0, "show at most so many, from --offset on (default: all)")
	flags.StringVar(&o.filter.Offset, "offset", "", "how many to leave out at the beginning")
	flags.StringToStringVarP(&o.filter.Labels, "selector", "l", nil, "only resources with these labels: key=value")
	flags.StringToStringVar(&o.filter.Tags, "tag", nil, "only proxies with these tags: key=value")
	flags.BoolVarP(&o.watch, "watch", "w", false, "stay, and show changes as they happen")
	return cmd
}

// showKinds lists what `get` knows.
func showKinds(out render.Output, kinds []*resource.Kind) error {
	table := render.Table{Columns: []render.Column{{Title: "TYPE"}, {Title: "SINGULAR"}, {Title: "SHORT"}, {Title: "KIND"}, {Title: "IN A MESH", Rank: 1}}}
	for _, k := range kinds {
		in := "yes"
		if k.Scope == resource.Global {
			in = "no"
		}
		table.Rows = append(table.Rows, []string{pluralOf(k), argOf(k), k.Short, k.Name, in})
	}
	return out.Table(table)
}

func getRun(ctx context.Context, o *getOptions) error {
	if err := o.format.Check(); err != nil {
		return err
	}
	k, list, err := kindNamed(o.kinds, o.word)
	if err != nil {
		return err
	}
	if !list && len(o.names) == 0 {
		return problem.New(problem.Invalid, "%s takes a name", o.word).WithHint("`kumactl get %s NAME` shows one, `kumactl get %s` all", o.word, pluralOf(k))
	}
	if len(o.filter.Tags) > 0 && k.Tags == nil {
		return problem.New(problem.Invalid, "%s have no tags", pluralOf(k)).WithHint("-l selects by label")
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	show := func(out render.Output) error { return o.show(ctx, c, k, out) }
	if o.watch {
		return watchAndDraw(ctx, c, o.out, []string{k.Name}, show)
	}
	return show(o.out)
}

// show asks once and writes what came.
func (o *getOptions) show(ctx context.Context, c *client.Client, k *resource.Kind, out render.Output) error {
	if len(o.names) == 1 {
		raw, err := o.one(ctx, c, k, o.names[0])
		if err != nil {
			return err
		}
		return o.render(out, k, &client.List{Items: []json.RawMessage{raw}}, raw)
	}
	if len(o.names) > 1 {
		return o.several(ctx, c, k, out)
	}
	list, err := c.List(ctx, client.Path(k, o.scope.name()), o.filter.Query())
	if err != nil {
		return missingMesh(ctx, c, o.scope.mesh, err)
	}
	return o.render(out, k, list, nil)
}

func (o *getOptions) several(ctx context.Context, c *client.Client, k *resource.Kind, out render.Output) error {
	list := &client.List{Items: []json.RawMessage{}}
	missing := false
	for _, name := range o.names {
		raw, err := o.one(ctx, c, k, name)
		if notThere(err) {
			missing = true
			o.errs.Problem(err, asProblem(err))
			continue
		}
		if err != nil {
			return err
		}
		list.Items = append(list.Items, raw)
	}
	list.Total = len(list.Items)
	if len(list.Items) > 0 {
		if err := o.render(out, k, list, nil); err != nil {
			return err
		}
	}
	if missing {
		return errSaid
	}
	return nil
}

func (o *getOptions) one(ctx context.Context, c *client.Client, k *resource.Kind, name string) (json.RawMessage, error) {
	if o.scope.all && k.Scope == resource.InMesh {
		return nil, problem.New(problem.Invalid, "a name is looked for in one mesh").WithHint("-m MESH instead of -A")
	}
	raw, err := c.Get(ctx, k, o.scope.mesh, name)
	if notThere(err) {
		return nil, missingResource(ctx, c, k, o.scope.mesh, name)
	}
	return raw, err
}

// missingResource says that there is no such resource, and what has a name like it.
func missingResource(ctx context.Context, c *client.Client, k *resource.Kind, mesh, name string) error {
	err := problem.New(problem.NotFound, "%s %q is not there%s", argOf(k), name, inMesh(k, mesh))
	list, listErr := c.List(ctx, client.Path(k, mesh), nil)
	if notThere(listErr) && k.Scope == resource.InMesh {
		return missingMesh(ctx, c, mesh, err)
	}
	if listErr != nil {
		return err
	}
	if near := client.Nearest(name, headNames(list)); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	if k.Scope == resource.InMesh {
		return err.WithHint("`kumactl get %s -A` shows those of all meshes", pluralOf(k))
	}
	return err.WithHint("kumactl get %s", pluralOf(k))
}

// missingMesh says that there is no such mesh, and which one has a name like it. An error that is about something else, or a mesh
// that is there, leaves the error as it is.
func missingMesh(ctx context.Context, c *client.Client, mesh string, err error) error {
	if !notThere(err) {
		return err
	}
	list, listErr := c.List(ctx, "/meshes", nil)
	if listErr != nil || slices.Contains(headNames(list), mesh) {
		return err
	}
	missing := problem.New(problem.NotFound, "mesh %q is not there", mesh)
	if near := client.Nearest(mesh, headNames(list)); near != "" {
		return missing.WithHint("did you mean %q?", near)
	}
	return missing.WithHint("kumactl get meshes")
}

func headNames(list *client.List) []string {
	var names []string
	for _, raw := range list.Items {
		var head resource.Head
		if json.Unmarshal(raw, &head) == nil {
			names = append(names, head.Name)
		}
	}
	return names
}

// render writes a list, or one resource when it is given.
func (o *getOptions) render(out render.Output, k *resource.Kind, list *client.List, one json.RawMessage) error {
	switch o.format {
	case render.FormatYAML, render.FormatJSON:
		if one != nil {
			return out.Item(o.format, one, k.Nested)
		}
		return writeList(out, o.format, list)
	case render.FormatName:
		for _, name := range headNames(list) {
			out.Line("%s/%s", argOf(k), name)
		}
		return nil
	}
	return o.table(out, k, list)
}

func (o *getOptions) table(out render.Output, k *resource.Kind, list *client.List) error {
	wide := o.format == render.FormatWide
	if wide {
		out.Width = 0
	}
	table := render.Table{}
	if k.Scope == resource.InMesh {
		table.Columns = append(table.Columns, render.Column{Title: "MESH"})
	}
	table.Columns = append(table.Columns, render.Column{Title: "NAME"})
	columns := slices.DeleteFunc(slices.Clone(k.Columns), func(c resource.Column) bool { return c.Wide && !wide })
	for i, c := range columns {
		table.Columns = append(table.Columns, render.Column{Title: c.Title, List: true, Rank: i})
	}
	table.Columns = append(table.Columns, render.Column{Title: "AGE", Rank: 1})
	now := o.now()
	for _, raw := range list.Items {
		r, err := k.Decode(raw)
		if err != nil {
			return fmt.Errorf("%s from the control plane: %w", argOf(k), err)
		}
		var row []string
		if k.Scope == resource.InMesh {
			row = append(row, r.Mesh)
		}
		row = append(row, r.Name)
		for _, c := range columns {
			row = append(row, c.Value(r.Resource))
		}
		table.Rows = append(table.Rows, append(row, render.Age(now, r.Modified)))
	}
	if len(table.Rows) == 0 {
		o.nothing(k)
		return nil
	}
	if err := out.Table(table); err != nil {
		return err
	}
	if offset := list.Offset(); offset != "" {
		o.errs.Line("%s", o.errs.Faint(fmt.Sprintf("(%d of %d; --offset=%s shows more)", len(table.Rows), list.Total, offset)))
	}
	return nil
}

// nothing says that there is nothing to show, beside the data, so that programs read an empty list.
func (o *getOptions) nothing(k *resource.Kind) {
	what := "no " + pluralOf(k) + inMesh(k, o.scope.name())
	if len(o.filter.Labels)+len(o.filter.Tags) > 0 {
		what += " that match"
	}
	if k.Scope == resource.InMesh && !o.scope.all {
		what += " (-A looks into all meshes)"
	}
	o.errs.Line("%s", what)
}

// writeList writes a list in the server's shape.
func writeList(out render.Output, format render.Format, list *client.List) error {
	var raw bytes.Buffer
	e := json.NewEncoder(&raw)
	// Texts with <, > and & stay as the server wrote them.
	e.SetEscapeHTML(false)
	if err := e.Encode(list); err != nil {
		return err
	}
	if format == render.FormatYAML {
		return out.YAML(raw.Bytes())
	}
	return out.JSON(raw.Bytes())
}
