package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

type deleteOptions struct {
	out, errs render.Output
	kinds     []*resource.Kind
	connect   func() (*client.Client, error)

	mesh          string
	files         filesOptions
	ignoreMissing bool
}

func newDeleteCmd(a *app) *cobra.Command {
	o := &deleteOptions{out: a.out, errs: a.errs, connect: a.connect}
	o.files.stdin, o.files.errs = a.stdin, a.errs
	cmd := &cobra.Command{
		Use:   "delete (TYPE NAME... | -f FILE)",
		Short: "Delete resources",
		Example: "  kumactl delete dataplane web-1\n" +
			"  kumactl delete meshtimeouts slow fast -m demo\n" +
			"  kumactl delete -f policies/",
		ValidArgsFunction: a.completeKindAndNames(&o.mesh),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.kinds = a.kinds()
			targets, err := o.targets(cmd.Context(), args)
			if err != nil {
				return err
			}
			return deleteRun(cmd.Context(), o, targets)
		},
	}
	o.files.flags(cmd)
	cmd.Flags().StringVarP(&o.mesh, "mesh", "m", "default", "mesh of the resources")
	cmd.Flags().BoolVar(&o.ignoreMissing, "ignore-not-found", false, "count what is not there as deleted")
	a.completeMeshes(cmd)
	return cmd
}

// target is one resource to delete.
type target struct {
	kind       *resource.Kind
	mesh, name string
}

// targets are what the arguments or the files name. Files are deleted from their end, so that a mesh goes after what is in it.
func (o *deleteOptions) targets(ctx context.Context, args []string) ([]target, error) {
	var targets []target
	if len(o.files.files) > 0 {
		if len(args) > 0 {
			return nil, problem.New(problem.Invalid, "names and -f exclude each other")
		}
		o.files.lenient = true
		docs, err := o.files.documents(ctx, o.kinds)
		if err != nil {
			return nil, err
		}
		for i := len(docs) - 1; i >= 0; i-- {
			targets = append(targets, target{docs[i].Kind, docs[i].Mesh, docs[i].Name})
		}
		return targets, nil
	}
	if len(args) == 0 {
		return nil, problem.New(problem.Invalid, "nothing to delete is named").WithHint("kumactl delete TYPE NAME, or kumactl delete -f FILE")
	}
	k, _, err := kindNamed(o.kinds, args[0])
	if err != nil {
		return nil, err
	}
	if len(args) == 1 {
		return nil, problem.New(problem.Invalid, "delete %s takes a name", args[0]).WithHint("`kumactl get %s` lists the names", pluralOf(k))
	}
	for _, name := range args[1:] {
		targets = append(targets, target{k, o.mesh, name})
	}
	return targets, nil
}

func deleteRun(ctx context.Context, o *deleteOptions, targets []target) error {
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var last error
	for _, t := range targets {
		err := c.Delete(ctx, t.kind, t.mesh, t.name)
		if notThere(err) && o.ignoreMissing {
			o.out.Line("%s/%s not there", argOf(t.kind), t.name)
			continue
		}
		if notThere(err) {
			err = missingResource(ctx, c, t.kind, t.mesh, t.name)
		}
		if err != nil {
			// The others are tried all the same; the last error is told by the caller.
			if last != nil {
				o.errs.Problem(last, asProblem(last))
			}
			last = err
			continue
		}
		o.out.Line("%s/%s%s deleted", argOf(t.kind), t.name, o.out.Faint(meshNote(client.Document{Kind: t.kind, Mesh: t.mesh})))
	}
	return last
}
