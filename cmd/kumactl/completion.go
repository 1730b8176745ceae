package main

import (
	"github.com/spf13/cobra"
)

func newCompletionCmd(a *app) *cobra.Command {
	shell := func(name, install string, write func(root *cobra.Command) error) *cobra.Command {
		return &cobra.Command{
			Use:               name,
			Short:             "Print the completion for " + name,
			Example:           install,
			Args:              cobra.NoArgs,
			ValidArgsFunction: cobra.NoFileCompletions,
			RunE:              func(cmd *cobra.Command, _ []string) error { return write(cmd.Root()) },
		}
	}
	return group(&cobra.Command{
		Use:   "completion",
		Short: "Print what makes a shell complete commands, types and names",
		Long:  "Prints a script for a shell. With it, Tab completes commands, flags, types, and names of resources that the control plane holds.",
	},
		shell("bash", "  kumactl completion bash > ~/.local/share/bash-completion/completions/kumactl",
			func(root *cobra.Command) error { return root.GenBashCompletionV2(a.out.Out, true) }),
		shell("zsh", "  kumactl completion zsh > \"${fpath[1]}/_kumactl\"",
			func(root *cobra.Command) error { return root.GenZshCompletion(a.out.Out) }),
		shell("fish", "  kumactl completion fish > ~/.config/fish/completions/kumactl.fish",
			func(root *cobra.Command) error { return root.GenFishCompletion(a.out.Out, true) }),
		shell("powershell", "  kumactl completion powershell | Out-String | Invoke-Expression",
			func(root *cobra.Command) error { return root.GenPowerShellCompletionWithDesc(a.out.Out) }),
	)
}
