package house

import (
	"go/ast"
	"strings"
	"testing"
	"unicode"
)

// emptyOpenings tell the reader nothing: that it went wrong is known already.
var emptyOpenings = []string{"failed", "failure", "error", "unable to", "could not", "couldn't", "problem"}

// wrongText says what is wrong with an error's text, or nothing.
func wrongText(text string, names map[string]bool) string {
	first, _, _ := strings.Cut(text, " ")
	first = strings.TrimRight(first, ":,;")
	letters := []rune(first)
	lower := strings.ToLower(text)
	switch {
	case text == "":
		return "is empty"
	case strings.HasSuffix(text, ".") && !strings.HasSuffix(text, "..."), strings.HasSuffix(text, "!"), strings.HasSuffix(text, "\n"):
		return "ends like a sentence; it will stand in the middle of one"
	case len(letters) > 1 && unicode.IsUpper(letters[0]) && strings.ToLower(string(letters[1:])) == string(letters[1:]) && !names[first]:
		return "starts with a capital; it will stand in the middle of a sentence"
	}
	for _, opening := range emptyOpenings {
		if rest, ok := strings.CutPrefix(lower, opening); ok && (rest == "" || !unicode.IsLetter([]rune(rest)[0])) {
			return "starts with \"" + opening + "\"; name the thing and the operation instead"
		}
	}
	return ""
}

// errorsSpeak: texts of errors name the thing, the operation, the cause. A text that the wire demands is marked `// wire: reason`.
func errorsSpeak(files []*source) []string {
	names := map[string]bool{"Envoy": true, "Go": true}
	for _, k := range kindsOf(files) {
		names[k.name] = true
	}
	return each(files, func(s *source, n ast.Node) string {
		pkg, name := s.callee(n)
		call, _ := n.(*ast.CallExpr)
		text := 0
		switch {
		case s.test() || s.generated() || pkg == "":
			return ""
		case pkg == "errors" && name == "New", pkg == "fmt" && name == "Errorf":
		case pkg == module+"internal/problem" && name == "New":
			text = 1
		default:
			return ""
		}
		if len(call.Args) <= text {
			return ""
		}
		said, ok := literal(call.Args[text])
		if !ok || s.marked(call.Args[text], "wire") {
			return ""
		}
		if wrong := wrongText(said, names); wrong != "" {
			return s.at(call, "error text %q %s", said, wrong)
		}
		return ""
	})
}

func TestRule6ErrorsSpeak(t *testing.T) { report(t, errorsSpeak(tree(t))) }
