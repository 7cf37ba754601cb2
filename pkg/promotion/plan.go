package promotion

import (
	"fmt"
	"time"
)

// Version is the version of the document that this package reads.
const Version = 1

// Plan is a declared set of promotions.
type Plan struct {
	Name       string // the file, for messages
	Promotions []Promotion
}

// Promotion is one entry of a plan, with the defaults of the document filled in.
type Promotion struct {
	// From is a target as on the command line; its tag may be a glob, which means
	// every tag that matches.
	From string
	// To is a registry reference or a layout; without a tag each keeps that of From.
	To string
	// Policies and DestinationPolicies are files, relative to the plan.
	Policies, DestinationPolicies []string
	Sign                          Sign
	VerifierID                    string
	Levels                        []string
	// Overwrite moves a tag that holds something else; Expect, a digest, only if it
	// holds that.
	Overwrite bool
	Expect    string
	// Renew is how old a verification summary may be; 0 means any age.
	Renew time.Duration
	Line  int // in the document
}

// Sign says who signs verification summaries. The zero Sign says nothing.
type Sign struct {
	Key              string // a file relative to the plan, or a reference such as awskms://…
	Certificate      string // a file, as are the next two
	CertificateChain string
	Keyless          bool
	// SigningConfig and TrustedRoot are a file, trust:NAME or public-good.
	SigningConfig string
	TrustedRoot   string
}

// Pattern reports whether From stands for all tags that match its glob.
func (p Promotion) Pattern() bool {
	_, tag, ok := cutTag(p.From)
	return ok && isPattern(tag)
}

// Error says what is wrong with a plan, and where.
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
