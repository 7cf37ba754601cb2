package policy

import (
	"fmt"
	"slices"
	"strings"
)

// Version is the version of the document that this package reads.
const Version = 1

// DefaultReject is the only verdict there is without a matching scope.
const DefaultReject = "reject"

// Modes of a scope.
const (
	ModeEnforce = "enforce" // an unmet requirement refuses the model
	// ModeWarn uses the model all the same: the command exits with 0, and every
	// unmet requirement is a warning.
	ModeWarn = "warn"
)

// Any is the prefix that matches everything.
const Any = "*"

// Policy is a policy document.
type Policy struct {
	Name    string // the file, for messages
	Version int
	Default string
	Scopes  []Scope
}

// Scope says what is required of the subjects below a prefix.
type Scope struct {
	Prefix       string
	Mode         string
	Requirements []Requirement
	Line         int // in the document
}

// Requirement is one thing that must be true; exactly one field is set.
type Requirement struct {
	Signature *SignatureRequirement
	OMS       *OMSRequirement
}

// SignatureRequirement demands signatures on the manifest digest by at least
// Threshold different keys of Signers.
type SignatureRequirement struct {
	Signers   []Signer
	Threshold int
}

// OMSRequirement says what must hold of OMS statements. One that a trusted
// signer made is always checked; Required demands that there is one.
type OMSRequirement struct {
	Required bool
	Signers  []Signer // whose statements count; empty: the signers of the signature requirements
}

// Signer is a key by the name that messages use for it.
type Signer struct {
	Name string
	Key  string // path of a public key, relative to the policy, or a PEM block
}

// Inline reports whether Key is the key itself and not a path.
func (s Signer) Inline() bool { return strings.HasPrefix(strings.TrimSpace(s.Key), "-----BEGIN ") }

// Rules are the requirements that apply to one subject. The zero Rules accept
// nothing.
type Rules struct {
	Name         string // where they come from, for reports
	Scope        string // prefix of the scope; empty for rules from the command line
	Mode         string
	Requirements []Requirement
}

// FromKeys returns the rules of --key on the command line: a signature by any of
// the keys, and an OMS statement by one of them must match when there is one.
// Each name is at the same time the path of the key and the name of its signer.
func FromKeys(names []string) Rules {
	var signers []Signer
	var flags []string
	for _, n := range names {
		s := Signer{Name: n, Key: n}
		if !slices.Contains(signers, s) {
			signers = append(signers, s)
			flags = append(flags, "--key "+n)
		}
	}
	return Rules{
		Name:         strings.Join(flags, " "),
		Mode:         ModeEnforce,
		Requirements: []Requirement{{Signature: &SignatureRequirement{Signers: signers, Threshold: 1}}},
	}
}

// Signers returns every signer of the rules once, in their order. The caller
// loads the key of each.
func (r Rules) Signers() []Signer {
	var out []Signer
	for _, req := range r.Requirements {
		out = addSigners(out, req.signers())
	}
	return out
}

// OMS returns what the rules require of OMS statements, with the signers whose
// statements count filled in.
func (r Rules) OMS() OMSRequirement {
	var oms OMSRequirement
	var others []Signer
	for _, req := range r.Requirements {
		switch {
		case req.OMS != nil:
			oms.Required = oms.Required || req.OMS.Required
			oms.Signers = addSigners(oms.Signers, req.OMS.Signers)
		case req.Signature != nil:
			others = addSigners(others, req.Signature.Signers)
		}
	}
	if len(oms.Signers) == 0 {
		oms.Signers = others
	}
	return oms
}

func (req Requirement) signers() []Signer {
	switch {
	case req.Signature != nil:
		return req.Signature.Signers
	case req.OMS != nil:
		return req.OMS.Signers
	}
	return nil
}

func addSigners(to, from []Signer) []Signer {
	for _, s := range from {
		if !slices.Contains(to, s) {
			to = append(to, s)
		}
	}
	return to
}

// KeyFiles returns the paths of the keys that the document names, each once, in
// its order. They are relative to the document's directory unless absolute.
func (p *Policy) KeyFiles() []string {
	var files []string
	for _, scope := range p.Scopes {
		for _, req := range scope.Requirements {
			for _, s := range req.signers() {
				if !s.Inline() && !slices.Contains(files, s.Key) {
					files = append(files, s.Key)
				}
			}
		}
	}
	return files
}

// Error says what is wrong with a document, and where.
type Error struct {
	Name    string
	Line    int // 0 when it is about the whole document
	Message string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.Name, e.Message)
	}
	return fmt.Sprintf("%s:%d: %s", e.Name, e.Line, e.Message)
}
