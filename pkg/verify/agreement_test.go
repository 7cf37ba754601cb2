package verify_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"
)

// What this package takes step by step, sigstore-go takes in one: on every
// keyless bundle of the table that is judged now, by the usual root and with the
// usual demands, both agree.
func TestAgreesWithSigstore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verifier, err := sigstore.NewVerifier(w.root.Material(), sigstore.WithTransparencyLog(1), sigstore.WithObserverTimestamps(1), sigstore.WithSignedCertificateTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := sigstore.NewShortCertificateIdentity(issuer, "", workflow, "")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(w.digest.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	demands := sigstore.NewPolicy(sigstore.WithArtifactDigest("sha256", raw), sigstore.WithCertificateIdentity(identity))
	yes, no := 0, 0
	for _, r := range append(w.keylessRows(), w.keylessMatchRows()...) {
		if strings.TrimSpace(r.policy) != `- signature: {signers: [$ci]}` || r.edit != nil || r.model != nil || len(r.evidence) != 1 {
			continue
		}
		var b bundle.Bundle
		err := b.UnmarshalJSON(r.evidence[0])
		if err == nil {
			_, err = verifier.Verify(&b, demands)
		}
		if (err == nil) != (r.want == accepted) {
			t.Errorf("%s: %s, and sigstore-go says %v", r.name, r.want, err)
		}
		if err == nil {
			yes++
		} else {
			no++
		}
	}
	if yes < 2 || no < 10 {
		t.Errorf("%d accepted, %d refused", yes, no)
	}
}
