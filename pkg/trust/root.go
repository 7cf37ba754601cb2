package trust

import (
	"errors"
	"fmt"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalidRoot is wrapped when something is no trusted root.
var ErrInvalidRoot = errors.New("invalid trusted root")

// Root is the trusted root of a Sigstore instance: the keys of its certificate
// authorities, transparency logs and timestamp authorities, each with the time in
// which it is valid.
type Root struct {
	Name    string    // in the policy or on the command line
	Source  string    // the file or the TUF repository that it comes from
	Fetched time.Time // from its source of truth; zero when nobody noted it

	material *root.TrustedRoot
}

// ParseRoot reads a trusted root as JSON
// (https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_trustroot.proto).
func ParseRoot(name string, data []byte) (*Root, error) {
	if len(data) > limits.TrustedRootBytes {
		return nil, fmt.Errorf("%s: %w: %d bytes, more than %d", name, ErrInvalidRoot, len(data), limits.TrustedRootBytes)
	}
	material, err := root.NewTrustedRootFromJSON(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrInvalidRoot, err)
	}
	return &Root{Name: name, material: material}, nil
}

// Material returns the root as sigstore-go takes it.
func (r *Root) Material() *root.TrustedRoot { return r.material }
