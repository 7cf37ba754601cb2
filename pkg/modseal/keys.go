package modseal

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

// ErrNoKeyStore is returned for a key reference by a Client whose Options name
// no KeyStore.
var ErrNoKeyStore = errors.New("key references are not known here; a key file is needed")

// publicKey loads the key of a signer: a PEM block, a file, or what a reference
// leads to.
func (c *Client) publicKey(ctx context.Context, name, key, policyFile string, offline bool) (trust.Key, error) {
	switch {
	case policy.Inline(key):
		return trust.ParseKey(name, []byte(key))
	case strings.HasPrefix(key, TrustPrefix):
		k, err := c.trustStore().Key(strings.TrimPrefix(key, TrustPrefix))
		k.Name = name
		return k, missing(err, "public key "+key, "modseal trust add key NAME FILE, or modseal trust import FILE")
	case !sign.IsReference(key):
		return readKey(name, besidePolicy(key, policyFile))
	case c.o.Keys == nil:
		return trust.Key{}, fmt.Errorf("%s: %w", sign.Redact(key), ErrNoKeyStore)
	case offline && !local(key):
		return trust.Key{}, undecided(fmt.Sprintf("signer %q: %s asks a service, and --offline asks nobody", name, sign.Redact(key)),
			"store its public key in a file while there is a network (modseal trust export carries it), and name that")
	}
	k, err := c.o.Keys.PublicKey(ctx, key)
	k.Name = name
	return k, err
}

// local reports whether a reference leads to nobody beyond this machine.
func local(reference string) bool {
	return strings.HasPrefix(reference, "env://") || strings.HasPrefix(reference, "pkcs11:")
}

func readKey(name, file string) (trust.Key, error) {
	pem, err := readSmall(file, limits.KeyBytes)
	if err != nil {
		return trust.Key{}, fmt.Errorf("public key: %w", err)
	}
	return trust.ParseKey(name, pem)
}
