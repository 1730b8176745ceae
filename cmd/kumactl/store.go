package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/server"
	"github.com/kumactl/kumactl/internal/store"
)

type storeOptions struct {
	out, errs render.Output
	now       func() time.Time
	kinds     []*resource.Kind

	dataDir string
}

// path is the store's file.
func (o *storeOptions) path() string {
	config := server.DefaultConfig(o.dataDir)
	return config.StorePath()
}

func newStoreCmd(a *app) *cobra.Command {
	with := func(use, short string, run func(context.Context, *storeOptions) error) *cobra.Command {
		o := &storeOptions{out: a.out, errs: a.errs, now: a.now}
		cmd := &cobra.Command{
			Use:               use,
			Short:             short,
			Args:              cobra.NoArgs,
			ValidArgsFunction: cobra.NoFileCompletions,
			RunE: func(cmd *cobra.Command, _ []string) error {
				o.kinds = a.kinds()
				return run(cmd.Context(), o)
			},
		}
		cmd.Flags().StringVar(&o.dataDir, "data-dir", install.DefaultDataDir(os.Geteuid(), a.getenv), "the control plane's data folder")
		// The default is this user's; the same text for everybody in the reference.
		cmd.Flags().Lookup("data-dir").DefValue = ""
		// The error is about a flag that does not exist.
		_ = cmd.MarkFlagDirname("data-dir")
		return cmd
	}
	return group(&cobra.Command{
		Use:   "store",
		Short: "Check, compact or export the store of a control plane that does not run",
	},
		with("check", "Say what is in the store, and whether it is whole", storeCheckRun),
		with("compact", "Write the store anew without its unused room", storeCompactRun),
		with("export", "Print all resources as YAML, secrets too; what is damaged is left out", storeExportRun),
	)
}

func storeCheckRun(ctx context.Context, o *storeOptions) error {
	report, err := store.Check(ctx, o.path(), o.kinds)
	if err != nil {
		return err
	}
	o.out.Line("%s: %s, of which %s unused", report.Path, size(report.Bytes), size(report.FreeBytes))
	o.out.Line("revision %d, %d changes since revision %d", report.Revision, report.LogChanges, report.LogStart)
	if !report.CopyTime.IsZero() {
		o.out.Line("last good copy: revision %d, %s ago", report.CopyRevision, render.Age(o.now(), report.CopyTime))
	}
	table := render.Table{Columns: []render.Column{{Title: "KIND"}, {Title: "RESOURCES"}}, Empty: "no resources"}
	for _, counts := range []map[string]int{report.Kinds, report.Volatile} {
		for _, kind := range slices.Sorted(maps.Keys(counts)) {
			table.Rows = append(table.Rows, []string{kind, fmt.Sprint(counts[kind])})
		}
	}
	if err := o.out.Table(table); err != nil {
		return err
	}
	for _, kind := range report.Unknown {
		o.errs.Line("%s kind %s is not known to this version; its resources stay as they are", o.errs.Careful("Note:"), kind)
	}
	if len(report.Faults) == 0 {
		o.out.Line("%s", o.out.Good("the store is whole"))
		return nil
	}
	return o.faults(report.Faults)
}

// faults tells what is wrong with the file, and what to do.
func (o *storeOptions) faults(faults []string) error {
	for _, fault := range faults {
		o.errs.Line("%s %s", o.errs.Bad("Damaged:"), fault)
	}
	o.errs.Hint("kumactl store export --data-dir %s > rescued.yaml", o.dataDir)
	return errSaid
}

func storeCompactRun(ctx context.Context, o *storeOptions) error {
	before, after, err := store.Compact(ctx, o.path())
	if err != nil {
		return err
	}
	o.out.Line("%s: %s before, %s now", o.path(), size(before), size(after))
	return nil
}

func storeExportRun(ctx context.Context, o *storeOptions) error {
	first := true
	done, err := store.Export(ctx, o.path(), o.kinds, func(r *resource.Resource) error {
		raw, err := r.MarshalJSON()
		if err != nil {
			return err
		}
		if !first {
			o.out.Line("---")
		}
		first = false
		return o.out.Item(render.FormatYAML, raw, r.Kind.Nested)
	})
	if err != nil {
		return err
	}
	o.errs.Line("%d resources of revision %d, secrets among them", done.Resources, done.Revision)
	if done.Unknown > 0 {
		o.errs.Line("%s %d resources of kinds that this version does not know are not in it", o.errs.Careful("Warning:"), done.Unknown)
	}
	if len(done.Faults) > 0 {
		for _, fault := range done.Faults {
			o.errs.Line("%s %s", o.errs.Bad("Damaged:"), fault)
		}
		return errSaid
	}
	return nil
}

// size is a number of bytes for a person.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	case bytes >= 1<<10:
		return fmt.Sprintf("%.0f KiB", float64(bytes)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", bytes)
}
