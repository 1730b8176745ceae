package resource

import (
	"fmt"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
)

// Limits on the length of names, in bytes.
const (
	maxName      = 253
	maxLabelName = 63
)

// What the peers say of names; clients compare these texts.
const (
	subdomainWords = "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
	laxWords       = "invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_', '.' symbols."
	dns1035Words   = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
	qualifiedWords = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
	labelWords     = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
	prefixWords    = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)

// CheckName says what is wrong with a name: of a resource, or of what a reference means.
func CheckName(name string) problem.Violations {
	return checkName(name, isSubdomain, subdomainWords)
}

// CheckMeta says what is wrong with a resource's name and mesh. Resources that exist may keep the names of older versions, and
// so may meshes.
func (r *Resource) CheckMeta(exists bool) problem.Violations {
	var v problem.Violations
	name := CheckName(r.Name)
	if exists && len(name) > 0 {
		name = checkName(r.Name, isLax, laxWords)
	}
	v.AddAll("name", name)
	if r.Kind.Scope == InMesh {
		v.AddAll("mesh", checkName(r.Mesh, isLax, laxWords))
	}
	return v
}

func checkName(name string, good func(string) bool, words string) (v problem.Violations) {
	switch {
	case name == "":
		v.Add("", "cannot be empty")
	case len(name) > maxName:
		v.Add("", "value length must less or equal %d", maxName)
	case !good(name):
		v.Add("", "%s", words)
	}
	return v
}

// DNS1035 says why a name is no label of RFC 1035, in Kubernetes' words; nothing when it is one.
func DNS1035(name string) []string {
	var wrong []string
	if len(name) > maxLabelName {
		wrong = append(wrong, tooLong(maxLabelName))
	}
	if !isLabel(name) || !lower(name[0]) {
		wrong = append(wrong, dns1035Words)
	}
	return wrong
}

// DNS1123Subdomain says why a name is no subdomain of RFC 1123, in Kubernetes' words; nothing when it is one.
func DNS1123Subdomain(name string) []string {
	var wrong []string
	if len(name) > maxName {
		wrong = append(wrong, tooLong(maxName))
	}
	if !isSubdomain(name) {
		wrong = append(wrong, prefixWords)
	}
	return wrong
}

// labelKeyWrong follows Kubernetes: an optional DNS prefix and a slash, then a name.
func labelKeyWrong(key string) []string {
	prefix, name, prefixed := strings.Cut(key, "/")
	var wrong []string
	switch {
	case !prefixed:
		name = key
	case strings.Contains(name, "/"):
		return []string{"a valid label key " + qualifiedWords + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"}
	case prefix == "":
		wrong = append(wrong, "prefix part must be non-empty")
	default:
		for _, w := range DNS1123Subdomain(prefix) {
			wrong = append(wrong, "prefix part "+w)
		}
	}
	switch {
	case name == "":
		wrong = append(wrong, "name part must be non-empty")
	case len(name) > maxLabelName:
		wrong = append(wrong, "name part "+tooLong(maxLabelName))
	}
	if !isQualified(name) {
		wrong = append(wrong, "name part "+qualifiedWords)
	}
	return wrong
}

func labelValueWrong(value string) []string {
	var wrong []string
	if len(value) > maxLabelName {
		wrong = append(wrong, tooLong(maxLabelName))
	}
	if value != "" && !isQualified(value) {
		wrong = append(wrong, labelWords)
	}
	return wrong
}

func tooLong(limit int) string { return fmt.Sprintf("must be no more than %d bytes", limit) }

func lower(c byte) bool { return 'a' <= c && c <= 'z' }
func digit(c byte) bool { return '0' <= c && c <= '9' }
func upper(c byte) bool { return 'A' <= c && c <= 'Z' }

// isLabel is `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
func isLabel(s string) bool {
	return consists(s, func(c byte) bool { return lower(c) || digit(c) }, "-")
}

func isSubdomain(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !isLabel(part) {
			return false
		}
	}
	return true
}

// isQualified is `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`.
func isQualified(s string) bool {
	return consists(s, func(c byte) bool { return lower(c) || digit(c) || upper(c) }, "-_.")
}

// isLax is `[0-9a-z-_.]*`, the names of old.
func isLax(s string) bool {
	for i := range len(s) {
		if !lower(s[i]) && !digit(s[i]) && !strings.ContainsRune("-_.", rune(s[i])) {
			return false
		}
	}
	return true
}

// consists says whether s is not empty, begins and ends with a good byte, and has only good ones and those in between.
func consists(s string, good func(byte) bool, between string) bool {
	if s == "" || !good(s[0]) || !good(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !good(s[i]) && strings.IndexByte(between, s[i]) < 0 {
			return false
		}
	}
	return true
}
