package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/modseal/modseal/pkg/internal/redact"
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
	Name         string // the file, for messages
	Title        string // what the document calls itself; empty when it does not
	Version      int
	Default      string
	TrustedRoots []TrustedRoot
	Remaps       []Remap
	Limits       Limits
	Scopes       []Scope
}

// TrustedRoot is where the keys of a Sigstore instance come from: certificate
// authorities, transparency logs and timestamp authorities. Exactly one of File
// and TUF is set.
type TrustedRoot struct {
	Name string
	File string // path of a trusted_root.json, relative to the policy
	// TUF is [PublicGood] or the URL of a TUF repository, whose first root
	// metadata are in the file TUFRoot.
	TUF     string
	TUFRoot string
	// MaxAge is how long ago it may have been fetched; 0 means any time.
	MaxAge time.Duration
}

// PublicGood names the public-good instance of Sigstore.
const PublicGood = "public-good"

// Remap says that what lies below From, a mirror, is what lies below To: scopes
// and identities are about the name that To gives.
type Remap struct{ From, To string }

// Limits bound what is fetched to decide; 0 means the bound of modseal itself.
type Limits struct {
	Referrers int   // bundles of one artifact
	Pages     int   // of one list of them
	Bytes     int64 // all bundles together
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
	Signature   *SignatureRequirement
	OMS         *OMSRequirement
	Attestation *AttestationRequirement
	VSA         *VSARequirement
	Conditions  *ConditionsRequirement
	Freshness   *FreshnessRequirement
	Line        int // in the document; 0 for rules from the command line
}

// Witness says who beside the signer must have seen a bundle, and when. The zero
// Witness asks for nobody, but for keyless signers, whose certificates mean
// nothing without a time: those need one transparency log and one time from a
// log or a timestamp authority in any case.
type Witness struct {
	TransparencyLogs int           // entries of so many different logs
	Timestamps       int           // RFC 3161 timestamps of so many different authorities
	TrustedRoot      string        // name of the trusted root that logs and authorities are in; empty: the only one
	MaxAge           time.Duration // since the trusted time of the signature; 0 means any age
}

// SignatureRequirement demands signatures on the manifest digest by at least
// Threshold different signers.
type SignatureRequirement struct {
	Signers   []Signer
	Threshold int
	Witness   Witness
	// LegacyTags counts cosign's signatures of before the bundle too, which are
	// found under the tag sha256-<digest>.sig.
	LegacyTags bool
}

// OMSRequirement says what must hold of OMS statements. One that a trusted
// signer made is always checked; Required demands that there is one.
type OMSRequirement struct {
	Required    bool
	Signers     []Signer // whose statements count; empty: the signers of the signature requirements
	Witness     Witness
	HashTypes   []string // of the statement; empty: any that modseal knows
	Methods     []string // of the statement; empty: any
	IgnorePaths []string // that the signer may leave out beside the defaults of OMS; see AnyIgnorePaths
	// AnyIgnorePaths lets the signer leave out what it likes.
	AnyIgnorePaths bool
	Symlinks       bool // the signer may have followed symbolic links
	UnsignedFiles  bool // of directories: files that the signer did not list are accepted
	// LegacyPredicate takes the statements of model_signing 0.2.
	LegacyPredicate bool
}

// AttestationRequirement demands statements about the manifest digest, of exactly
// one of the predicate types, by at least Threshold different signers, each of
// which meets all conditions.
type AttestationRequirement struct {
	Name           string   // for messages; empty: the first predicate type
	PredicateTypes []string // exact
	Signers        []Signer
	Threshold      int
	Witness        Witness
	Conditions     []Condition
	// LegacyTags counts attestations under the tag sha256-<digest>.att too.
	LegacyTags bool
}

// ConditionsRequirement demands that conditions about the artifact itself hold:
// its config, its files, its annotations.
type ConditionsRequirement struct{ Conditions []Condition }

