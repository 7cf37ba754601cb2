package trust

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// CertificateSummary is a certificate for people and machines to read.
type CertificateSummary struct {
	Subject     string        `json:"subject"`
	Issuer      string        `json:"issuer"`
	Algorithm   string        `json:"algorithm"`
	Fingerprint digest.Digest `json:"fingerprint"` // SHA-256 of the public key, as [Key.Fingerprint]
	Digest      digest.Digest `json:"digest"`      // SHA-256 of the certificate
	Window      Window        `json:"valid"`
	State       State         `json:"state"`
}

// Summarise describes a certificate at a time.
func Summarise(c *x509.Certificate, now time.Time) CertificateSummary {
	key := Key{Public: c.PublicKey}
	w := Window{Start: c.NotBefore.UTC(), End: c.NotAfter.UTC()}
	return CertificateSummary{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Algorithm: key.Describe(),
		Fingerprint: key.Fingerprint(), Digest: digest.FromBytes(c.Raw), Window: w, State: w.At(now),
	}
}

// MemberSummary is an authority or a log of a trusted root.
type MemberSummary struct {
	URL         string        `json:"url,omitempty"`
	Subject     string        `json:"subject,omitempty"` // of the certificate that signs, or else of the first of the chain
	Algorithm   string        `json:"algorithm"`
	Fingerprint digest.Digest `json:"fingerprint"` // SHA-256 of the public key
	LogID       string        `json:"logID,omitempty"`
	// Window is when it may have signed: for an authority, when every
	// certificate of its chain is valid too.
	Window       Window               `json:"valid"`
	State        State                `json:"state"`
	Certificates []CertificateSummary `json:"certificates,omitempty"`
}

// RootSummary is a trusted root at a time.
type RootSummary struct {
	State                  State           `json:"state"` // valid as long as one of its members is
	CertificateAuthorities []MemberSummary `json:"certificateAuthorities"`
	CTLogs                 []MemberSummary `json:"ctLogs"`
	TransparencyLogs       []MemberSummary `json:"transparencyLogs"`
	TimestampAuthorities   []MemberSummary `json:"timestampAuthorities"`
	Warnings               []string        `json:"warnings,omitempty"`
}

// Describe returns what is in the root, and in what state at a time.
func (r *Root) Describe(now time.Time) RootSummary {
	var s RootSummary
	var all []State
	for _, kind := range []struct {
		from []member
		into *[]MemberSummary
		none string
	}{
		{r.members.authorities, &s.CertificateAuthorities, "no certificate authority is valid: no new certificate will be accepted"},
		{r.members.ctLogs, &s.CTLogs, "no certificate transparency log is valid: no new certificate will be accepted where SCTs are demanded"},
		{r.members.logs, &s.TransparencyLogs, "no transparency log is valid: no new log entry will be accepted"},
		{r.members.timestamps, &s.TimestampAuthorities, "no timestamp authority is valid: no new timestamp will be accepted"},
	} {
		*kind.into = make([]MemberSummary, 0, len(kind.from))
		var states []State
		for _, m := range kind.from {
			*kind.into = append(*kind.into, m.summary(now))
			states = append(states, m.window.At(now))
		}
		if len(states) > 0 && together(states) != StateValid {
			s.Warnings = append(s.Warnings, kind.none)
		}
		all = append(all, states...)
	}
	s.State = together(all)
	return s
}

func (m member) summary(now time.Time) MemberSummary {
	s := MemberSummary{URL: m.url, LogID: hex.EncodeToString(m.id), Window: m.window, State: m.window.At(now)}
	if len(m.chain) == 0 {
		s.Algorithm, s.Fingerprint = m.key.Describe(), m.key.Fingerprint()
		return s
	}
	for _, c := range m.chain {
		s.Certificates = append(s.Certificates, Summarise(c, now))
	}
	first := s.Certificates[0]
	s.Subject, s.Algorithm, s.Fingerprint = first.Subject, first.Algorithm, first.Fingerprint
	return s
}

// ServiceSummary is a service that a signer may ask.
type ServiceSummary struct {
	URL        string `json:"url"`
	APIVersion uint32 `json:"apiVersion"`
	Operator   string `json:"operator,omitempty"`
	Window     Window `json:"valid"`
	State      State  `json:"state"`
}

