package sign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/sigstore/sigstore/pkg/cryptoutils"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// Errors of [Load].
var (
	// ErrPassword is wrapped when a key is encrypted and the password is
	// missing or wrong.
	ErrPassword = errors.New("password of the key")
	// ErrKey is wrapped when something is no private key that modseal signs
	// with.
	ErrKey = errors.New("unusable private key")
)

// cosign renamed its PEM type when the key format moved to sigstore; both hold
// the same.
const encryptedCosignPEMType = "ENCRYPTED COSIGN PRIVATE KEY"

// Load reads a private key from PEM: PKCS #8 "PRIVATE KEY", SEC 1
// "EC PRIVATE KEY", or encrypted "ENCRYPTED SIGSTORE PRIVATE KEY" and
// "ENCRYPTED COSIGN PRIVATE KEY". Only for the encrypted ones password is
// called; nil, or a nil password, means that there is none. An empty password is
// one. EC on P-256, P-384 and P-521 and Ed25519 are taken; RSA only verifies.
func Load(name string, data []byte, password func() ([]byte, error)) (*Signer, error) {
	if len(data) > limits.KeyBytes {
		return nil, fmt.Errorf("%s: %w: %d bytes, more than %d", name, ErrKey, len(data), limits.KeyBytes)
	}
	block, err := findKey(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrKey, err)
	}
	var private crypto.PrivateKey
	if encrypted(block) {
		private, err = decrypt(block, password)
	} else if private, err = cryptoutils.UnmarshalPEMToPrivateKey(pem.EncodeToMemory(block), nil); err != nil {
		err = fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return newSigner(name, private)
}

// findKey returns the private key among the PEM blocks of data. openssl writes
// the parameters of the curve as a block of their own before it.
func findKey(data []byte) (*pem.Block, error) {
	var found *pem.Block
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch block.Type {
		case "EC PARAMETERS":
			continue
		case string(cryptoutils.PrivateKeyPEMType), string(cryptoutils.ECPrivateKeyPEMType),
			string(cryptoutils.EncryptedSigstorePrivateKeyPEMType), encryptedCosignPEMType:
		case string(cryptoutils.PublicKeyPEMType):
			return nil, errors.New("it is a public key; signing needs the private one")
		case string(cryptoutils.PKCS1PrivateKeyPEMType):
			return nil, errRSA
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("keys encrypted by openssl are not read; decrypt it with openssl pkcs8, or make a key with modseal keygen")
		case "OPENSSH PRIVATE KEY":
			return nil, errors.New("it is an SSH key; make a key with modseal keygen")
		default:
			return nil, fmt.Errorf("PEM block %q is no private key", block.Type)
		}
		if len(block.Headers) != 0 {
			return nil, errors.New("keys encrypted in the PEM headers are not read; decrypt it with openssl pkcs8, or make a key with modseal keygen")
		}
		if found != nil {
			return nil, errors.New("it holds more than one private key")
		}
		found = block
	}
	if found == nil {
		return nil, errors.New("no PEM block with a private key in it")
	}
	return found, nil
}

var errRSA = errors.New("RSA keys are not used for signing, since no OMS verifier takes them; make an EC key with modseal keygen")

func encrypted(block *pem.Block) bool {
	return block.Type == string(cryptoutils.EncryptedSigstorePrivateKeyPEMType) || block.Type == encryptedCosignPEMType
}

func decrypt(block *pem.Block, password func() ([]byte, error)) (crypto.PrivateKey, error) {
	// Looked at before, so that a damaged file is not called a wrong password.
	var envelope struct {
		Ciphertext []byte `json:"ciphertext"`
	}
	if err := json.Unmarshal(block.Bytes, &envelope); err != nil || len(envelope.Ciphertext) == 0 {
		return nil, fmt.Errorf("%w: the encrypted key is damaged", ErrKey)
	}
	if password == nil {
		return nil, fmt.Errorf("%w: the key is encrypted and no password was given", ErrPassword)
	}
	pass, err := password()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassword, err)
	}
	if pass == nil {
		return nil, fmt.Errorf("%w: the key is encrypted and no password was given", ErrPassword)
	}
	private, err := cryptoutils.UnmarshalPEMToPrivateKey(pem.EncodeToMemory(block), cryptoutils.StaticPasswordFunc(pass))
	if err != nil {
		return nil, fmt.Errorf("%w: it does not open the key: %w", ErrPassword, err)
	}
	return private, nil
}

func newSigner(name string, private crypto.PrivateKey) (*Signer, error) {
	var signer crypto.Signer
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		signer = key
	case ed25519.PrivateKey:
		signer = key
	case *rsa.PrivateKey:
		return nil, fmt.Errorf("%s: %w: %w", name, ErrKey, errRSA)
	default:
		return nil, fmt.Errorf("%s: %w: keys of type %T are not used for signing", name, ErrKey, private)
	}
	return fromLocal(name, signer)
}

// Curve is the curve of a key that [GenerateKeyPair] makes.
type Curve string

// The curves that OMS has. The zero Curve is P256, the one that every verifier
// takes without being told.
const (
	P256 Curve = "p256"
	P384 Curve = "p384"
	P521 Curve = "p521"
)

// Curves lists the curves in the order in which people expect them.
func Curves() []Curve { return []Curve{P256, P384, P521} }

// GenerateKeyPair makes a key pair on curve and returns it as PEM. With a
// password, also an empty one, the private key is encrypted as cosign does it;
// with a nil password it is plain PKCS #8.
func GenerateKeyPair(curve Curve, password []byte) (private, public []byte, err error) {
	var c elliptic.Curve
	switch curve {
	case P256, "":
		c = elliptic.P256()
	case P384:
		c = elliptic.P384()
	case P521:
		c = elliptic.P521()
	default:
		return nil, nil, fmt.Errorf("curve %q is unknown; there are %v", curve, Curves())
	}
	return cryptoutils.GeneratePEMEncodedECDSAKeyPair(c, cryptoutils.StaticPasswordFunc(password))
}
