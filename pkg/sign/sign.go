package sign

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/trust"
)

// ErrNoOMSKey is returned when an OMS statement is to be signed by what OMS does
// not have: a key that is not EC, or a keyless signature that no log has seen.
var ErrNoOMSKey = errors.New("OMS does not have such signatures")

// Form says whose bundle is written. The forms differ in the hint that names a
// key, and in what they carry of a certificate chain: see [Signer.WithCertificate].
type Form int

// The forms of a bundle.
const (
	FormCosign Form = iota // as cosign and sigstore-go write it; the hint is the base64 of the SHA-256 of the key
	FormOMS                // as OMS wants it; the hint is the hexadecimal SHA-256 of the key's PEM text
)

// Signer makes bundles. It is safe for concurrent use.
type Signer struct {
	key      *key                // nil for keyless
	chain    []*x509.Certificate // of the certificate method, leaf first, without the root
	keyless  *keyless
	services *services // nil: nobody but the signer sees a signature
}

// credential is what one signature is made with.
type credential struct {
	key   *key
	chain []*x509.Certificate // leaf first; empty: the key alone
	leaf  bool                // the chain goes into the bundle as a leaf in either form
}

// Public returns the key that verifies what s signs. A keyless signer has a new
// key with each certificate: it returns the zero Key.
func (s *Signer) Public() trust.Key {
	if s.key == nil {
		return trust.Key{}
	}
	return s.key.public
}

// CanOMS reports whether OMS has signatures of this kind: EC keys, and keyless
// signatures in a transparency log. Others verify as cosign's only; [Signer.Sign]
// says why.
func (s *Signer) CanOMS() bool { return s.checkOMS() == nil }

func (s *Signer) checkOMS() error {
	if s.keyless != nil {
		if len(s.services.logs) == 0 {
			return fmt.Errorf("%w: a keyless one must be in a transparency log, and the signing configuration names none", ErrNoOMSKey)
		}
		return nil
	}
	if _, ok := s.key.public.Public.(*ecdsa.PublicKey); !ok {
		return fmt.Errorf("%s: %w: the specification knows EC keys, and this is %s", s.key.public.Name, ErrNoOMSKey, s.key.public.Describe())
	}
	return nil
}

// Sign signs payload, an in-toto statement, and returns the bundle as compact
// JSON. The payload is signed as it is, never re-encoded. Errors of services are a
// [ServiceError] or a [SelfCheckError].
func (s *Signer) Sign(ctx context.Context, payload []byte, form Form) ([]byte, error) {
	if form == FormOMS {
		if err := s.checkOMS(); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	b, err := s.bundle(ctx, payload, form)
	var conflict *ServiceError
	if errors.As(err, &conflict) && conflict.Status == http.StatusConflict {
		// The log has this very signature and cannot show where: an answer was
		// lost on its way. Another signature on the same payload is another entry.
		b, err = s.bundle(ctx, payload, form)
	}
	if err != nil {
		return nil, err
	}
	text, err := protojson.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	// protojson puts spaces at random, so that nobody relies on its bytes.
	var compact bytes.Buffer
	if err := json.Compact(&compact, text); err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	return compact.Bytes(), nil
}

// bundle is what sign.Bundle of sigstore-go does, in its order, with an error for
// each service that says which it was, and with one certificate for many bundles.
func (s *Signer) bundle(ctx context.Context, payload []byte, form Form) (*protobundle.Bundle, error) {
	c, err := s.credential(ctx)
	if err != nil {
		return nil, err
	}
	content := &sign.DSSEData{Data: payload, PayloadType: artifacttypes.PayloadTypeInToto}
	sig, err := c.key.signMessage(ctx, content.PreAuthEncoding())
	if err != nil {
		return nil, err
	}
	b := &protobundle.Bundle{MediaType: artifacttypes.MediaTypeBundle, VerificationMaterial: c.material(form)}
	content.Bundle(b, sig, nil, protocommon.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED)
	if s.services == nil {
		return b, nil
	}
	if err := s.services.witness(ctx, b, sig, c); err != nil {
		return nil, err
	}
	if err := s.services.check(b, c, s.Identity()); err != nil {
		return nil, err
	}
	return b, nil
}

func (s *Signer) credential(ctx context.Context) (credential, error) {
	if s.keyless != nil {
		return s.keyless.credential(ctx)
	}
	if len(s.chain) > 0 {
		if err := checkValidity(s.chain, s.now()); err != nil {
			return credential{}, fmt.Errorf("%s: %w", s.key.public.Name, err)
		}
	}
	return credential{key: s.key, chain: s.chain}, nil
}

func (s *Signer) now() time.Time {
	if s.services != nil {
		return s.services.now()
	}
	return time.Now()
}

// material returns what the bundle says of who signed.
func (c credential) material(form Form) *protobundle.VerificationMaterial {
	if len(c.chain) == 0 {
		hint := c.key.public.CosignHint()
		if form == FormOMS {
			hint = c.key.public.OMSHint()
		}
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_PublicKey{
			PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint},
		}}
	}
	if form == FormOMS && !c.leaf {
		chain := &protocommon.X509CertificateChain{}
		for _, cert := range c.chain {
			chain.Certificates = append(chain.Certificates, &protocommon.X509Certificate{RawBytes: cert.Raw})
		}
		return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_X509CertificateChain{X509CertificateChain: chain}}
	}
	return &protobundle.VerificationMaterial{Content: &protobundle.VerificationMaterial_Certificate{
		Certificate: &protocommon.X509Certificate{RawBytes: c.chain[0].Raw},
	}}
}

// pem returns what a transparency log is told of who signed.
func (c credential) pem() []byte {
	if len(c.chain) == 0 {
		return c.key.public.PEM()
	}
	return certificatePEM(c.chain[0])
}