// FreshnessRequirement keeps older versions of a model from being passed off as
// the newest.
type FreshnessRequirement struct {
	MinimumVersion string    // semantic version that the config must reach
	CreatedAfter   time.Time // the artifact must not be older; zero: any
	// Remember refuses what is older than the newest that was accepted here
	// before, by version or else by time of creation.
	Remember bool
}

// Signer is somebody by the name that messages use. Exactly one of Key,
// Certificate and Keyless is set.
type Signer struct {
	Name string
	// Key is a public key: a path relative to the policy, a PEM block, or a key
	// reference such as awskms://…
	Key         string
	Certificate *Certificate
	Keyless     *Keyless
	// The signer counts for signatures made in this window, by trusted time or,
	// where there is none, now. Zero means no bound.
	NotBefore, NotAfter time.Time
}

// Certificate is whoever holds a certificate that chains to the roots.
type Certificate struct {
	Roots         string // path relative to the policy, or PEM blocks
	Intermediates string // the same; those in the bundle are used too
	Identity      Match  // of a subject alternative name, or of the subject's common name when there is none
	// AnyIdentity takes whoever the authorities certified, instead of an Identity.
	// No document can say it: it is what a command line without a name means.
	AnyIdentity bool
}

// Keyless is whoever an OpenID Connect issuer vouched for, to the certificate
// authority of a trusted root.
type Keyless struct {
	TrustedRoot string // name; empty: the only one
	Issuer      Match
	Identity    Match
	// Extensions of the certificate that must have exactly these values, by
	// their names in Fulcio's documentation, in camel case:
	// sourceRepositoryURI, buildSignerURI and so on.
	Extensions map[string]string
	// SCTs is how many signed certificate timestamps are needed; -1, the
	// default, means one when the trusted root has a certificate transparency
	// log, and none otherwise.
	SCTs int
	// Unlogged takes signatures without an entry of a transparency log, of an
	// instance that has none: then a timestamp alone says when they were made, and
	// nobody else can see that they were.
	Unlogged bool
}

// Inline reports whether Key is the key itself and not a path.
func (s Signer) Inline() bool { return Inline(s.Key) }

// Rules are the requirements that apply to one subject. The zero Rules accept
// nothing.
type Rules struct {
	Name         string // where they come from, for reports
	Scope        string // prefix of the scope; empty for rules from the command line
	Mode         string
	Requirements []Requirement
	TrustedRoots []TrustedRoot
	Limits       Limits
	Subject      string // the name that scopes and identities are about, after remapping
}

// FromKeys returns the rules of --key on the command line: a signature by any of
// the keys, and an OMS statement by one of them must match when there is one.
// Each name is at the same time the path of the key and the name of its signer; the
// secrets of a key reference are not in the latter.
func FromKeys(names []string) Rules {
	var signers []Signer
	var flags []string
	for _, key := range names {
		n := redact.Reference(key)
		s := Signer{Name: n, Key: key}
		if !slices.ContainsFunc(signers, func(o Signer) bool { return o.Name == n }) {
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
		out = addSigners(out, req.Signers())
	}
	return out
}

// OMS returns what the rules require of OMS statements, with the signers whose
// statements count filled in. [Parse] takes at most one such requirement in a
// scope, and whoever makes rules otherwise keeps to that: the first one counts.
func (r Rules) OMS() OMSRequirement {
	var oms *OMSRequirement
	var others []Signer
	for _, req := range r.Requirements {
		switch {
		case req.OMS != nil && oms == nil:
			oms = req.OMS
		case req.Signature != nil:
			others = addSigners(others, req.Signature.Signers)
		}
	}
	var out OMSRequirement
	if oms != nil {
		out = *oms
	}
	if len(out.Signers) == 0 {
		out.Signers = others
	}
	return out
}

func addSigners(to, from []Signer) []Signer {
	for _, s := range from {
		if !slices.ContainsFunc(to, func(o Signer) bool { return o.Name == s.Name }) {
			to = append(to, s)
		}
	}
	return to
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
