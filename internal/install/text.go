package install

import (
	"embed"
	"fmt"
	"html"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"
)

//go:embed assets
var assets embed.FS

// asset reads an embedded file and puts values for its @NAMES@.
func asset(name string, values ...string) string {
	text, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // a name in this package is wrong
	}
	for i := 0; i < len(values); i += 2 {
		values[i] = "@" + values[i] + "@"
	}
	return strings.NewReplacer(values...).Replace(string(text))
}

// configuration is the control plane's configuration file.
func configuration(o Options) string {
	s := o.Settings
	return asset(
		"control-plane.yaml",
		"CONFIG_FILE", word(o.Paths.ConfigFile()),
		"DATA_DIR", scalar(o.Paths.DataDir),
		"TOKEN_FILE", scalar(o.Paths.TokenFile()),
		"ZONE", scalar(s.Zone),
		"LOG_LEVEL", scalar(s.LogLevel),
		"HTTP_PORT", strconv.Itoa(s.HTTPPort),
		"HTTPS_PORT", strconv.Itoa(s.HTTPSPort),
		"DP_PORT", strconv.Itoa(s.DPPort),
		"DIAGNOSTICS_PORT", strconv.Itoa(s.DiagnosticsPort),
		"SKIP_MESH", strconv.FormatBool(s.SkipMeshCreation),
	)
}

// unitText is what the supervisor reads.
func unitText(o Options) string {
	if o.Supervisor == Launchd {
		return asset(
			"launchd.plist",
			"LABEL", launchdLabel,
			"XML_EXECUTABLE", html.EscapeString(o.Executable),
			"XML_CONFIG_FILE", html.EscapeString(o.Paths.ConfigFile()),
			"XML_LOG_FILE", html.EscapeString(o.Paths.LogFile),
		)
	}
	name := "system.service"
	if o.Scope == User {
		name = "user.service"
	}
	// In the words behind the program's path, a dollar starts a variable.
	config := unitWord(strings.ReplaceAll(o.Paths.ConfigFile(), "$", "$$"))
	return asset(name, "EXEC_START", unitWord(o.Executable)+" run control-plane --config "+config, "UNIT_DATA_DIR", unitWord(o.Paths.DataDir))
}

// unitWord writes one word as systemd reads it: a percent sign starts a specifier, quotes hold blanks.
func unitWord(w string) string {
	w = strings.ReplaceAll(w, "%", "%%")
	if !strings.ContainsAny(w, " \"'\\;") {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

// scalar writes text as one YAML value, quoted where it has to be.
func scalar(text string) string {
	value, err := yaml.Marshal(text)
	if err != nil {
		panic(err) // text is always YAML
	}
	return strings.TrimSpace(string(value))
}

// script is a shell script that grows.
type script struct {
	strings.Builder
	root string
}

// newScript begins with what the steps use: put writes a file when it differs, and notes that something changed.
func newScript(root string) *script {
	s := &script{root: root}
	s.line("%s", strings.TrimSpace(asset("prelude.sh")))
	return s
}

func (s *script) line(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// path is where a path is on disk, as a word of the shell.
func (s *script) path(p string) string { return word(s.root + p) }

// word writes one word for the shell, quoted where it has to be.
func word(w string) string {
	special := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/.-_:=,+@", r)
	}
	if w == "" || strings.ContainsFunc(w, special) {
		return quote(w)
	}
	return w
}

func quote(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }

func words(line []string) string {
	quoted := make([]string, len(line))
	for i, w := range line {
		quoted[i] = word(w)
	}
	return strings.Join(quoted, " ")
}
