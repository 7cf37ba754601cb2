package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/policy"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

// DirectorySignature is what a detached OMS bundle says about how to read the
// model before it is compared. It is not trusted yet: reading too much or too
// little because of it makes [Directory] refuse.
type DirectorySignature struct {
	Name        string // of the model, informative
	Files       int    // signed files; with [statement.MethodShards] signed ranges
	SingleFile  bool   // it is of a model that is one file, not a directory
	Method      string // [statement.MethodFiles] or [statement.MethodShards]
	HashType    string // always [statement.HashSHA256]
	ShardSize   int64  // with [statement.MethodShards]; see [statement.Shards]
	IgnorePaths []string
}

// Ignored reports whether the file at the relative path p plays no part. The
// file of the signature itself must be left out by the caller.
func (d *DirectorySignature) Ignored(p string) bool { return statement.Ignored(p, d.IgnorePaths) }

// DirectoryOptions change how [Directory] compares. The zero value demands that
// model and statement have the same files.
type DirectoryOptions struct {
	// IgnoreUnsigned accepts files that the statement does not list. Those that
	// it lists must still all be there and be right.
	IgnoreUnsigned bool
}

// ParseDirectorySignature reads a detached OMS bundle, as OMS signers from 0.3.1
// on write it. name is its file, for messages. A bundle that cannot be used is a
// [*Refusal]; one with a hash type that modseal does not compute is
// [*Undecided].
func ParseDirectorySignature(name string, bundle []byte) (*DirectorySignature, error) {
	_, o, err := parseOMSBundle(name, bundle)
	if err != nil {
		return nil, err
	}
	return &DirectorySignature{
		Name:        o.SubjectName,
		Files:       len(o.Resources),
		SingleFile:  o.IsSingleFile(),
		Method:      o.Method,
		HashType:    o.HashType,
		ShardSize:   o.ShardSize,
		IgnorePaths: o.IgnorePaths,
	}, nil
}

