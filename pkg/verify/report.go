package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Decision is how a verification came out that is no error.
type Decision string

// The decisions.
const (
	Accepted Decision = "accepted" // every requirement holds
	// Warned: requirements are not met, and the rules only warn. The model is
	// used all the same, the command exits with 0, and every requirement that is
	// not met is one of the warnings.
	Warned  Decision = "warned"
	Skipped Decision = "skipped" // nothing was verified: [SkipUnsafe]
	// Refused is what only [Explain] reports: [Verify] answers with a [*Refusal].
	Refused Decision = "refused"
)

// Outcome is how one check came out.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Counted Outcome = "counted" // the evidence counts for the requirement
	Ignored Outcome = "ignored" // the evidence counts for no requirement
)

// Report says what was verified, and how it came out.
type Report struct {
	Subject  string        `json:"subject"`
	Digest   digest.Digest `json:"digest,omitempty"` // of the manifest; none for a directory
	Decision Decision      `json:"decision"`
	Policy   string        `json:"policy,omitempty"` // where the rules come from
	Checks   []Check       `json:"checks,omitempty"`
	Warnings []string      `json:"warnings,omitempty"`
	// Requirements are all requirements of all rules, in their order.
	Requirements []RequirementResult `json:"requirements,omitempty"`
	// Memory is what to remember for the next decision about this scope; nil when
	// no rules ask for it, or those that do are not met.
	Memory *Memory `json:"memory,omitempty"`
}

func (r Report) clone() Report {
	r.Checks = slices.Clone(r.Checks)
	r.Warnings = slices.Clone(r.Warnings)
	r.Requirements = slices.Clone(r.Requirements)
	for i := range r.Requirements {
		r.Requirements[i].Details = slices.Clone(r.Requirements[i].Details)
		r.Requirements[i].Evidence = slices.Clone(r.Requirements[i].Evidence)
		for j, e := range r.Requirements[i].Evidence {
			r.Requirements[i].Evidence[j].Summary = e.Summary.clone()
		}
	}
	if r.Memory != nil {
		m := *r.Memory
		r.Memory = &m
	}
	return r
}

// Check is one requirement that was compared with one piece of evidence.
type Check struct {
	Requirement   string        `json:"requirement,omitempty"`
	Outcome       Outcome       `json:"outcome"`
	PredicateType string        `json:"predicateType,omitempty"` // of the signed statement; only when passed
	Signer        string        `json:"signer,omitempty"`        // its name in the rules
	Fingerprint   string        `json:"fingerprint,omitempty"`   // of a key signer's key
	Identity      string        `json:"identity,omitempty"`      // in the certificate of another signer
	Issuer        string        `json:"issuer,omitempty"`        // that vouched for the identity of a keyless signer
	Evidence      digest.Digest `json:"evidence,omitempty"`      // of the referrer manifest
	Detail        string        `json:"detail,omitempty"`
}

// Passed reports whether the evidence meets the requirement.
func (c Check) Passed() bool { return c.Outcome == Passed }

// Refusal says that the rules are not met.
type Refusal struct {
	Subject string        `json:"subject"`
	Digest  digest.Digest `json:"digest,omitempty"`
	Policy  string        `json:"policy,omitempty"`
	Reasons []Reason      `json:"reasons"`
	Checks  []Check       `json:"checks,omitempty"`
	// Requirements are all requirements of all rules, also those that hold.
	Requirements []RequirementResult `json:"requirements,omitempty"`
}

// Reason is a requirement that is not met.
type Reason struct {
	Policy      string `json:"policy,omitempty"` // where the rules come from
	Requirement string `json:"requirement"`
	LookedFor   string `json:"lookedFor"`
	Found       string `json:"found"` // in one sentence
	// Details are all bundles, or all differences, when Found is about more than
	// one: a phrase for each.
	Details []string `json:"details,omitempty"`
	Next    string   `json:"next"` // what the user can do
}

// String tells the reason in one line, for warnings.
func (r Reason) String() string {
	s := fmt.Sprintf("%s: looked for %s; found %s", r.Requirement, r.LookedFor, r.Found)
	// Of differences Found has the first; of bundles it has only the number.
	if len(r.Details) > 0 && !strings.Contains(r.Found, r.Details[0]) {
		s += ": " + strings.Join(r.Details, "; ")
	}
	return s
}

// Summary names the subject and the requirement that is not met, for those who
// show the reasons beside it.
func (r *Refusal) Summary() string {
	subject := r.Subject
	if r.Digest != "" {
		subject += "@" + shortDigest(r.Digest)
	}
	switch n := len(r.Reasons); n {
	case 0:
		return subject + ": refused"
	case 1:
		return fmt.Sprintf("%s: refused: not met: %s", subject, r.Reasons[0].Requirement)
	default:
		return fmt.Sprintf("%s: refused: not met: %s, and %d more", subject, r.Reasons[0].Requirement, n-1)
	}
}

// Error is the summary and what was found instead, in one sentence.
func (r *Refusal) Error() string {
	if len(r.Reasons) == 0 {
		return r.Summary()
	}
	return r.Summary() + ": found " + r.Reasons[0].Found
}

// Undecided says that there is nothing to decide with: no rules, or a key is
// missing.
type Undecided struct {
	Subject string
	Why     string
	Next    string // what the user can do
}

func (u *Undecided) Error() string {
	if u.Subject == "" {
		return u.Why
	}
	return u.Subject + ": " + u.Why
}

// shortDigest is enough of a digest for people to recognise it.
func shortDigest(d digest.Digest) string {
	const digits = 12
	algorithm, encoded, ok := strings.Cut(d.String(), ":")
	if !ok || len(encoded) <= digits {
		return d.String()
	}
	return algorithm + ":" + encoded[:digits] + "…"
}

// details bounds what is told one by one. Of a single one, the sentence that it
// would explain says all.
func details(each []string) []string {
	if len(each) <= 1 {
		return nil
	}
	return bounded(each)
}

func bounded(each []string) []string {
	const most = 20
	if n := len(each); n > most {
		return append(slices.Clone(each[:most]), fmt.Sprintf("and %d more", n-most))
	}
	return each
}

// firstOf is the sentence that details explains.
func firstOf(wrong []string) string {
	if len(wrong) == 1 {
		return wrong[0]
	}
	return fmt.Sprintf("%s (and %s)", wrong[0], plural(len(wrong)-1, "more difference"))
}

// shorten bounds text of others. It is quoted where it is told.
func shorten(s string) string { return cut(s, 100) }

func cut(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// quoted is text of others, bounded.
func quoted(s string) string { return strconv.Quote(shorten(s)) }

// errorText is the text of an error about bytes of others. Not all of it is
// quoted by whom it comes from, so that what a terminal would not show as it is,
// is escaped.
func errorText(err error) string {
	var b strings.Builder
	for _, r := range cut(err.Error(), 400) {
		switch {
		case r == '\u00a0': // protojson writes it now and then
			b.WriteByte(' ')
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// listing joins what was found, the first few of it.
func listing(found []string) string {
	const most = 5
	list := found
	more := ""
	if len(list) > most {
		more = fmt.Sprintf(", and %d more", len(list)-most)
		list = list[:most]
	}
	return strings.Join(list, ", ") + more
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
