package verify

import (
	"fmt"
	"slices"
)

// tally counts the signatures that meet a demand, by different signers.
type tally struct {
	demand     directoryDemand
	result     RequirementResult
	by         []signerMatch // those that count
	people     persons
	relaxed    []string
	mismatches []directoryMismatch
	misses     []directoryMiss
}

// directoryMismatch is a statement of a trusted signer about other files, or in
// another form.
type directoryMismatch struct {
	file, by string
	wrong    []string
	next     string
}

type directoryMiss struct {
	file string
	*miss
}

func (t *tally) missed(s *DirectorySignature, m *miss) {
	t.misses = append(t.misses, directoryMiss{s.File, m})
	t.result.Evidence = append(t.result.Evidence, EvidenceResult{Digest: s.digest, Outcome: Ignored, Why: "is " + m.why})
}

func (t *tally) mismatch(s *DirectorySignature, by signerMatch, wrong []string, next string) {
	t.mismatches = append(t.mismatches, directoryMismatch{s.File, by.by(), wrong, next})
	t.evidence(s, by, "does not match: "+firstOf(wrong))
}

func (t *tally) count(s *DirectorySignature, by signerMatch) {
	who := t.people.add(&by)
	if slices.ContainsFunc(t.by, func(o signerMatch) bool { return t.people.add(&o) == who }) {
		t.evidence(s, by, "is by "+by.by()+", which counts once")
		return
	}
	t.by = append(t.by, by)
	t.evidence(s, by, "")
	for _, r := range s.Relaxations {
		t.relaxed = append(t.relaxed, fmt.Sprintf("%s is accepted although %s", s.File, r))
	}
}

// evidence tells what a signature of a trusted signer is; without a reason
// against it, it counts.
func (t *tally) evidence(s *DirectorySignature, by signerMatch, why string) {
	j := judged{piece: &piece{evidence: s.digest, kind: kindOMS, s: s.signed}, match: &by, phrase: why}
	t.result.Evidence = append(t.result.Evidence, j.result(why == ""))
}

func (t *tally) decide() {
	var names []string
	counted := map[string]bool{}
	for _, m := range t.by {
		// A later signature may have shown that two of them are one.
		if who := t.people.add(&m); !counted[who] {
			counted[who] = true
			names = append(names, m.by())
		}
	}
	switch {
	case len(t.mismatches) > 0:
		t.failMismatch()
	case len(names) < t.demand.threshold:
		t.failMissing(names)
	case len(t.by) == 0:
		t.result.Found = "none, and none is required"
	default:
		t.result.Found, t.result.Details = "by "+listing(names), t.relaxed
	}
}

func (t *tally) failMismatch() {
	first := t.mismatches[0]
	if len(t.mismatches) == 1 {
		t.result.fail(firstOf(first.wrong), first.wrong, first.next)
		return
	}
	var each []string
	for _, m := range t.mismatches {
		for _, w := range m.wrong {
			each = append(each, fmt.Sprintf("%s by %s: %s", m.file, m.by, w))
		}
	}
	t.result.fail(plural(len(t.mismatches), "signature")+" by trusted signers that do not match", each, first.next)
}

func (t *tally) failMissing(by []string) {
	next := "name the signature files of the others too: --signature may be repeated"
	var each []string
	var closest *miss
	for _, m := range t.misses {
		each = append(each, m.file+" is "+m.why)
		if closest == nil || m.cause > closest.cause {
			closest = m.miss
		}
	}
	if closest != nil {
		next = directoryNext(closest.cause)
	}
	switch {
	case len(by) > 0:
		t.result.fail(fmt.Sprintf("only %d of %d, by %s", len(by), t.demand.threshold, listing(by)), each, next)
	case len(t.misses) == 1:
		t.result.fail("a bundle that is "+closest.why, nil, next)
	default:
		t.result.fail(plural(len(t.misses), "signature file")+", none of which counts", each, next)
	}
}

// directoryNext advises by why a signature does not count.
func directoryNext(c cause) string {
	switch c {
	case causeWrong, causeOtherEntry:
		return "the signature file was changed: fetch it again from where it came"
	case causeCertificate:
		return "if the holder of the certificate is to be trusted, name the identity: --certificate-identity"
	case causeNoCertificate:
		return "if a key is to be trusted, name it with --key FILE"
	case causeOtherKey:
		return "if another key is the right one, name it with --key FILE"
	case causeOtherAuthority:
		return "if its authority is to be trusted, name its root, and the intermediates between (roots and intermediates in a policy, all of them in --certificate-chain)"
	case causeOtherLog, causeOtherTSA:
		return "if those services are to be trusted, take a trusted root that has them: --trusted-root FILE"
	case causeExpired, causeNoEntry, causeNoTime, causeNoSCT, causeWindow, causeAge:
		return "ask the signer for a new signature, with a timestamp or a log entry that outlives the certificate"
	case causeClock:
		return "set the clock of this machine"
	}
	return "if that is the right signer, name it in the policy or with the flags; else fetch the signature again from where it came"
}
