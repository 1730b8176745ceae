package launcher

import (
	"net"
	"os"
	"path/filepath"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/wholefile"
)

// maxSocketPath is what the kernels allow in a unix socket's address (macOS: 103 bytes and a zero; Linux has four more).
const maxSocketPath = 103

// workDir is where the bootstrap file and the sockets of one data plane lie. Its files are for their owner only: the
// bootstrap holds the token.
type workDir struct {
	path string
	// tokenPath is the file with the token, for an Envoy that reads it itself; empty without a token.
	tokenPath string
	release   func()
}

// openWorkDir makes the directory and takes it: two data planes in one would answer on each other's sockets.
func (l *Launcher) openWorkDir() (workDir, error) {
	named := l.cfg.workDir()
	dir := workDir{path: named}
	var err error
	if named == "" {
		if dir.path, err = os.MkdirTemp("", "kumactl-dp-"); err != nil {
			return workDir{}, problem.New(problem.Invalid, "work directory: %w", err).WithHint("name one with --work-dir DIR")
		}
	} else if err = os.MkdirAll(named, 0o700); err != nil {
		return workDir{}, problem.New(problem.Invalid, "work directory: %w", err)
	}
	unlock, err := l.prepare(&dir)
	dir.release = func() {
		if unlock != nil {
			unlock()
		}
		if named == "" {
			os.RemoveAll(dir.path)
		}
	}
	if err != nil {
		dir.release()
		return workDir{}, err
	}
	return dir, nil
}

// prepare locks the directory and puts the token into it, when there is one that is not in a file of its own. A lock that it
// took is returned with an error, too.
func (l *Launcher) prepare(dir *workDir) (unlock func(), err error) {
	if dir.path, err = filepath.Abs(dir.path); err != nil {
		return nil, problem.New(problem.Invalid, "work directory: %w", err)
	}
	const longest = "kuma-envoy-admin.sock"
	if n := len(filepath.Join(dir.path, longest)); n > maxSocketPath {
		return nil, problem.New(problem.Invalid, "work directory %s: its path is %d bytes too long for a unix socket in it", dir.path, n-maxSocketPath).
			WithHint("name a shorter one with --work-dir DIR")
	}
	unlock, err = lockFile(filepath.Join(dir.path, ".lock"))
	if err != nil {
		return nil, problem.New(problem.Conflict, "work directory %s: %w", dir.path, err).
			WithHint("give each data plane its own --work-dir, or none")
	}
	if l.token == "" {
		return unlock, nil
	}
	if l.tokenFile != "" {
		dir.tokenPath = l.tokenFile
		return unlock, nil
	}
	dir.tokenPath = filepath.Join(dir.path, "dataplane-token")
	return unlock, writePrivate(dir.tokenPath, []byte(l.token))
}

// writePrivate replaces a file by one that only its owner can read, whole or not at all.
func writePrivate(path string, content []byte) error {
	if err := wholefile.Write(path, content, 0o600); err != nil {
		return problem.New(problem.Invalid, "%s: %w", path, err)
	}
	return nil
}

// systemCA is the bundle of public authorities; the list is that of Go's own crypto/x509.
func (c Config) systemCA() string {
	if c.SystemCAPath != "" {
		return c.SystemCAPath
	}
	for _, path := range []string{
		"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Gentoo, Arch
		"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
		"/etc/ssl/ca-bundle.pem",                            // OpenSUSE
		"/etc/pki/tls/cacert.pem",                           // OpenELEC
		"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7
		"/etc/ssl/cert.pem",                                 // Alpine, macOS
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// hostHasIPv6 says whether any interface, loopback included, has an IPv6 address.
func hostHasIPv6() bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() == nil {
			return true
		}
	}
	return false
}
