package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"

	"github.com/modseal/modseal/pkg/trust"
)

// key is a private key that is reached by a function.
type key struct {
	public trust.Key
	do     func(ctx context.Context, message []byte) ([]byte, error)
}

// FromSigner returns a Signer of a private key that is kept elsewhere. do returns
// the signature on message: for EC keys in ASN.1 over the hash of their curve, for
// Ed25519 over the message itself, for RSA PKCS #1 v1.5 over SHA-256, as
// [trust.Key.Hash] says. Each signature is verified with public, so that a service
// that signs otherwise is found out here and not by those who verify. name is what
// messages and results call it; of a key reference the secrets are taken out.
func FromSigner(name string, public crypto.PublicKey, do func(ctx context.Context, message []byte) ([]byte, error)) (*Signer, error) {
	k, err := trust.NewKey(Redact(name), public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &Signer{key: &key{public: k, do: do}}, nil
}

// fromLocal returns the Signer of a key in memory.
func fromLocal(name string, private crypto.Signer) (*Signer, error) {
	s, err := FromSigner(name, private.Public(), nil)
	if err != nil {
		return nil, err
	}
	hash := s.key.public.Hash()
	s.key.do = func(_ context.Context, message []byte) ([]byte, error) {
		return private.Sign(rand.Reader, digest(hash, message), hash)
	}
	return s, nil
}

// digest returns what is signed: the hash of message, or with Ed25519, which has
// no hash, message itself.
func digest(hash crypto.Hash, message []byte) []byte {
	if hash == 0 {
		return message
	}
	h := hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// errWrongSignature tells what keys elsewhere get wrong: another key than the
// public one, another hash, RSA with PSS.
var errWrongSignature = errors.New("the signature that came back does not verify with the public key; is it of this key and version, and of an algorithm with the hash of its curve (RSA: PKCS #1 v1.5 with SHA-256)?")

func (k *key) signMessage(ctx context.Context, message []byte) ([]byte, error) {
	sig, err := k.do(ctx, message)
	if err == nil && !verifies(k.public, message, sig) {
		err = errWrongSignature
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("sign with %s: %w", k.public.Name, err)
	}
	return sig, nil
}

func verifies(k trust.Key, message, sig []byte) bool {
	hashed := digest(k.Hash(), message)
	switch public := k.Public.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, hashed, sig)
	case ed25519.PublicKey:
		return ed25519.Verify(public, message, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, k.Hash(), hashed, sig) == nil
	}
	return false
}
