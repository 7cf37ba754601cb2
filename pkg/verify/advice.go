package verify

import (
	"fmt"

	"github.com/modseal/modseal/pkg/policy"
)

// next advises what to do when evidence of a kind by one of signers is missing,
// by what is there instead. What says most about why comes first.
func (d *decision) next(kind string, all []judged, signers []policy.Signer) string {
	first := map[cause]judged{}
	for _, j := range all {
		if j.isOther(kind) {
			continue
		}
		if _, seen := first[j.cause]; !seen && j.cause != causeNone {
			first[j.cause] = j
		}
	}
	say := words{ask: d.ask(kind, signers), tree: "see what is attached: modseal tree " + d.subject.reference(), sign: d.sign(signers)}
	if j, damaged := first[causeDamaged]; damaged {
		where := "the registry, or something before it,"
		if d.subject.local() {
			where = "the disk"
		}
		return fmt.Sprintf("%s gives wrong bytes for %s: pull from another copy, or sign again: %s", where, j.damaged, say.sign)
	}
	for _, a := range advice {
		if _, is := first[a.cause]; is {
			return a.text(d, say)
		}
	}
	switch _, other := first[causeAttestation]; {
	case other && kind == KindSignature:
		return "an attestation is no signature of the model, whoever made it; " + say.ask
	case other:
		return "what is attached says something else, whoever made it; " + say.ask
	}
	return say.ask
}

// words are what several pieces of advice end with.
type words struct {
	ask  string // whom to ask for what is missing
	tree string // how to see what is there
	sign string // the command that signs
}

// advice is tried in this order.
var advice = []struct {
	cause cause
	text  func(d *decision, say words) string
}{
	{causeWrong, func(_ *decision, say words) string {
		return "the signature was changed, or made with another key than it says: have it signed again: " + say.sign
	}},
	{causeClock, func(*decision, words) string { return "set the clock of this machine" }},
	{causeCondition, func(_ *decision, say words) string {
		return "ask the signer for a statement that meets the conditions, or change the policy if they are wrong; " + say.ask
	}},
	{causeAge, func(_ *decision, say words) string {
		return "pull a newer version, or have this one signed again; " + say.ask
	}},
	{causeWindow, func(_ *decision, say words) string {
		return "have it signed anew by a signer who counts today, or with a timestamp of the time in question; " + say.ask
	}},
	{causeExtension, otherSigner},
	{causeOtherIdentity, otherSigner},
	{causeOtherIssuer, otherSigner},
	{causeNoSCT, func(_ *decision, say words) string {
		return "if its authority publishes no certificates, set sct to 0 in the policy; " + say.ask
	}},
	{causeExpired, func(_ *decision, say words) string {
		return "have it signed again, with a timestamp that outlives the certificate; " + say.ask
	}},
	{causeOtherTSA, otherRoot},
	{causeOtherLog, otherRoot},
	{causeNoTime, func(_ *decision, say words) string {
		return "have it signed with a timestamp authority or a transparency log that gives a time; " + say.ask
	}},
	{causeOtherEntry, func(_ *decision, say words) string {
		return "the log entry was taken from another signature: have it signed again: " + say.sign
	}},
	{causeNoEntry, func(_ *decision, say words) string {
		return "have it signed with a transparency log; a policy need not ask for one of a key, and says unlogged: true of an instance that has none; " + say.ask
	}},
	{causeOtherAuthority, func(_ *decision, say words) string {
		return say.tree + "; if its authority is to be trusted, name its root, and the intermediates between (roots and intermediates in a policy, all of them in --certificate-chain); " + say.ask
	}},
	{causeOtherKey, func(d *decision, say words) string {
		name := "; if another key is the right one, name it: modseal verify --key PUBLIC-KEY " + d.subject.reference()
		if d.rules.Scope != "" {
			name = "; if another key is the right one, name it in the policy; " + say.ask
		}
		return say.tree + name
	}},
	{causeNoCertificate, func(_ *decision, say words) string {
		return say.tree + "; if a key is to be trusted, name it with --key PUBLIC-KEY; " + say.ask
	}},
	{causeCertificate, func(_ *decision, say words) string {
		return say.tree + "; if the holder of the certificate is to be trusted, name the identity: --certificate-identity; " + say.ask
	}},
	{causeElsewhere, func(_ *decision, say words) string {
		return "what was signed is another artifact, as after a model was pushed again: verify that one, or have this one signed: " + say.sign
	}},
	{causeLegacy, func(_ *decision, say words) string {
		return "if signatures of before bundles are to count, set legacyTags in the policy; " + say.ask
	}},
	{causeUnusable, func(_ *decision, say words) string { return say.tree + "; " + say.ask }},
}

// isOther reports whether the evidence is something else than what is asked for,
// however well it is signed.
func (j judged) isOther(kind string) bool {
	switch j.kind {
	case kindSignature:
		return kind != KindSignature
	case kindOMS:
		return kind != KindOMS
	}
	return false
}

func otherSigner(_ *decision, say words) string {
	return say.tree + "; if that signer is the right one, name it in the policy, exactly as it stands in the certificate; " + say.ask
}

func otherRoot(_ *decision, say words) string {
	return "if those services are to be trusted, take a trusted root that has them: --trusted-root FILE; " + say.ask
}

// ask says whom to ask for what is missing.
func (d *decision) ask(kind string, signers []policy.Signer) string {
	what := map[string]string{KindSignature: "a signature", KindOMS: "an OMS statement", KindAttestation: "an attestation", KindVSA: "a verification summary"}[kind]
	if d.subject.carried() {
		return fmt.Sprintf("ask for %s by %s where the archive comes from, and have it saved again", what, d.names(signers))
	}
	switch kind {
	case KindVSA:
		return fmt.Sprintf("ask %s to accept it for this place, as modseal promote does, or attach the verification summary: modseal attest %s --type vsa --predicate FILE%s", d.names(signers), d.subject.reference(), signingFlags(signers))
	case KindAttestation:
		return fmt.Sprintf("ask for %s by %s, or attest it yourself: modseal attest %s --type TYPE --predicate FILE%s", what, d.names(signers), d.subject.reference(), signingFlags(signers))
	}
	return fmt.Sprintf("ask for %s by %s, or sign it yourself: %s", what, d.names(signers), d.sign(signers))
}

// sign is the command with which one of the signers signs the subject.
func (d *decision) sign(signers []policy.Signer) string {
	if d.subject.carried() {
		return "modseal sign, where the archive comes from"
	}
	return "modseal sign " + d.subject.reference() + signingFlags(signers)
}

// signingFlags are those of the first signer; of the others the reader knows what
// theirs are.
func signingFlags(signers []policy.Signer) string {
	switch {
	case len(signers) > 0 && signers[0].Keyless != nil:
		return " --keyless"
	case len(signers) > 0 && signers[0].Certificate != nil:
		return " --key PRIVATE-KEY --certificate CERTIFICATE --certificate-chain CHAIN"
	}
	return " --key PRIVATE-KEY"
}
