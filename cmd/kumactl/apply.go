package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

// What --dry-run takes. The flag alone means the first, which is what Kuma's kumactl does.
const (
	dryRunClient = "client"
	dryRunServer = "server"
	dryRunNone   = "none"
)

type applyOptions struct {
	out, errs render.Output
	kinds     []*resource.Kind
	connect   func() (*client.Client, error)

	files  filesOptions
	dryRun string
}

func newApplyCmd(a *app) *cobra.Command {
	o := &applyOptions{out: a.out, errs: a.errs, connect: a.connect}
	o.files.stdin, o.files.errs, o.files.validate = a.stdin, a.errs, true
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create resources, or change them to what a file says",
		Long: "Reads resources from files, directories, URLs or stdin, checks all of them, and writes them in one transaction:\n" +
			"either all of them or none. Unknown fields are refused with their line.",
		Example: "  kumactl apply -f mesh.yaml\n" +
			"  kumactl apply -f policies/ -R\n" +
			"  kumactl apply -f web.yaml -v name=web-1 -v address=10.0.0.7\n" +
			"  kumactl apply -f https://example.com/mesh.yaml --dry-run=server\n" +
			"  echo '{type: Mesh, name: demo}' | kumactl apply -f -",
		Args:              noNames("apply -f FILE"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.kinds = a.kinds()
			return applyRun(cmd.Context(), o)
		},
	}
	o.files.flags(cmd)
	cmd.Flags().StringVar(&o.dryRun, "dry-run", dryRunNone, "client: print what would be sent; server: have it checked; write nothing")
	cmd.Flags().Lookup("dry-run").NoOptDefVal = dryRunClient
	// The errors are about flags that do not exist.
	_ = cmd.MarkFlagRequired("file")
	_ = cmd.RegisterFlagCompletionFunc("dry-run", cobra.FixedCompletions([]string{dryRunClient, dryRunServer}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func applyRun(ctx context.Context, o *applyOptions) error {
	mode, ok := map[string]string{
		dryRunNone: dryRunNone, "false": dryRunNone, dryRunClient: dryRunClient, "true": dryRunClient, dryRunServer: dryRunServer,
	}[o.dryRun]
	if !ok {
		return problem.New(problem.Invalid, "--dry-run=%s is not known", o.dryRun).WithHint("--dry-run takes client or server")
	}
	docs, err := o.files.documents(ctx, o.kinds)
	if err != nil {
		return err
	}
	if mode == dryRunClient {
		return o.print(docs)
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return o.send(ctx, c, docs, mode == dryRunServer)
}

// print writes what would be sent.
func (o *applyOptions) print(docs []written) error {
	for i, d := range docs {
		if i > 0 {
			o.out.Line("---")
		}
		raw, err := d.MarshalJSON()
		if err != nil {
			return err
		}
		if err := o.out.Item(render.FormatYAML, raw, d.Kind.Nested); err != nil {
			return err
		}
	}
	return nil
}

func (o *applyOptions) send(ctx context.Context, c *client.Client, docs []written, check bool) error {
	set := make([]client.Document, len(docs))
	for i, d := range docs {
		set[i] = client.Document{Kind: d.Kind, Mesh: d.Mesh, Name: d.Name, JSON: json.RawMessage(d.JSON)}
		if len(d.Unknown) > 0 {
			raw, err := d.MarshalJSON()
			if err != nil {
				return err
			}
			set[i].JSON = raw
		}
	}
	suffix := ""
	if check {
		suffix = " (not written: --dry-run=server)"
	}
	done := 0
	err := c.Apply(ctx, set, client.ApplyOptions{
		Check: check, Lenient: o.files.lenient, Source: sourceOf(docs),
		Done: func(d client.Document, what client.Outcome) {
			done++
			o.out.Line("%s/%s%s %s%s", argOf(d.Kind), d.Name, o.out.Faint(meshNote(d)), o.action(what.Action), suffix)
			for _, w := range what.Warnings {
				o.errs.Line("%s %s/%s: %s", o.errs.Careful("Warning:"), argOf(d.Kind), d.Name, w)
			}
			if d.Kind.NoEffectYet != "" {
				o.errs.Line("%s %s/%s: %s", o.errs.Careful("Note:"), argOf(d.Kind), d.Name, d.Kind.NoEffectYet)
			}
		},
	})
	return placed(err, docs, done)
}

// placed tells where in the files the server found mistakes.
func placed(err error, docs []written, done int) error {
	set, ok := errors.AsType[*client.SetError](err)
	if !ok {
		return err
	}
	wrong := &mistakes{}
	for i, d := range docs {
		p := set.Refused[i]
		if p == nil {
			continue
		}
		wrong.add(d.Document, p)
	}
	told := *set.Whole
	told.Title, told.Detail, told.Violations = "", "nothing was written, since the control plane refuses a part of it", wrong.found
	if done > 0 {
		told.Detail = fmt.Sprintf("%d resources were written, and then the control plane refused one", done)
	}
	if told.Hint == "" {
		told.Hint = wrong.hint
	}
	return &told
}

// meshNote is ` in mesh x` for resources that are in one.
func meshNote(d client.Document) string {
	if d.Kind.Scope == resource.Global {
		return ""
	}
	return " in mesh " + d.Mesh
}

func (o *applyOptions) action(word string) string {
	if word == client.Unchanged {
		return o.out.Faint(word)
	}
	return o.out.Good(word)
}

// sourceOf names the files for the change log.
func sourceOf(docs []written) string {
	var names []string
	for _, d := range docs {
		if len(names) == 0 || names[len(names)-1] != d.File {
			names = append(names, d.File)
		}
	}
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d other files", names[0], len(names)-1)
	}
	return strings.Join(names, ", ")
}
