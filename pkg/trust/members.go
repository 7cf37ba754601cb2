package trust

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// members are what a trusted root consists of, checked.
type members struct{ authorities, ctLogs, logs, timestamps []member }

// member is an authority or a log of a trusted root.
type member struct {
	url    string
	id     []byte // of a log
	window Window // in which it signed; for an authority also every certificate of its chain is valid
	key    Key    // of a log
	chain  []*x509.Certificate
}

func readMembers(pb *prototrustroot.TrustedRoot) (members, error) {
	var m members
	var err error
	for _, list := range []struct {
		what string
		into *[]member
		from []*prototrustroot.CertificateAuthority
		tsa  bool
	}{
		{"certificate authority", &m.authorities, pb.GetCertificateAuthorities(), false},
		{"timestamp authority", &m.timestamps, pb.GetTimestampAuthorities(), true},
	} {
		if *list.into, err = readAll(list.what, list.from, func(ca *prototrustroot.CertificateAuthority) (member, error) {
			return readAuthority(ca, list.tsa)
		}); err != nil {
			return members{}, err
		}
	}
	for _, list := range []struct {
		what string
		into *[]member
		from []*prototrustroot.TransparencyLogInstance
	}{
		{"transparency log", &m.logs, pb.GetTlogs()},
		{"certificate transparency log", &m.ctLogs, pb.GetCtlogs()},
	} {
		if *list.into, err = readAll(list.what, list.from, readLog); err != nil {
			return members{}, err
		}
		if err := differ(list.what, *list.into); err != nil {
			return members{}, err
		}
	}
	if len(m.authorities)+len(m.ctLogs)+len(m.logs)+len(m.timestamps) == 0 {
		return members{}, errors.New("it is empty: no certificate authority, no log, no timestamp authority")
	}
	return m, nil
}

func readAll[T any](what string, from []T, read func(T) (member, error)) ([]member, error) {
	if len(from) > limits.TrustedRootMembers {
		return nil, fmt.Errorf("%d times %s, more than %d", len(from), what, limits.TrustedRootMembers)
	}
	var out []member
	for i, f := range from {
		m, err := read(f)
		if err != nil {
			return nil, fmt.Errorf("%s %d (%s): %w", what, i+1, m.url, err)
		}
		out = append(out, m)
	}
	return out, nil
}

// differ refuses logs with one identifier, of which sigstore-go would keep the
// last, and logs with one key, which would count as two witnesses.
func differ(what string, logs []member) error {
	ids, keys := map[string]bool{}, map[digest.Digest]bool{}
	for i, l := range logs {
		id, key := hex.EncodeToString(l.id), l.key.Fingerprint()
		if ids[id] || keys[key] {
			return fmt.Errorf("%s %d (%s): its identifier or its key is that of another one in the list", what, i+1, l.url)
		}
		ids[id], keys[key] = true, true
	}
	return nil
}

func readLog(l *prototrustroot.TransparencyLogInstance) (member, error) {
	m := member{url: l.GetBaseUrl(), id: l.GetLogId().GetKeyId()}
	if err := checkText(m.url); err != nil {
		return member{}, err
	}
	if n := len(m.id); n == 0 || n > limits.LogIDBytes {
		return m, fmt.Errorf("its identifier has %d bytes; 1 to %d are meant", n, limits.LogIDBytes)
	}
	var err error
	if m.window, err = readWindow(l.GetPublicKey().GetValidFor()); err != nil {
		return m, err
	}
	if m.window.Start.IsZero() {
		return m, errors.New("validFor.start is missing: it is not said from when on the key is valid")
	}
	m.key, err = readLogKey(m.url, l.GetPublicKey())
	return m, err
}

