package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// kindNamed finds the kind that a person means: `dataplane`, `dataplanes`, `dp`, `Dataplane`. list says that the word asks for all
// of them.
func kindNamed(kinds []*resource.Kind, word string) (k *resource.Kind, list bool, err error) {
	lower := strings.ToLower(word)
	for _, k := range kinds {
		switch {
		case lower == k.Arg || lower == strings.ToLower(k.Name):
			return k, false, nil
		case lower == k.Plural || lower == k.Path || lower == k.AltPath || lower == k.Short || slices.Contains(k.Aliases, lower):
			return k, true, nil
		}
	}
	missing := problem.New(problem.Invalid, "there is no kind %q", word)
	if near := client.Nearest(lower, kindWords(kinds)); near != "" {
		return nil, false, missing.WithHint("did you mean %q?", near)
	}
	return nil, false, missing.WithHint("the kinds are %s", strings.Join(pluralWords(kinds), ", "))
}

// kindWords are all words that kindNamed takes, sorted.
func kindWords(kinds []*resource.Kind) []string {
	var words []string
	for _, k := range kinds {
		words = append(words, k.Arg, k.Plural, k.Path)
	}
	slices.Sort(words)
	return slices.DeleteFunc(slices.Compact(words), func(w string) bool { return w == "" })
}

func pluralWords(kinds []*resource.Kind) []string {
	var words []string
	for _, k := range kinds {
		words = append(words, pluralOf(k))
	}
	slices.Sort(words)
	return words
}

// pluralOf and argOf are the words for help and messages.
func pluralOf(k *resource.Kind) string {
	if k.Plural != "" {
		return k.Plural
	}
	return k.Path
}

func argOf(k *resource.Kind) string {
	if k.Arg != "" {
		return k.Arg
	}
	return strings.ToLower(k.Name)
}

// inMesh is ` in mesh "x"` for kinds that are in one.
func inMesh(k *resource.Kind, mesh string) string {
	if k.Scope == resource.Global {
		return ""
	}
	if mesh == "" {
		return " in any mesh"
	}
	return ` in mesh "` + mesh + `"`
}

// completeKindAndNames completes `TYPE NAME…`: kinds from the catalog, names from the control plane.
func (a *app) completeKindAndNames(mesh *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) == 0 {
			return pluralWords(a.kinds()), cobra.ShellCompDirectiveNoFileComp
		}
		k, _, err := kindNamed(a.kinds(), args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return a.namesOf(cmd.Context(), k, *mesh, args[1:]), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeNames completes names of one kind.
func (a *app) completeNames(path string, mesh *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		k, _, err := kindNamed(a.kinds(), path)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		of := ""
		if mesh != nil {
			of = *mesh
		}
		return a.namesOf(cmd.Context(), k, of, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeMeshes completes the value of -m.
func (a *app) completeMeshes(cmd *cobra.Command) {
	// The error is about a flag that does not exist.
	_ = cmd.RegisterFlagCompletionFunc("mesh", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		complete := a.completeNames("meshes", nil)
		return complete(cmd, nil, "")
	})
}
