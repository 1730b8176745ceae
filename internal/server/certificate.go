package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/wholefile"
)

// The lives of what the control plane makes for itself. The authority outlives every proxy's bootstrap; the certificate is made
// anew at each start where it no longer fits or has less than half of its life left.
const (
	authorityLife   = 10 * 365 * 24 * time.Hour
	certificateLife = 365 * 24 * time.Hour
	backdated       = 5 * time.Minute
)

// CertificateFiles are the names of the control plane's keys and certificates below its data folder.
type CertificateFiles struct{ CA, CAKey, Cert, Key string }

// FilesIn gives the names below a data folder.
func FilesIn(dataDir string) CertificateFiles {
	dir := filepath.Join(dataDir, "tls")
	return CertificateFiles{filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key"), filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")}
}

// credentials are what the TLS ports show, and the PEM of the authority that clients verify them with.
type credentials struct {
	certificate tls.Certificate
	authority   []byte
}

// ownCredentials reads the control plane's certificate, and makes authority, key and certificate where they are missing.
// Hosts are the names and addresses that it must be good for.
func ownCredentials(dataDir string, hosts []string, now time.Time) (*credentials, error) {
	files := FilesIn(dataDir)
	if err := os.MkdirAll(filepath.Dir(files.CA), 0o700); err != nil {
		return nil, problem.New(problem.Unavailable, "folder for keys: %w", err)
	}
	authority, err := readPair(files.CA, files.CAKey)
	if errors.Is(err, fs.ErrNotExist) {
		if authority, err = makeAuthority(now); err == nil {
			err = writePair(files.CA, files.CAKey, authority)
		}
	}
	if err != nil {
		return nil, problem.New(problem.Unavailable, "authority of the control plane: %w", err)
	}
	cert, err := readPair(files.Cert, files.Key)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, problem.New(problem.Unavailable, "certificate of the control plane: %w", err)
	}
	if err != nil || !stillGood(cert.Leaf, authority.Leaf, hosts, now) {
		if cert, err = issue(authority, hosts, now); err == nil {
			err = writePair(files.Cert, files.Key, cert)
		}
		if err != nil {
			return nil, problem.New(problem.Unavailable, "certificate of the control plane: %w", err)
		}
	}
	return &credentials{*cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate[0]})}, nil
}

// givenCredentials reads a certificate of the user's own. Proxies verify it with the system's authorities or a file of theirs.
func givenCredentials(certFile, keyFile string) (*credentials, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, problem.New(problem.Invalid, "general.tlsCertFile: %w", err)
	}
	raw, err := os.ReadFile(certFile)
	if err != nil {
		return nil, problem.New(problem.Invalid, "general.tlsCertFile: %w", err)
	}
	return &credentials{pair, raw}, nil
}

func makeAuthority(now time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "kumactl control plane authority"},
		NotBefore:             now.Add(-backdated),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	return sign(template, nil)
}

func issue(authority *tls.Certificate, hosts []string, now time.Time) (*tls.Certificate, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "kumactl control plane"},
		NotBefore:   now.Add(-backdated),
		NotAfter:    now.Add(certificateLife),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return sign(template, authority)
}

// sign makes a key (ECDSA P-256) and a certificate for it; without a parent the certificate signs itself.
func sign(template *x509.Certificate, parent *tls.Certificate) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, err
	}
	issuer, signer := template, any(key)
	if parent != nil {
		issuer, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

func stillGood(cert, authority *x509.Certificate, hosts []string, now time.Time) bool {
	if now.Before(cert.NotBefore) || now.Add(certificateLife/2).After(cert.NotAfter) || cert.CheckSignatureFrom(authority) != nil {
		return false
	}
	return !slices.ContainsFunc(hosts, func(host string) bool { return cert.VerifyHostname(host) != nil })
}

func readPair(certFile, keyFile string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	return &pair, err
}

func writePair(certFile, keyFile string, pair *tls.Certificate) error {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	if err := wholefile.Write(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return wholefile.Write(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600)
}

// ownHosts are the names and addresses by which this machine may be called.
func ownHosts(interfaces ...string) []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if name, err := os.Hostname(); err == nil && name != "" {
		hosts = append(hosts, name)
	}
	for _, host := range interfaces {
		if ip := net.ParseIP(host); ip == nil || !ip.IsUnspecified() {
			hosts = append(hosts, host)
			continue
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && !n.IP.IsLinkLocalUnicast() {
				hosts = append(hosts, n.IP.String())
			}
		}
	}
	slices.Sort(hosts)
	return slices.Compact(slices.DeleteFunc(hosts, func(h string) bool { return h == "" }))
}
