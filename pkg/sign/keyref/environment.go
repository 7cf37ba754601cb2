package keyref

import (
	"context"
	"fmt"
	"strings"

	"github.com/modseal/modseal/pkg/sign"
	"github.com/modseal/modseal/pkg/trust"
)

// environment has PEM texts in variables.
type environment struct{ o Options }

func (e environment) read(reference string) ([]byte, error) {
	name := strings.TrimPrefix(reference, "env://")
	if name == reference || name == "" || strings.ContainsAny(name, "=/") {
		return nil, fmt.Errorf("%q is no name of a variable", strings.TrimPrefix(reference, "env:"))
	}
	text, ok := e.o.Getenv(name)
	if !ok {
		return nil, fmt.Errorf("the variable %s is not set", name)
	}
	return []byte(text), nil
}

func (e environment) signer(_ context.Context, reference string, password func() ([]byte, error)) (*sign.Signer, error) {
	text, err := e.read(reference)
	if err != nil {
		return nil, err
	}
	return sign.Load(reference, text, password)
}

func (e environment) publicKey(_ context.Context, reference string) (trust.Key, error) {
	text, err := e.read(reference)
	if err != nil {
		return trust.Key{}, err
	}
	return trust.ParseKey(reference, text)
}

func (environment) next() string {
	return "give env:// and the name of a variable that holds the PEM text"
}