// SigningConfigSummary is a signing configuration at a time.
type SigningConfigSummary struct {
	State                  State            `json:"state"` // valid as long as one of its services is
	CertificateAuthorities []ServiceSummary `json:"certificateAuthorities"`
	OIDCProviders          []ServiceSummary `json:"oidcProviders"`
	TransparencyLogs       []ServiceSummary `json:"transparencyLogs"`
	TransparencyLogsUsed   string           `json:"transparencyLogsUsed,omitempty"` // any, all, or how many exactly
	TimestampAuthorities   []ServiceSummary `json:"timestampAuthorities"`
	TimestampsUsed         string           `json:"timestampAuthoritiesUsed,omitempty"`
	Warnings               []string         `json:"warnings,omitempty"`
}

// Describe returns the services, and in what state they are at a time.
func (c *SigningConfig) Describe(now time.Time) SigningConfigSummary {
	var s SigningConfigSummary
	var all []State
	for _, kind := range []struct {
		from []root.Service
		into *[]ServiceSummary
		none string
	}{
		{c.material.FulcioCertificateAuthorityURLs(), &s.CertificateAuthorities, "no certificate authority is in service: keyless signing fails"},
		{c.material.OIDCProviderURLs(), &s.OIDCProviders, "no OpenID Connect provider is in service: only tokens from elsewhere can be used"},
		{c.material.RekorLogURLs(), &s.TransparencyLogs, "no transparency log is in service: signing with one fails"},
		{c.material.TimestampAuthorityURLs(), &s.TimestampAuthorities, "no timestamp authority is in service: signing with one fails"},
	} {
		*kind.into = make([]ServiceSummary, 0, len(kind.from))
		var states []State
		for _, v := range kind.from {
			w := Window{Start: v.ValidityPeriodStart, End: v.ValidityPeriodEnd}
			*kind.into = append(*kind.into, ServiceSummary{URL: v.URL, APIVersion: v.MajorAPIVersion, Operator: v.Operator, Window: w, State: w.At(now)})
			states = append(states, w.At(now))
		}
		if len(states) > 0 && together(states) != StateValid {
			s.Warnings = append(s.Warnings, kind.none)
		}
		all = append(all, states...)
	}
	s.State = together(all)
	s.TransparencyLogsUsed = used(c.material.RekorLogURLsConfig(), len(s.TransparencyLogs))
	s.TimestampsUsed = used(c.material.TimestampAuthorityURLsConfig(), len(s.TimestampAuthorities))
	return s
}

func used(c root.ServiceConfiguration, services int) string {
	switch {
	case services == 0:
		return ""
	case c.Selector == prototrustroot.ServiceSelector_EXACT:
		return fmt.Sprintf("exactly %d", c.Count)
	case c.Selector == prototrustroot.ServiceSelector_ALL:
		return "all"
	}
	return "any"
}

// KeySummary is a public key.
type KeySummary struct {
	Algorithm   string        `json:"algorithm"`
	Fingerprint digest.Digest `json:"fingerprint"`
}

// Summary describes the key.
func (k Key) Summary() KeySummary {
	return KeySummary{Algorithm: k.Describe(), Fingerprint: k.Fingerprint()}
}

// AuthoritySummary is a certificate authority at a time.
type AuthoritySummary struct {
	State         State                `json:"state"` // valid as long as one of its roots is
	Roots         []CertificateSummary `json:"roots"`
	Intermediates []CertificateSummary `json:"intermediates"`
	Warnings      []string             `json:"warnings,omitempty"`
}

// Describe returns the certificates, and in what state they are at a time.
func (a Authority) Describe(now time.Time) AuthoritySummary {
	s := AuthoritySummary{Roots: []CertificateSummary{}, Intermediates: []CertificateSummary{}}
	var states []State
	for _, c := range a.Roots {
		s.Roots = append(s.Roots, Summarise(c, now))
		states = append(states, s.Roots[len(s.Roots)-1].State)
	}
	for _, c := range a.Intermediates {
		i := Summarise(c, now)
		s.Intermediates = append(s.Intermediates, i)
		if i.State != StateValid {
			s.Warnings = append(s.Warnings, "the intermediate "+i.Subject+" is "+string(i.State))
		}
	}
	if s.State = together(states); s.State != StateValid {
		s.Warnings = append(s.Warnings, "no root is valid: no new signature will be accepted")
	}
	return s
}
