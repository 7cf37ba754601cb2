package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/trust"
)

// ErrNoOMSKey is returned when an OMS statement is to be signed with a key that
// OMS does not have.
var ErrNoOMSKey = errors.New("OMS has EC keys only")

// Form says whose bundle is written: the forms differ in the hint that names the
// key.
type Form int

// The forms of a bundle.
const (
	FormCosign Form = iota // base64 of the SHA-256 of the key, as cosign and sigstore-go write it
	FormOMS                // hexadecimal SHA-256 of the key's PEM text, as OMS wants it
)

// Signer is a private key that makes bundles. It is safe for concurrent use.
type Signer struct {
	private crypto.Signer
	public  trust.Key
}

// Public returns the key that verifies what s signs.
func (s *Signer) Public() trust.Key { return s.public }

// CanOMS reports whether the key is of a kind that OMS has: EC. Ed25519
// signatures verify as cosign's only.
func (s *Signer) CanOMS() bool {
	_, ok := s.private.(*ecdsa.PrivateKey)
	return ok
}

// Sign signs payload, an in-toto statement, and returns the bundle as compact
// JSON. The payload is signed as it is, never re-encoded.
func (s *Signer) Sign(ctx context.Context, payload []byte, form Form) ([]byte, error) {
	if form == FormOMS && !s.CanOMS() {
		return nil, fmt.Errorf("%s: %w, and this is %s", s.public.Name, ErrNoOMSKey, s.public.Describe())
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	content := &sign.DSSEData{Data: payload, PayloadType: artifacttypes.PayloadTypeInToto}
	b, err := sign.Bundle(content, &keypair{s, form}, sign.BundleOptions{Context: ctx})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.public.Name, err)
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

// keypair is a Signer in the shape that sigstore-go signs with.
type keypair struct {
	*Signer
	form Form
}

func (k *keypair) GetHint() []byte {
	if k.form == FormOMS {
		return []byte(k.public.OMSHint())
	}
	return []byte(k.public.CosignHint())
}

func (k *keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	switch k.public.Hash() {
	case crypto.SHA256:
		return protocommon.HashAlgorithm_SHA2_256
	case crypto.SHA384:
		return protocommon.HashAlgorithm_SHA2_384
	case crypto.SHA512:
		return protocommon.HashAlgorithm_SHA2_512
	}
	return protocommon.HashAlgorithm_HASH_ALGORITHM_UNSPECIFIED
}

func (k *keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	switch k.public.Hash() {
	case crypto.SHA256:
		return protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256
	case crypto.SHA384:
		return protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384
	case crypto.SHA512:
		return protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512
	}
	return protocommon.PublicKeyDetails_PKIX_ED25519
}

func (k *keypair) GetKeyAlgorithm() string {
	if k.CanOMS() {
		return "ECDSA"
	}
	return "ED25519"
}

func (k *keypair) GetPublicKey() crypto.PublicKey { return k.public.Public }

func (k *keypair) GetPublicKeyPem() (string, error) { return string(k.public.PEM()), nil }

// SignData signs data and returns the signature and what was signed: the digest,
// or with Ed25519 data itself.
func (k *keypair) SignData(_ context.Context, data []byte) (signature, signed []byte, err error) {
	hash := k.public.Hash()
	signed = data
	if hash != 0 {
		h := hash.New()
		h.Write(data)
		signed = h.Sum(nil)
	}
	signature, err = k.private.Sign(rand.Reader, signed, hash)
	return signature, signed, err
}
