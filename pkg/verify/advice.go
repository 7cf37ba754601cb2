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
	ask := d.ask(kind, signers)
	tree := "see what is attached: modseal tree " + d.subject.reference()
	if j, damaged := first[causeDamaged]; damaged {
		where := "the registry, or something before it,"
		if d.subject.local() {
			where = "the disk"
		}
		return fmt.Sprintf("%s gives wrong bytes for %s: pull from another copy, or sign again: %s", where, j.damaged, d.sign())
	}
	for _, a := range advice {
		if _, is := first[a.cause]; is {
			return a.text(d, ask, tree)
		}
	}
	switch _, other := first[causeAttestation]; {
	case other && kind == KindSignature:
		return "an attestation is no signature of the model, whoever made it; " + ask
	case other:
		return "what is attached says something else, whoever made it; " + ask
	}
	return ask
}

// advice is tried in this order.
var advice = []struct {
	cause cause
	text  func(d *decision, ask, tree string) string
}{
	{causeWrong, func(d *decision, _, _ string) string {
		return "the signature was changed, or made with another key than it says: have it signed again: " + d.sign()
	}},
	{causeClock, func(*decision, string, string) string { return "set the clock of this machine" }},
	{causeCondition, func(_ *decision, ask, _ string) string {
		return "ask the signer for a statement that meets the conditions, or change the policy if they are wrong; " + ask
	}},
	{causeAge, func(_ *decision, ask, _ string) string {
		return "pull a newer version, or have this one signed again; " + ask
	}},
	{causeWindow, func(_ *decision, ask, _ string) string {
		return "have it signed anew by a signer who counts today, or with a timestamp of the time in question; " + ask
	}},
	{causeExtension, otherSigner},
	{causeOtherIdentity, otherSigner},
	{causeOtherIssuer, otherSigner},
	{causeNoSCT, func(_ *decision, ask, _ string) string {
		return "if its authority publishes no certificates, set scts to 0 in the policy; " + ask
	}},
	{causeExpired, func(_ *decision, ask, _ string) string {
		return "have it signed again, with a timestamp that outlives the certificate; " + ask
	}},
	{causeOtherTSA, otherRoot},
	{causeOtherLog, otherRoot},
	{causeNoTime, func(_ *decision, ask, _ string) string {
		return "have it signed with a timestamp authority or a transparency log that gives a time; " + ask
	}},
	{causeOtherEntry, func(d *decision, _, _ string) string {
		return "the log entry was taken from another signature: have it signed again: " + d.sign()
	}},
	{causeNoEntry, func(_ *decision, ask, _ string) string {
		return "have it signed with a transparency log, or ask for none in the policy where the signer is a key; " + ask
	}},
	{causeOtherAuthority, func(_ *decision, ask, tree string) string {
		return tree + "; if its authority is to be trusted, name its root in the policy; " + ask
	}},
	{causeOtherKey, func(d *decision, _, tree string) string {
		return tree + "; if another key is the right one, name it: modseal verify --key PUBLIC-KEY " + d.subject.reference()
	}},
	{causeNoCertificate, func(_ *decision, ask, tree string) string {
		return tree + "; if a key is to be trusted, name it with --key PUBLIC-KEY; " + ask
	}},
	{causeCertificate, func(_ *decision, ask, tree string) string {
		return tree + "; if the holder of the certificate is to be trusted, name the identity: --certificate-identity; " + ask
	}},
	{causeElsewhere, func(d *decision, _, _ string) string {
		return "what was signed is another artifact, as after a model was pushed again: verify that one, or have this one signed: " + d.sign()
	}},
	{causeLegacy, func(_ *decision, ask, _ string) string {
		return "if signatures of before bundles are to count, set legacyTags in the policy; " + ask
	}},
	{causeUnusable, func(_ *decision, ask, tree string) string { return tree + "; " + ask }},
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

func otherSigner(_ *decision, ask, tree string) string {
	return tree + "; if that signer is the right one, name it in the policy, exactly as it stands in the certificate; " + ask
}

func otherRoot(_ *decision, ask, _ string) string {
	return "if those services are to be trusted, take a trusted root that has them: --trusted-root FILE; " + ask
}

// ask says whom to ask for what is missing.
func (d *decision) ask(kind string, signers []policy.Signer) string {
	what := map[string]string{KindSignature: "a signature", KindOMS: "an OMS statement", KindAttestation: "an attestation"}[kind]
	if kind == KindAttestation {
		return fmt.Sprintf("ask for %s by %s, or attest it yourself: modseal attest --key PRIVATE-KEY %s", what, d.names(signers), d.subject.reference())
	}
	return fmt.Sprintf("ask for %s by %s, or sign it yourself: %s", what, d.names(signers), d.sign())
}

// sign is the command that signs the subject.
func (d *decision) sign() string { return "modseal sign --key PRIVATE-KEY " + d.subject.reference() }
