package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/problem"
)

func newRootCmd(a *app) *cobra.Command {
	root := group(&cobra.Command{
		Use:   "kumactl",
		Short: "A service mesh in one binary",
		Long: "kumactl runs a service mesh (the control plane and its data planes) and manages it.\n" +
			"It reads what Kuma reads and speaks to Envoy and to Kuma's own programs as Kuma does.",
		Example: "  kumactl run control-plane          # a control plane here, in the foreground\n" +
			"  kumactl apply -f mesh.yaml         # create or change what the file describes\n" +
			"  kumactl inspect dataplanes         # what is connected, and in which state",
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	},
		newApplyCmd(a),
		newGetCmd(a),
		newDeleteCmd(a),
		newInspectCmd(a),
		newExplainCmd(a),
		newRunCmd(a),
		newDemoCmd(a),
		newInstallCmd(a),
		newUninstallCmd(a),
		newConfigCmd(a),
		newStoreCmd(a),
		newCompletionCmd(a),
		newDocsCmd(),
		newVersionCmd(a),
	)
	root.SetOut(a.out.Out)
	root.SetErr(a.errs.Out)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return &usageError{cmd, err} })
	g := &a.global
	flags := root.PersistentFlags()
	flags.DurationVar(&g.apiTimeout, "api-timeout", time.Minute, "how long one call to the control plane may take; 0 means no limit")
	flags.StringVar(&g.configFile, "config-file", "", "file with the known control planes (default ~/.kumactl/config)")
	flags.StringVar(&g.context, "context", "", "control plane to talk to in place of the current one")
	flags.StringVar(&g.logLevel, "log-level", "off", "what to log to stderr: "+strings.Join(logLevels(), ", "))
	flags.BoolVar(&g.noConfig, "no-config", false, "neither read nor write the file with the known control planes")
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if slices.Contains(logLevels(), g.logLevel) || cmd.Flags().Lookup("log-level") != flags.Lookup("log-level") {
			return nil
		}
		return &usageError{cmd, problem.New(problem.Invalid, "unknown log level %q", g.logLevel)}
	}
	return root
}

func logLevels() []string { return []string{"off", "info", "debug"} }

// group makes a command that only holds others: alone it shows its help, and a word that it does not have is an error.
func group(cmd *cobra.Command, children ...*cobra.Command) *cobra.Command {
	cmd.DisableFlagsInUseLine = true
	cmd.AddCommand(children...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func unknownCommand(cmd *cobra.Command, word string) error {
	err := problem.New(problem.Invalid, "unknown command %q for %q", word, cmd.CommandPath())
	if what, ok := elsewhere(word); ok {
		return err.WithHint("%s", what)
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(word); len(near) > 0 {
		return err.WithHint("did you mean `%s %s`?", cmd.CommandPath(), near[0])
	}
	return err.WithHint("%s --help lists what there is", cmd.CommandPath())
}

// unknownArgument refuses a word where a command takes none.
func unknownArgument(cmd *cobra.Command, word, other string) error {
	return problem.New(problem.Invalid, "unknown argument %q for %q", word, cmd.CommandPath()).WithHint("did you mean `kumactl %s`?", other)
}

// elsewhere says what became of a command of Kuma's kumactl that is not here.
func elsewhere(word string) (string, bool) {
	what, ok := map[string]string{
		"generate": "this version has no tokens yet; data planes on this machine need none",
		"export":   "kumactl store export writes what a control plane's store holds",
		"ctx":      "kumactl config use NAME",
	}[word]
	return what, ok
}