func parseOMSBundle(name string, bundle []byte) (*signedStatement, *statement.OMS, error) {
	refuse := func(found string) error {
		return &Refusal{Subject: name, Reasons: []Reason{{
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
	header, err := statement.ParseHeader(s.payload)
	if err != nil {
		return nil, nil, refuse("an " + errorText(err))
	}
	if !statement.IsOMS(header.PredicateType) {
		return nil, nil, refuse(fmt.Sprintf("a statement with predicateType %q", shorten(header.PredicateType)))
	}
	o, err := statement.ParseOMS(s.payload)
	if err != nil {
		return nil, nil, refuse("an " + errorText(err))
	}
	if o.HashType != statement.HashSHA256 {
		return nil, nil, &Undecided{
			Subject: name,
			Why:     fmt.Sprintf("its hash type %s is unknown to this version of modseal", o.HashType),
			Next:    "verify it with model_signing, or ask for a signature by sha256",
		}
	}
	return s, o, nil
}

// Directory decides whether a model on disk is the one that bundle signs, with
// one of keys. name is what messages call the model.
//
// files are all regular files of the model but the signature file, with their
// SHA-256; with [statement.MethodShards] all their ranges. Files that
// [DirectorySignature.Ignored] names may be left out. For a model that is one
// file, singleFile is true and files has the one under its base name.
//
// A *Refusal names the first path that differs, and all of them in its details.
func Directory(ctx context.Context, name string, bundle []byte, files []statement.Resource, singleFile bool, keys []trust.Key, opts DirectoryOptions) (*Report, error) {
	if len(keys) == 0 {
		return nil, &Undecided{Subject: name, Why: "there is no key to verify it with", Next: "name the signer's public key with --key FILE"}
	}
	s, o, err := parseOMSBundle(name, bundle)
	if err != nil {
		return nil, err
	}
	check := Check{Requirement: "OMS signature by " + keyNames(keys), PredicateType: artifacttypes.PredicateOMS}
	refuse := func(found string, each []string, next string) error {
		check.Outcome, check.Detail = Failed, found
		return &Refusal{Subject: name, Policy: keyFlags(keys), Checks: []Check{check}, Reasons: []Reason{{
			Requirement: check.Requirement,
			LookedFor:   fmt.Sprintf("a signature by %s over the files of %s", describeKeys(keys), name),
			Found:       found,
			Details:     details(each),
			Next:        next,
		}}}
	}
	x, signers := ofKeys(keys)
	match, no, err := x.signedBy(ctx, s, signers, policy.Witness{})
	if err != nil {
		return nil, err
	}
	if no != nil {
		next := "if another key is the right one, name it with --key FILE"
		switch no.cause {
		case causeWrong:
			next = "the signature file was changed: fetch it again from where it came"
		case causeCertificate:
			next = "modseal verifies by keys and not by certificates: ask for a signature by a key, or verify it with model_signing"
		}
		return nil, refuse("a bundle that is "+no.why, nil, next)
	}
	check.Signer, check.Fingerprint = match.signer.Name, match.fingerprint
	c, err := compare(o, files, singleFile)
	if err != nil {
		return nil, err
	}
	next := "fetch the model again from where it came, or ask its signer which files belong to it"
	if !opts.IgnoreUnsigned && len(c.unsigned) > 0 {
		const accept = "remove the files that are not signed, or accept them with --ignore-unsigned-files"
		if len(c.wrong) == 0 {
			next = accept
		} else {
			next += "; " + accept
		}
		for _, f := range c.unsigned {
			c.wrong = append(c.wrong, fmt.Sprintf("%q not signed (sha256:%s)", f.Name, f.Digest))
		}
	}
	if len(c.wrong) > 0 {
		return nil, refuse(firstOf(c.wrong), c.wrong, next)
	}
	check.Outcome, check.PredicateType = Passed, o.PredicateType
	check.Detail = fmt.Sprintf("%s, root digest %s", plural(len(o.Resources), "resource"), shortDigest(digest.NewDigestFromEncoded(digest.SHA256, o.Root)))
	return &Report{
		Subject:  name,
		Decision: Accepted,
		Policy:   keyFlags(keys),
		Checks:   []Check{check},
		Warnings: warnings(o, c.unsigned),
	}, nil
}

// comparison is how the files of a directory differ from the signed ones.
type comparison struct {
	wrong    []string
	unsigned []statement.Resource
}

func compare(o *statement.OMS, files []statement.Resource, singleFile bool) (comparison, error) {
	var c comparison
	found := make(map[string]string, len(files))
	for _, f := range files {
		if _, twice := found[f.Name]; twice {
			return c, fmt.Errorf("%q was read twice", f.Name)
		}
		found[f.Name] = f.Digest
	}
	if singleFile && len(files) == 0 {
		return c, errors.New("a model of one file without a file")
	}
	if o.IsSingleFile() && !singleFile {
		c.wrong = append(c.wrong, "a signature of a single file, not of a directory: name the file")
		return c, nil
	}
	base := ""
	if singleFile {
		base = o.File(files[0])
	}
	for _, r := range o.Resources {
		n := r.Name
		if file := o.File(r); singleFile && file == statement.SingleFile {
			n = base + n[len(file):]
		}
		got, there := found[n]
		delete(found, n)
		switch {
		case !there:
			c.wrong = append(c.wrong, fmt.Sprintf("%q missing, signed as sha256:%s", n, r.Digest))
		case got != r.Digest:
			c.wrong = append(c.wrong, fmt.Sprintf("%q changed: signed as sha256:%s and is sha256:%s", n, r.Digest, got))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(found)) {
		if !statement.Ignored(o.File(statement.Resource{Name: n}), o.IgnorePaths) {
			c.unsigned = append(c.unsigned, statement.Resource{Name: n, Digest: found[n]})
		}
	}
	return c, nil
}

func warnings(o *statement.OMS, unsigned []statement.Resource) []string {
	var out []string
	defaults := statement.DefaultIgnorePaths()
	var ignored []string
	for _, p := range o.IgnorePaths {
		if !slices.Contains(defaults, p) {
			ignored = append(ignored, fmt.Sprintf("%q", shorten(p)))
		}
	}
	if len(ignored) > 0 {
		out = append(out, "the signer left out "+listing(ignored))
	}
	if len(unsigned) > 0 {
		var files []string
		for _, f := range unsigned {
			files = append(files, fmt.Sprintf("%q (sha256:%s)", f.Name, f.Digest))
		}
		out = append(out, plural(len(unsigned), "unsigned file")+": "+listing(files))
	}
	if o.AllowSymlinks {
		out = append(out, "the signer followed symbolic links")
	}
	return out
}

// ofKeys returns keys as signers.
func ofKeys(keys []trust.Key) (*matcher, []policy.Signer) {
	t := Trust{Keys: map[string]trust.Key{}}
	var signers []policy.Signer
	for _, k := range keys {
		t.Keys[k.Name] = k
		signers = append(signers, policy.Signer{Name: k.Name, Key: k.Name})
	}
	return newMatcher(Ruling{Trust: t}), signers
}

func keyNames(keys []trust.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, k.Name)
	}
	return listing(out)
}

func describeKeys(keys []trust.Key) string {
	var out []string
	for _, k := range keys {
		out = append(out, fmt.Sprintf("%s (%s, %s)", k.Name, k.Describe(), k.Short()))
	}
	return listing(out)
}

func keyFlags(keys []trust.Key) string {
	out := ""
	for i, k := range keys {
		if i > 0 {
			out += " "
		}
		out += "--key " + k.Name
	}
	return out
}
