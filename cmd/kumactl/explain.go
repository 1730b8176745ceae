package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

type explainOptions struct {
	out   render.Output
	kinds []*resource.Kind
	path  string
}

func newExplainCmd(a *app) *cobra.Command {
	o := &explainOptions{out: a.out}
	return &cobra.Command{
		Use:   "explain TYPE[.FIELD...]",
		Short: "Show the fields that a type has",
		Example: "  kumactl explain dataplane\n" +
			"  kumactl explain dataplane.networking.inbound\n" +
			"  kumactl explain meshtimeout.spec.to.default",
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return completeFields(a.kinds(), toComplete), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kinds, o.path = a.kinds(), args[0]
			return explainRun(cmd.Context(), o)
		},
	}
}

func explainRun(_ context.Context, o *explainOptions) error {
	k, field, err := fieldAt(o.kinds, strings.Split(o.path, "."))
	if err != nil {
		return err
	}
	about := k.Name
	if k.Scope == resource.InMesh {
		about += ", in a mesh"
	}
	if k.NoEffectYet != "" {
		about += "; " + k.NoEffectYet
	}
	root := &render.Node{Text: o.path, Note: about}
	if shape := shapeOf(field); shape != string(resource.TypeObject) {
		root.Note = shape + " of " + k.Name
	}
	addFields(root, field, 2)
	return o.out.Tree(root)
}

// fieldAt follows a path from a kind. Lists and maps are stepped into without a word of their own.
func fieldAt(kinds []*resource.Kind, path []string) (*resource.Kind, *resource.Field, error) {
	k, _, err := kindNamed(kinds, path[0])
	if err != nil {
		return nil, nil, err
	}
	at := k.Fields()
	if k.Nested {
		spec := *at
		spec.Name = "spec"
		at = &resource.Field{Type: resource.TypeObject, Fields: []*resource.Field{&spec}}
	}
	for i, name := range path[1:] {
		inside := innermost(at)
		next := inside.Child(name)
		if next == nil {
			missing := problem.New(problem.Invalid, "%s has no field %q", strings.Join(path[:i+1], "."), name)
			if near := client.Nearest(name, fieldNames(inside)); near != "" {
				return nil, nil, missing.WithHint("did you mean %q?", near)
			}
			return nil, nil, missing.WithHint("kumactl explain %s", strings.Join(path[:i+1], "."))
		}
		at = next
	}
	return k, at, nil
}

// innermost is what a list or map holds.
func innermost(f *resource.Field) *resource.Field {
	for f.Element != nil {
		f = f.Element
	}
	return f
}

func fieldNames(f *resource.Field) []string {
	names := make([]string, len(f.Fields))
	for i, c := range f.Fields {
		names[i] = c.Name
	}
	return names
}

// shapeOf is a field's type in words.
func shapeOf(f *resource.Field) string {
	switch {
	case f.Element != nil && f.Type == resource.TypeMap:
		return "map of " + shapeOf(f.Element)
	case f.Element != nil:
		return "list of " + shapeOf(f.Element)
	case len(f.Enum) > 0:
		return strings.Join(f.Enum, " | ")
	}
	return string(f.Type)
}

// addFields lists the fields below a node, down to a depth.
func addFields(node *render.Node, f *resource.Field, depth int) {
	if depth == 0 {
		return
	}
	for _, c := range innermost(f).Fields {
		addFields(node.Add(c.Name, shapeOf(c)), c, depth-1)
	}
}

// completeFields completes a path.
func completeFields(kinds []*resource.Kind, typed string) []string {
	cut := strings.LastIndex(typed, ".")
	if cut < 0 {
		words := []string{}
		for _, k := range kinds {
			words = append(words, argOf(k))
		}
		slices.Sort(words)
		return words
	}
	_, field, err := fieldAt(kinds, strings.Split(typed[:cut], "."))
	if err != nil {
		return nil
	}
	var words []string
	for _, name := range fieldNames(innermost(field)) {
		words = append(words, typed[:cut+1]+name)
	}
	return words
}