// logKeys are the kinds of key that sigstore-go 1.3.0 takes for a log, and how
// [Key.Describe] calls them; empty means any RSA.
var logKeys = map[protocommon.PublicKeyDetails]string{
	protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256:       "EC P-256",
	protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384:       "EC P-384",
	protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512:       "EC P-521",
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_2048_SHA256: "RSA 2048",
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_3072_SHA256: "RSA 3072",
	protocommon.PublicKeyDetails_PKIX_RSA_PKCS1V15_4096_SHA256: "RSA 4096",
	protocommon.PublicKeyDetails_PKIX_ED25519:                  "Ed25519",
	protocommon.PublicKeyDetails_PKCS1_RSA_PKCS1V5:             "", //nolint:staticcheck // deprecated, and in the root of Sigstore's staging instance
}

func readLogKey(name string, k *protocommon.PublicKey) (Key, error) {
	details := k.GetKeyDetails()
	want, known := logKeys[details]
	if !known {
		return Key{}, fmt.Errorf("keyDetails %s are not supported", details)
	}
	var public any
	var err error
	if want == "" {
		public, err = x509.ParsePKCS1PublicKey(k.GetRawBytes())
	} else {
		public, err = x509.ParsePKIXPublicKey(k.GetRawBytes())
	}
	if err != nil {
		return Key{}, fmt.Errorf("its public key: %w", err)
	}
	key, err := NewKey(name, public)
	if err == nil && want != "" && key.Describe() != want {
		err = fmt.Errorf("keyDetails are %s and the key is %s", details, key.Describe())
	}
	return key, err
}

func readAuthority(ca *prototrustroot.CertificateAuthority, tsa bool) (member, error) {
	m := member{url: ca.GetUri()}
	if err := checkText(m.url); err != nil {
		return member{}, err
	}
	var err error
	if m.window, err = readWindow(ca.GetValidFor()); err != nil {
		return m, err
	}
	raw := ca.GetCertChain().GetCertificates()
	if len(raw) == 0 || len(raw) > limits.ChainCertificates {
		return m, fmt.Errorf("its chain has %d certificates; 1 to %d are meant", len(raw), limits.ChainCertificates)
	}
	for _, r := range raw {
		c, err := x509.ParseCertificate(r.GetRawBytes())
		if err != nil {
			return m, fmt.Errorf("%w: %w", ErrInvalidCertificate, err)
		}
		m.chain = append(m.chain, c)
		m.window = m.window.within(Window{Start: c.NotBefore, End: c.NotAfter})
	}
	return m, checkChain(m.chain, tsa)
}

// checkChain wants certificates in the order from the one that signs to the one
// that is trusted. The last may be an intermediate one: a trusted root may say
// so (sigstore_trustroot.proto). The first of a timestamp authority may be the
// one that signs timestamps.
func checkChain(chain []*x509.Certificate, tsa bool) error {
	for i, c := range chain {
		leaf := tsa && i == 0 && !c.IsCA
		switch {
		case leaf && len(chain) == 1:
			return errors.New("its chain has the certificate that signs timestamps and no authority above it")
		case leaf && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageTimeStamping):
			return fmt.Errorf("certificate %q is not for timestamps", c.Subject)
		case leaf:
			if _, err := NewKey(c.Subject.String(), c.PublicKey); err != nil {
				return err
			}
		default:
			if err := checkAuthority(c); err != nil {
				return err
			}
		}
		if i > 0 {
			if err := chain[i-1].CheckSignatureFrom(c); err != nil {
				return fmt.Errorf("certificate %q is not signed by the next of the chain, %q: %w", chain[i-1].Subject, c.Subject, err)
			}
		}
	}
	return nil
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawSubject, c.RawIssuer) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil
}

func readWindow(r *protocommon.TimeRange) (Window, error) {
	var w Window
	if r.GetStart() != nil {
		w.Start = r.GetStart().AsTime()
	}
	if r.GetEnd() != nil {
		w.End = r.GetEnd().AsTime()
		if w.End.Before(w.Start) {
			return w, errors.New("validFor ends before it begins")
		}
	}
	return w, nil
}
