package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalidKey is wrapped when something is no public key that modseal can
// verify with.
var ErrInvalidKey = errors.New("invalid public key")

// minRSABits is what NIST SP 800-57 has asked for since 2014.
const minRSABits = 2048

// shortFingerprint is how many hexadecimal digits of a fingerprint people are
// shown.
const shortFingerprint = 12

// Key is a public key and the name that the policy or the command line gives
// it. Make one with [NewKey] or [ParseKey].
type Key struct {
	Name   string
	Public crypto.PublicKey
}

// NewKey returns the key public under the name name when it is of a kind that
// modseal verifies with: EC on P-256, P-384 or P-521, Ed25519, RSA of at least
// 2048 bits.
func NewKey(name string, public crypto.PublicKey) (Key, error) {
	switch pub := public.(type) {
	case *ecdsa.PublicKey:
		if _, err := curveHash(pub.Curve); err != nil {
			return Key{}, fmt.Errorf("%s: %w", name, err)
		}
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return Key{}, fmt.Errorf("%s: %w: %d bytes for Ed25519", name, ErrInvalidKey, len(pub))
		}
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n < minRSABits {
			return Key{}, fmt.Errorf("%s: %w: RSA with %d bits; at least %d are needed", name, ErrInvalidKey, n, minRSABits)
		}
	default:
		return Key{}, fmt.Errorf("%s: %w: keys of type %T are not supported; use EC P-256, P-384, P-521, Ed25519 or RSA", name, ErrInvalidKey, public)
	}
	return Key{Name: name, Public: public}, nil
}

// ParseKey reads a public key from PEM. Text around the PEM block is tolerated,
// as openssl and certtool write it; more than one key, a private key and a
// certificate are refused.
func ParseKey(name string, data []byte) (Key, error) {
	if len(data) > limits.KeyBytes {
		return Key{}, fmt.Errorf("%s: %w: %d bytes, more than %d", name, ErrInvalidKey, len(data), limits.KeyBytes)
	}
	var public []byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if err := checkBlock(block); err != nil {
			return Key{}, fmt.Errorf("%s: %w: %w", name, ErrInvalidKey, err)
		}
		if public != nil {
			return Key{}, fmt.Errorf("%s: %w: it holds more than one key; give each its own file", name, ErrInvalidKey)
		}
		public = pem.EncodeToMemory(block)
	}
	if public == nil {
		return Key{}, fmt.Errorf("%s: %w: no PEM block %q in it", name, ErrInvalidKey, cryptoutils.PublicKeyPEMType)
	}
	pub, err := cryptoutils.UnmarshalPEMToPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w: %w", name, ErrInvalidKey, err)
	}
	return NewKey(name, pub)
}

func checkBlock(block *pem.Block) error {
	switch t := block.Type; {
	case t == string(cryptoutils.PublicKeyPEMType), t == string(cryptoutils.PKCS1PublicKeyPEMType):
		return nil
	case strings.Contains(t, "PRIVATE KEY"), t == "EC PARAMETERS":
		return errors.New("it is a private key; verifying needs the public one (openssl pkey -pubout, cosign.pub), and a private key should not lie around with verifiers")
	case strings.Contains(t, "CERTIFICATE"):
		return errors.New("it is a certificate, not a public key; a certificate says who vouches for a key and cannot be trusted as one (openssl x509 -pubkey -noout takes the key out)")
	default:
		return fmt.Errorf("PEM block %q is not a public key", t)
	}
}

// Hash returns the hash that the key signs with: for EC the one of the curve
// (P-256 SHA-256, P-384 SHA-384, P-521 SHA-512), for RSA SHA-256, and none for
// Ed25519, which takes the message itself. No other combination verifies.
func (k Key) Hash() crypto.Hash {
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		h, _ := curveHash(pub.Curve)
		return h
	case *rsa.PublicKey:
		return crypto.SHA256
	}
	return 0
}

func curveHash(curve elliptic.Curve) (crypto.Hash, error) {
	switch curve {
	case elliptic.P256():
		return crypto.SHA256, nil
	case elliptic.P384():
		return crypto.SHA384, nil
	case elliptic.P521():
		return crypto.SHA512, nil
	case nil:
		return 0, fmt.Errorf("%w: EC without a curve", ErrInvalidKey)
	}
	return 0, fmt.Errorf("%w: EC on %s is not supported; use P-256, P-384 or P-521", ErrInvalidKey, curve.Params().Name)
}

// Describe names the kind of key: "EC P-256", "Ed25519", "RSA 3072".
func (k Key) Describe() string {
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		return "EC " + pub.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", pub.N.BitLen())
	}
	return "unknown"
}

// Fingerprint identifies the key whatever it is called: the SHA-256 of its
// SubjectPublicKeyInfo. It is empty for the zero Key.
func (k Key) Fingerprint() digest.Digest {
	der := k.der()
	if der == nil {
		return ""
	}
	return digest.FromBytes(der)
}

// Short returns the beginning of the fingerprint, enough for people to tell
// keys apart.
func (k Key) Short() string {
	f := k.Fingerprint()
	if f == "" {
		return "sha256:none"
	}
	return "sha256:" + f.Encoded()[:shortFingerprint]
}

// PEM returns the key re-encoded, without the text that its file may hold.
func (k Key) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: string(cryptoutils.PublicKeyPEMType), Bytes: k.der()})
}

// OMSHint identifies the key in an OMS bundle: the hexadecimal SHA-256 of its
// re-encoded PEM text.
func (k Key) OMSHint() string {
	sum := sha256.Sum256(k.PEM())
	return hex.EncodeToString(sum[:])
}

// CosignHint identifies the key in a bundle of cosign and sigstore-go: the
// base64 of the SHA-256 of its SubjectPublicKeyInfo.
func (k Key) CosignHint() string {
	sum := sha256.Sum256(k.der())
	return base64.StdEncoding.EncodeToString(sum[:])
}

// FingerprintOfHint returns the fingerprint of the key that a hint in the form
// of cosign names. The hint is not signed: this is what a bundle claims. A hint
// in the form of OMS is a hash of other bytes, from which no fingerprint
// follows; then, and for every other text, it reports false.
func FingerprintOfHint(hint string) (digest.Digest, bool) {
	sum, err := base64.StdEncoding.Strict().DecodeString(hint)
	if err != nil || len(sum) != sha256.Size || strings.ContainsAny(hint, "\r\n") {
		return "", false
	}
	return digest.NewDigestFromBytes(digest.SHA256, sum), true
}

// MatchesHint reports whether hint is one that the key has in either form. A
// hint is not signed: it may choose among trusted keys and nothing else.
func (k Key) MatchesHint(hint string) bool {
	return hint != "" && (hint == k.OMSHint() || hint == k.CosignHint())
}

// Equal reports whether k and other are the same key, whatever their names.
func (k Key) Equal(other Key) bool {
	der := k.der()
	return der != nil && bytes.Equal(der, other.der())
}

func (k Key) der() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return nil
	}
	return der
}
