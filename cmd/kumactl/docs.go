package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kumactl/kumactl/internal/problem"
)

type docsOptions struct {
	root     *cobra.Command
	markdown string
	man      string
}

// newDocsCmd writes the reference of the command line; releases and docs/cli are made with it. (Cobra's own writer is not used: what
// it needs for man pages compiles its patterns in every command before main.)
func newDocsCmd() *cobra.Command {
	o := &docsOptions{}
	cmd := &cobra.Command{
		Use:    "docs",
		Short:  "Write the reference of all commands",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.root = cmd.Root()
			return docsRun(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.markdown, "markdown", "", "directory for Markdown, one file a command")
	cmd.Flags().StringVar(&o.man, "man", "", "directory for man pages")
	cmd.MarkFlagsOneRequired("markdown", "man")
	return cmd
}

// docsRun writes the pages. They do not say when they were made, so the same commands give the same files.
func docsRun(_ context.Context, o *docsOptions) error {
	for _, kind := range []struct {
		dir, between, extension string
		page                    func(*cobra.Command) []byte
	}{{o.markdown, "_", ".md", markdownPage}, {o.man, "-", ".1", manPage}} {
		if kind.dir == "" {
			continue
		}
		if err := os.MkdirAll(kind.dir, 0o755); err != nil {
			return problem.New(problem.Invalid, "%w", err)
		}
		for _, cmd := range visible(o.root) {
			name := strings.ReplaceAll(cmd.CommandPath(), " ", kind.between) + kind.extension
			if err := os.WriteFile(filepath.Join(kind.dir, name), kind.page(cmd), 0o644); err != nil {
				return problem.New(problem.Invalid, "%w", err)
			}
		}
	}
	return nil
}

// visible lists a command and all below it that people see, sorted as the help is.
func visible(cmd *cobra.Command) []*cobra.Command {
	cmd.InitDefaultHelpFlag()
	all := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			all = append(all, visible(child)...)
		}
	}
	return all
}

// description is what the command says of itself at length.
func description(cmd *cobra.Command) string {
	if cmd.Long != "" {
		return cmd.Long
	}
	return cmd.Short
}

func markdownPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n\n%s\n\n```\n%s\n```\n", cmd.CommandPath(), description(cmd), cmd.UseLine())
	if len(cmd.Aliases) > 0 {
		fmt.Fprintf(&b, "\nAlso: %s\n", strings.Join(cmd.Aliases, ", "))
	}
	block := func(title, text string) {
		if text != "" {
			fmt.Fprintf(&b, "\n## %s\n\n```\n%s\n```\n", title, strings.TrimRight(text, "\n"))
		}
	}
	block("Examples", cmd.Example)
	block("Flags", cmd.NonInheritedFlags().FlagUsages())
	block("Flags of all commands", cmd.InheritedFlags().FlagUsages())
	link := func(to *cobra.Command) {
		fmt.Fprintf(&b, "- [%s](%s.md): %s\n", to.CommandPath(), strings.ReplaceAll(to.CommandPath(), " ", "_"), to.Short)
	}
	if related := relatives(cmd); len(related) > 0 {
		b.WriteString("\n## See also\n\n")
		for _, r := range related {
			link(r)
		}
	}
	return b.Bytes()
}

// relatives are the command above and those right below.
func relatives(cmd *cobra.Command) []*cobra.Command {
	var related []*cobra.Command
	if cmd.HasParent() {
		related = append(related, cmd.Parent())
	}
	for _, child := range cmd.Commands() {
		if child.IsAvailableCommand() {
			related = append(related, child)
		}
	}
	return related
}

func manPage(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	fmt.Fprintf(&b, ".TH %q \"1\" \"\" \"kumactl\" \"kumactl\"\n.SH NAME\n%s \\- %s\n", strings.ToUpper(name), roff(name), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n%s\n.SH DESCRIPTION\n%s\n", roff(cmd.UseLine()), roff(description(cmd)))
	flags := func(title string, set *pflag.FlagSet) {
		if !set.HasAvailableFlags() {
			return
		}
		fmt.Fprintf(&b, ".SH %s\n", title)
		set.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden {
				manFlag(&b, f)
			}
		})
	}
	flags("OPTIONS", cmd.NonInheritedFlags())
	flags("OPTIONS OF ALL COMMANDS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	if related := relatives(cmd); len(related) > 0 {
		b.WriteString(".SH SEE ALSO\n")
		for i, r := range related {
			end := ","
			if i == len(related)-1 {
				end = ""
			}
			fmt.Fprintf(&b, ".BR %s (1)%s\n", roff(strings.ReplaceAll(r.CommandPath(), " ", "-")), end)
		}
	}
	return b.Bytes()
}

func manFlag(b *bytes.Buffer, f *pflag.Flag) {
	words := "--" + f.Name
	if f.Shorthand != "" {
		words = "-" + f.Shorthand + ", " + words
	}
	placeholder, usage := pflag.UnquoteUsage(f)
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR %s\n%s\n", roff(words), roff(placeholder), roff(usage))
}

// roff makes a text mean itself in a man page.
func roff(text string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
