package mesh

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// maxName is how long a mesh's name may be, which is a part of identities and DNS names.
const maxName = 63

// maxSourceBytes is how much is read from a file that holds a certificate or a key.
const maxSourceBytes = 1 << 20

// beforePut holds a mesh against its older self and its authorities against the secrets that they need.
func beforePut(w *resource.Write) error {
	var v problem.Violations
	m := w.New.Spec.(*kumapb.Mesh)
	if len(w.New.Name) > maxName {
		v.Add("name", "cannot be longer than %d characters", maxName)
	}
	if w.Old != nil {
		was, is := Authority(w.Old.Spec.(*kumapb.Mesh)), Authority(m)
		if was != nil && is != nil && was.GetName() != is.GetName() && !m.GetMtls().GetSkipValidation() {
			// wire: sentences, as clients know them.
			v.Add("mtls.enabledBackend", "Changing CA when mTLS is enabled is forbidden. Disable mTLS first and then change the CA")
		}
	}
	for i, b := range m.GetMtls().GetBackends() {
		at := fmt.Sprintf("mtls.backends[%d]", i)
		switch {
		case b.GetType() == "builtin":
		case b.GetType() != "provided":
			v.Add(at+".type", "could not find installed plugin for this type") // wire: clients know it
		case !m.GetMtls().GetSkipValidation():
			v.AddAll(at+".conf", checkProvided(w.All, w.New.Name, b))
		}
	}
	if len(v) > 0 {
		return resource.Refused(v)
	}
	return nil
}

// checkProvided holds the certificate and key that a user provides against each other.
func checkProvided(all resource.Reader, mesh string, b *kumapb.CertificateAuthorityBackend) (v problem.Violations) {
	var cert, key kumapb.DataSource
	for _, part := range []struct {
		field string
		into  *kumapb.DataSource
	}{{"cert", &cert}, {"key", &key}} {
		if err := resource.ReadStruct(b.GetConf().GetFields()[part.field].GetStructValue(), part.into); err != nil {
			v.Add("", "could not convert backend config: %v", err) // wire: clients know it
			return v
		}
	}
	v.AddAll("cert", checkSource(b, "cert", &cert))
	v.AddAll("key", checkSource(b, "key", &key))
	if len(v) > 0 {
		return v
	}
	keyPEM, err := load(all, mesh, &key)
	var certPEM []byte
	if err == nil {
		certPEM, err = load(all, mesh, &cert)
	}
	if err != nil {
		v.Add("cert", "could not load data: %v", err) // wire: clients know it
		v.Add("key", "could not load data: %v", err)  // wire: clients know it
		return v
	}
	return checkAuthority(certPEM, keyPEM)
}

// checkSource holds a source that was read: one kind of source is chosen, and it is not empty.
func checkSource(b *kumapb.CertificateAuthorityBackend, field string, s *kumapb.DataSource) (v problem.Violations) {
	if b.GetConf().GetFields()[field].GetStructValue() == nil {
		v.Add("", "has to be defined")
		return v
	}
	switch of := s.GetType().(type) {
	case nil:
		v.Add("", "data source has to be chosen. Available sources: secret, file, inline")
	case *kumapb.DataSource_Secret:
		if of.Secret == "" {
			v.Add("secret", empty)
		}
	case *kumapb.DataSource_File:
		if of.File == "" {
			v.Add("file", empty)
		}
	case *kumapb.DataSource_Inline:
		if len(of.Inline.GetValue()) == 0 {
			v.Add("inline", empty)
		}
	}
	return v
}

// load gets the bytes from where a source says that they are.
func load(all resource.Reader, mesh string, s *kumapb.DataSource) ([]byte, error) {
	switch of := s.GetType().(type) {
	case *kumapb.DataSource_Secret:
		r, ok := all.Get(resource.Key{Kind: "Secret", Mesh: mesh, Name: of.Secret})
		if !ok {
			return nil, fmt.Errorf("resource not found: type=%q name=%q mesh=%q", "Secret", of.Secret, mesh)
		}
		return r.Spec.(*kumapb.Secret).GetData().GetValue(), nil
	case *kumapb.DataSource_File:
		return readFile(of.File)
	case *kumapb.DataSource_Inline:
		return of.Inline.GetValue(), nil
	}
	return []byte(s.GetInlineString()), nil
}

// readFile reads a small, plain file of the control plane's machine.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a plain file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSourceBytes))
	return raw, errors.Join(err, f.Close())
}

// checkAuthority says whether a certificate may sign those of workloads (X509-SVID).
func checkAuthority(certPEM, keyPEM []byte) (v problem.Violations) {
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		v.Add("cert", "not a valid TLS key pair: %v", err)
		return v
	}
	if len(pair.Certificate) != 1 {
		v.Add("cert", "certificate must be a root CA (certificate chains are not allowed)")
		return v
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		v.Add("cert", "not a valid x509 certificate: %v", err)
		return v
	}
	if cert.Issuer.String() != cert.Subject.String() {
		v.Add("cert", "certificate must be self-signed (intermediate CAs are not allowed)")
	}
	if !cert.IsCA {
		v.Add("cert", "basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)")
	}
	if cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		v.Add("cert", "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)")
	}
	for _, usage := range []struct {
		bit  x509.KeyUsage
		name string
	}{{x509.KeyUsageDigitalSignature, "digitalSignature"}, {x509.KeyUsageKeyAgreement, "keyAgreement"}, {x509.KeyUsageKeyEncipherment, "keyEncipherment"}} {
		if cert.KeyUsage&usage.bit != 0 {
			v.Add("cert", "key usage extension '%s' must NOT be set (see X509-SVID: Appendix A. X.509 Field Reference)", usage.name)
		}
	}
	return v
}

// beforeDelete keeps a mesh that proxies are in.
func beforeDelete(all resource.Reader, old *resource.Resource) error {
	for range all.List("Dataplane", old.Name) {
		var v problem.Violations
		v.Add("mesh", "unable to delete mesh, there are still some dataplanes attached") // wire: clients know it
		return resource.Refused(v)
	}
	return nil
}
