package sign

import (
	"context"

	"github.com/modseal/modseal/pkg/trust"
)

// KeyStore is where keys are that no file holds: a KMS, a token, a secret of
// Kubernetes, the environment. Package keyref has one that knows them all.
type KeyStore interface {
	// Signer returns the private key that reference names, such as awskms://… .
	// password is asked for the password of an encrypted key; nil means that
	// there is nobody to ask.
	Signer(ctx context.Context, reference string, password func() ([]byte, error)) (*Signer, error)
	// PublicKey returns the public half of it.
	PublicKey(ctx context.Context, reference string) (trust.Key, error)
}
