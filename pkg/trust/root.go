package trust

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	prototrustroot "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/pkg/internal/limits"
)

// ErrInvalidRoot is wrapped when something is no trusted root.
var ErrInvalidRoot = errors.New("invalid trusted root")

// Media types of a trusted root of version 0.1, in the newer spelling and in the
// one that everybody writes
// (https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_trustroot.proto).
// Version 0.2 names logs in another way, which sigstore-go 1.3.0 does not read.
const (
	rootMediaType    = "application/vnd.dev.sigstore.trustedroot.v0.1+json"
	rootMediaTypeOld = root.TrustedRootMediaType01
)

// Root is the trusted root of a Sigstore instance: the keys of its certificate
// authorities, transparency logs and timestamp authorities, each with the time in
// which it is valid. Make one with [ParseRoot], [LoadRoot], [Fetch] or
// [Store.Root].
type Root struct {
	Name    string    // in the policy or on the command line
	Source  string    // the file or the TUF repository that it comes from
	Fetched time.Time // from its source of truth; zero when nobody noted it

	material *root.TrustedRoot
	members  members
	data     []byte
}

// ParseRoot reads a trusted root as JSON
// (https://github.com/sigstore/protobuf-specs/blob/v0.5.1/protos/sigstore_trustroot.proto).
// It refuses with [ErrInvalidRoot] what verification could not use or would
// misuse: an empty root, windows that end before they begin, two logs with one
// key, keys of kinds that modseal does not verify with, and certificates that do
// not form the chain in whose order they are given.
func ParseRoot(name string, data []byte) (*Root, error) {
	r, err := parseRoot(name, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrInvalidRoot, err)
	}
	return r, nil
}

func parseRoot(name string, data []byte) (*Root, error) {
	if len(data) > limits.TrustedRootBytes {
		return nil, fmt.Errorf("%d bytes, more than %d", len(data), limits.TrustedRootBytes)
	}
	pb := &prototrustroot.TrustedRoot{}
	if err := protojson.Unmarshal(data, pb); err != nil {
		return nil, err
	}
	switch t := pb.GetMediaType(); t {
	case rootMediaType:
		pb.MediaType = rootMediaTypeOld // the one that sigstore-go knows; it means the same
	case rootMediaTypeOld:
	default:
		return nil, fmt.Errorf("media type %q is not %q", t, rootMediaTypeOld)
	}
	found, err := readMembers(pb)
	if err != nil {
		return nil, err
	}
	material, err := root.NewTrustedRootFromProtobuf(pb)
	if err != nil {
		return nil, err
	}
	return &Root{Name: name, material: material, members: found, data: slices.Clone(data)}, nil
}

// LoadRoot reads a trusted root from a file: a trusted_root.json, or what
// "modseal trust export" wrote with exactly one trusted root in it, which tells
// when it was fetched.
func LoadRoot(file string) (*Root, error) {
	item, err := loadItem(file, KindRoot)
	if err != nil {
		return nil, err
	}
	return item.root()
}

// Material returns the root as sigstore-go takes it. It must not be changed.
func (r *Root) Material() *root.TrustedRoot { return r.material }

// JSON returns the bytes that the root was read from.
func (r *Root) JSON() []byte { return slices.Clone(r.data) }

// Digest returns the SHA-256 of the bytes that the root was read from.
func (r *Root) Digest() digest.Digest { return digest.FromBytes(r.data) }

// Age returns how long ago the root was fetched. It reports false when nobody
// noted when, or that time lies in the future: then nothing is known.
func (r *Root) Age(now time.Time) (time.Duration, bool) { return age(r.Fetched, now) }

// State is valid as long as one thing in the root is.
func (r *Root) State(now time.Time) State { return r.Describe(now).State }
