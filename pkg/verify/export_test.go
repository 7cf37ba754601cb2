package verify

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/digitorus/timestamp"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"
)

// Canonical is a bundle without what its JSON can say in several ways, and
// without what no signature covers and nothing depends on: see each line.
func Canonical(data []byte) ([]byte, error) {
	pb, _, err := unmarshalBundle(data)
	if err != nil {
		return nil, err
	}
	material := pb.GetVerificationMaterial()
	for _, e := range material.GetTlogEntries() {
		if e.GetInclusionPromise() == nil {
			e.IntegratedTime = 0 // it is believed with a promise alone
		}
		if p := e.GetInclusionProof().GetCheckpoint(); p != nil {
			// The name beside a signature in a signed note; the key is known.
			p.Envelope = regexp.MustCompile("(?m)^\u2014 [^ ]+ ").ReplaceAllString(p.GetEnvelope(), "\u2014 name ")
		}
	}
	// The same entry twice is one.
	material.TlogEntries = slices.CompactFunc(material.GetTlogEntries(), func(a, b *protorekor.TransparencyLogEntry) bool { return proto.Equal(a, b) })
	var stamps string
	for _, s := range material.GetTimestampVerificationData().GetRfc3161Timestamps() {
		// A token has fields around what its authority signs.
		if t, err := timestamp.ParseResponse(s.GetSignedTimestamp()); err == nil {
			text := fmt.Sprintf("%x %v %v;", t.HashedMessage, t.Time, t.SerialNumber)
			if text != stamps { // the same twice is one
				stamps += text
			}
			s.SignedTimestamp = nil
		}
	}
	if stamps != "" || len(material.GetTimestampVerificationData().GetRfc3161Timestamps()) == 0 {
		material.TimestampVerificationData = nil
	}
	for _, s := range pb.GetDsseEnvelope().GetSignatures() {
		s.Keyid = "" // has no meaning
	}
	if key := material.GetPublicKey(); key != nil {
		key.Hint = "" // chooses which key is tried first
	}
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(pb)
	return append(out, stamps...), err
}
