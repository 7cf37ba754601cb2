package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/pkg/statement"
)

// DirectorySignature is what a detached OMS bundle says about how to read the
// model before it is compared. It is not trusted yet: reading too much or too
// little because of it makes [Directory] refuse.
type DirectorySignature struct {
	File       string // of the signature, for messages
	Model      string // name of the model, informative
	Files      int    // signed files; with [statement.MethodShards] signed ranges
	SingleFile bool   // it is of a model that is one file, not a directory
	Method     string // [statement.MethodFiles] or [statement.MethodShards]
	HashType   string // one of [statement.HashTypes]
	ShardSize  int64  // with [statement.MethodShards]; see [statement.Shards]
	// FollowLinks is set by [Directory], when it asks for the files: the signer has
	// followed symbolic links, and all rules allow it.
	FollowLinks bool
	IgnorePaths []string // that the signer has recorded
	// Relaxations say in what the bundle differs from what the specification has
	// written today.
	Relaxations []statement.Relaxation

	own    string // path of the signature in the model; "" when it lies elsewhere
	digest digest.Digest
	signed *signedStatement
	oms    *statement.OMS
}

// Ignored returns what plays no part in the model by the signature, and by what
// the caller of [Directory] ignores. The files of the signatures themselves are
// left out by the caller.
func (d *DirectorySignature) Ignored(o DirectoryOptions) statement.Subtrees {
	ignored := d.oms.Ignored()
	if o.GitPaths {
		ignored = statement.NewSubtrees(d.IgnorePaths...)
	}
	for p := range o.Ignored {
		ignored[p] = struct{}{}
	}
	return ignored
}

// DirectorySubject is a model on disk.
type DirectorySubject struct {
	Name   string
	Single bool // the model is one file
	// Resources returns all regular files of the model but the signatures, hashed
	// as s wants it; with [statement.MethodShards] all their ranges. Files that s
	// ignores may be left out. For a single model it is the file under its base
	// name. It is called for signatures by signers whom the rules name.
	Resources func(ctx context.Context, s *DirectorySignature) ([]statement.Resource, error)
}

// DirectoryOptions change how [Directory] compares. The zero value demands that
// model and statement have the same files.
type DirectoryOptions struct {
	// IgnoreUnsigned accepts files that the statement does not list, by rules from
	// the command line; policies say it themselves. Those that it lists must still
	// all be there and be right.
	IgnoreUnsigned bool
	// Strict refuses what the specification of today does not have.
	Strict bool
	// LegacyPredicate accepts the statements of model_signing 0.2, by rules from the
	// command line; policies say it themselves.
	LegacyPredicate bool
	// Ignored may be in the model without being signed, by rules from the command
	// line; those of policies must allow it.
	Ignored statement.Subtrees
	// GitPaths demands that what git keeps at the top is signed too, unless the
	// signer recorded it as left out.
	GitPaths bool
}

// ParseDirectorySignature reads a detached OMS bundle, as OMS signers from 0.2 on
// write it. file is its name for messages, own its path in the model when it lies
// there. A bundle that cannot be used is a [*Refusal].
func ParseDirectorySignature(file, own string, bundle []byte) (*DirectorySignature, error) {
	s, o, err := parseOMSBundle(file, bundle)
	if err != nil {
		return nil, err
	}
	relaxed := slices.Concat(s.relaxed, o.Relaxations)
	if keyIDIsNull(bundle) {
		relaxed = append(relaxed, statement.RelaxedKeyID)
	}
	return &DirectorySignature{
		File: file, Model: o.SubjectName, Files: len(o.Resources), SingleFile: o.IsSingleFile(),
		Method: o.Method, HashType: o.HashType, ShardSize: o.ShardSize, IgnorePaths: o.IgnorePaths,
		Relaxations: relaxed, own: own, digest: digest.FromBytes(bundle), signed: s, oms: o,
	}, nil
}

func parseOMSBundle(file string, bundle []byte) (*signedStatement, *statement.OMS, error) {
	refuse := func(found string) error {
		return &Refusal{Subject: file, Reasons: []Reason{{
			Requirement: "OMS signature",
			LookedFor:   "a Sigstore bundle of version 0.3 with an OMS statement",
			Found:       found,
			Next:        "check that this is the signature file of the model; model_signing calls it model.sig",
		}}}
	}
	s, err := parseBundle(bundle)
	if err != nil {
		return nil, nil, refuse("a bundle that is not usable: " + errorText(err))
	}
	var o *statement.OMS
	switch t := s.header.PredicateType; {
	case statement.IsOMS(t):
		o, err = statement.ParseOMS(s.payload)
	case t == statement.PredicateOMSLegacy:
		o, err = statement.ParseOMSLegacy(s.payload)
	default:
		return nil, nil, refuse(fmt.Sprintf("a statement with predicateType %q", shorten(t)))
	}
	if err != nil {
		return nil, nil, refuse("an " + errorText(err))
	}
	return s, o, nil
}

// keyIDIsNull reports whether the key id of the signature is null, which only
// shows in the text of the bundle.
func keyIDIsNull(bundle []byte) bool {
	var doc struct {
		Envelope struct {
			Signatures []map[string]json.RawMessage `json:"signatures"`
		} `json:"dsseEnvelope"`
	}
	return json.Unmarshal(bundle, &doc) == nil && len(doc.Envelope.Signatures) == 1 && string(doc.Envelope.Signatures[0]["keyid"]) == "null"
}
