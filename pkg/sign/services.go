package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"

	"github.com/modseal/modseal/pkg/trust"
)

// ErrConfig is wrapped when a signing configuration has not what a signer needs.
var ErrConfig = errors.New("signing configuration")

// rekorV2 is the version of the logs that know hashes and give no time.
const rekorV2 = 2

// ServiceOptions say who sees signatures. Config is needed.
type ServiceOptions struct {
	// Config names the services. Its selectors decide how many transparency logs
	// and timestamp authorities each signature goes to; with none of a kind it goes
	// to none.
	Config *root.SigningConfig
	// Root verifies what the services answer, before a bundle is handed out. Nil
	// means that they are believed.
	Root *trust.Root
	// UserAgent is sent to the services; empty means that of Go.
	UserAgent string
	// Transport reaches them; nil means directly, without the proxies of the
	// environment.
	Transport http.RoundTripper
	// Now is the clock; nil means that of the system.
	Now func() time.Time

	backoff func(attempt int) time.Duration // nil: exponential
}

// services are those that a signer has chosen.
type services struct {
	o            ServiceOptions
	logs, stamps []root.Service
}

// WithServices returns s with its signatures seen by the transparency logs and the
// timestamp authorities that o.Config selects. The error wraps [ErrConfig] when the
// configuration has services of a kind, and none that is valid now and understood.
func (s *Signer) WithServices(o ServiceOptions) (*Signer, error) {
	if s.key == nil {
		return nil, fmt.Errorf("%w: a keyless signer has its services already", ErrConfig)
	}
	chosen, err := choose(o, logVersions(s.key.public))
	if err != nil {
		return nil, fmt.Errorf("%s (%s): %w", s.key.public.Name, s.key.public.Describe(), err)
	}
	out := *s
	out.services = chosen
	return &out, nil
}

// logVersions returns the versions of transparency logs that take signatures of k.
// Version 2 takes hashes, and with Ed25519 DSSE signs the message itself. Version 1
// verifies EC with SHA-256 whatever the curve (entries of kind dsse, Rekor v1.5.3).
func logVersions(k trust.Key) []uint32 {
	switch k.Hash() {
	case 0:
		return []uint32{1}
	case crypto.SHA256:
		return sign.RekorAPIVersions
	}
	return []uint32{rekorV2}
}

func choose(o ServiceOptions, logVersions []uint32) (*services, error) {
	if o.Config == nil {
		return nil, fmt.Errorf("%w: none was given", ErrConfig)
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{}
	}
	s := &services{o: o}
	var err error
	if all := o.Config.RekorLogURLs(); len(all) > 0 {
		if s.logs, err = root.SelectServices(all, o.Config.RekorLogURLsConfig(), logVersions, s.now()); err != nil {
			return nil, fmt.Errorf("%w: %ss that take this kind of key: %w", ErrConfig, serviceLog, err)
		}
	}
	if all := o.Config.TimestampAuthorityURLs(); len(all) > 0 {
		if s.stamps, err = root.SelectServices(all, o.Config.TimestampAuthorityURLsConfig(), sign.TimestampAuthorityAPIVersions, s.now()); err != nil {
			return nil, fmt.Errorf("%w: timestamp authorities: %w", ErrConfig, err)
		}
	}
	return s, nil
}

func (s *services) now() time.Time {
	if s.o.Now != nil {
		return s.o.Now()
	}
	return time.Now()
}

// timed reports whether a signature gets a time that others can verify.
func (s *services) timed() bool {
	for _, l := range s.logs {
		if l.MajorAPIVersion < rekorV2 {
			return true
		}
	}
	return len(s.stamps) > 0
}

// witness has timestamp authorities and logs see the signature in b, which c has
// made.
func (s *services) witness(ctx context.Context, b *protobundle.Bundle, signature []byte, c credential) error {
	if err := s.stamp(ctx, b, signature); err != nil {
		return err
	}
	// A client of logs that finds a chain would call its leaf a key (sigstore-go
	// v1.3.0): it is shown the leaf alone.
	shown := &protobundle.Bundle{MediaType: b.MediaType, Content: b.Content, VerificationMaterial: c.material(FormCosign)}
	for _, service := range s.logs {
		to := s.caller(ctx, serviceLog, service.URL)
		log, err := newLog(service, to)
		if err == nil {
			err = log.GetTransparencyLogEntry(ctx, c.pem(), shown)
		}
		if err != nil {
			return to.failed(ctx, err)
		}
	}
	b.VerificationMaterial.TlogEntries = shown.VerificationMaterial.TlogEntries
	return nil
}

func (s *services) stamp(ctx context.Context, b *protobundle.Bundle, signature []byte) error {
	for _, service := range s.stamps {
		c := s.caller(ctx, serviceTimestamp, service.URL)
		authority := sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{URL: service.URL, Timeout: noTimeout, Transport: c})
		token, err := authority.GetTimestamp(ctx, signature)
		if err != nil {
			return c.failed(ctx, err)
		}
		data := b.VerificationMaterial.TimestampVerificationData
		if data == nil {
			data = &protobundle.TimestampVerificationData{}
			b.VerificationMaterial.TimestampVerificationData = data
		}
		data.Rfc3161Timestamps = append(data.Rfc3161Timestamps, &protocommon.RFC3161SignedTimestamp{SignedTimestamp: token})
	}
	return nil
}

// certify asks the certificate authority at url to certify the key pair for whom
// token names.
func (s *services) certify(ctx context.Context, url string, pair sign.Keypair, token string) ([]byte, error) {
	c := s.caller(ctx, serviceAuthority, url)
	authority := sign.NewFulcio(&sign.FulcioOptions{BaseURL: strings.TrimSuffix(url, "/"), Timeout: noTimeout, Transport: c})
	der, err := authority.GetCertificate(ctx, pair, &sign.CertificateProviderOptions{IDToken: token})
	if err != nil {
		return nil, c.failed(ctx, err)
	}
	return der, nil
}
