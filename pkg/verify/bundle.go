package verify

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/trust"
)

// signedStatement is a bundle that was read. Nothing in it is true before
// signedBy has named a key.
type signedStatement struct {
	entity      *bundle.Bundle
	payload     []byte
	hint        string // of the key; not signed
	certificate bool   // signed with a certificate instead of a key
}

// parseBundle reads a bundle with one signed in-toto statement.
func parseBundle(data []byte) (*signedStatement, error) {
	if len(data) > limits.BundleBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(data), limits.BundleBytes)
	}
	pb, err := unmarshalBundle(data)
	if err != nil {
		return nil, err
	}
	// Older versions lack the inclusion proof and mean other things by the same
	// fields.
	if v := (&bundle.Bundle{Bundle: pb}); !v.MinVersion("v0.3") {
		return nil, fmt.Errorf("its media type %q is not that of a bundle of version 0.3", shorten(pb.GetMediaType()))
	}
	envelope := pb.GetDsseEnvelope()
	switch {
	case pb.GetMessageSignature() != nil:
		return nil, errors.New("it signs bytes, not a statement")
	case envelope == nil:
		return nil, errors.New("it has no envelope")
	case envelope.GetPayloadType() != artifacttypes.PayloadTypeInToto:
		return nil, fmt.Errorf("its payload type is %q, not %q", shorten(envelope.GetPayloadType()), artifacttypes.PayloadTypeInToto)
	case len(envelope.GetSignatures()) != 1:
		return nil, fmt.Errorf("it has %d signatures, not one", len(envelope.GetSignatures()))
	}
	// A key id is not signed, has no meaning in a bundle, and would only make
	// the DSSE library pass over the signature.
	envelope.GetSignatures()[0].Keyid = ""
	entity, err := bundle.NewBundle(pb, bundle.AllowCertificateChain())
	if err != nil {
		return nil, err
	}
	return &signedStatement{
		entity:      entity,
		payload:     envelope.GetPayload(),
		hint:        pb.GetVerificationMaterial().GetPublicKey().GetHint(),
		certificate: pb.GetVerificationMaterial().GetPublicKey() == nil,
	}, nil
}

// unmarshalBundle reads the current form of a bundle and, when it is none, the
// one of OMS signers before 1.1.
func unmarshalBundle(data []byte) (*protobundle.Bundle, error) {
	pb := &protobundle.Bundle{}
	err := protojson.Unmarshal(data, pb)
	if err == nil {
		return pb, nil
	}
	modern, changed := modernize(data)
	if !changed {
		return nil, fmt.Errorf("it does not parse: %w", err)
	}
	pb = &protobundle.Bundle{}
	if err := protojson.Unmarshal(modern, pb); err != nil {
		return nil, fmt.Errorf("it does not parse: %w", err)
	}
	return pb, nil
}

// modernize rewrites a bundle whose publicKey has rawBytes and keyDetails (OMS
// signers 0.3.1 to 1.0.x) to one with a hint. The key that came with the bundle
// gives the hint and is never used to verify.
func modernize(data []byte) (modern []byte, changed bool) {
	doc, err := object(data)
	if err != nil {
		return nil, false
	}
	material, err := object(doc["verificationMaterial"])
	if err != nil {
		return nil, false
	}
	key, err := object(material["publicKey"])
	if err != nil || key["rawBytes"] == nil {
		return nil, false
	}
	if key["hint"] == nil {
		var encoded string
		if json.Unmarshal(key["rawBytes"], &encoded) == nil {
			key["hint"], _ = json.Marshal(hintOf(encoded))
		}
	}
	delete(key, "rawBytes")
	delete(key, "keyDetails")
	if material["publicKey"], err = json.Marshal(key); err != nil {
		return nil, false
	}
	if doc["verificationMaterial"], err = json.Marshal(material); err != nil {
		return nil, false
	}
	modern, err = json.Marshal(doc)
	return modern, err == nil
}

// object reads one level of a JSON object. Duplicate keys are refused here as
// protojson refuses them.
func object(data []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string)
		if _, twice := members[key]; twice {
			return nil, fmt.Errorf("key %q stands there twice", key)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, err
		}
		members[key] = value
	}
	if _, err := dec.Token(); err != nil || dec.More() {
		return nil, errors.New("it is not one JSON object")
	}
	return members, nil
}

func hintOf(encoded string) string {
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return ""
	}
	key, err := trust.ParseKey("the key in the bundle", text)
	if err != nil {
		return ""
	}
	return key.CosignHint()
}

// signedBy returns the one of keys that the statement is signed with. The hint
// only decides which is tried first.
func (s *signedStatement) signedBy(ctx context.Context, keys []trust.Key, artifact verify.ArtifactPolicyOption) (trust.Key, bool, error) {
	if s.certificate {
		return trust.Key{}, false, nil
	}
	for _, hinted := range []bool{true, false} {
		for _, key := range keys {
			if key.MatchesHint(s.hint) != hinted {
				continue
			}
			if ctx.Err() != nil {
				return trust.Key{}, false, context.Cause(ctx)
			}
			if s.verify(key, artifact) == nil {
				return key, true, nil
			}
		}
	}
	return trust.Key{}, false, nil
}

// verify checks the signature with key and nothing but key, whatever the bundle
// says about itself.
func (s *signedStatement) verify(key trust.Key, artifact verify.ArtifactPolicyOption) error {
	v, err := signature.LoadVerifier(key.Public, key.Hash())
	if err != nil {
		return err
	}
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(v, time.Time{}, time.Time{}), nil
	})
	verifier, err := verify.NewVerifier(material, verify.WithNoObserverTimestamps(), verify.WithoutStatementPredicate())
	if err != nil {
		return err
	}
	_, err = verifier.Verify(s.entity, verify.NewPolicy(artifact, verify.WithKey()))
	return err
}

// ofArtifact demands that d is a subject of the statement.
func ofArtifact(d digest.Digest) (verify.ArtifactPolicyOption, error) {
	raw, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil, err
	}
	return verify.WithArtifactDigest(d.Algorithm().String(), raw), nil
}

// ofFiles leaves the subject open: that of an OMS statement is a digest over
// the digests of files, which matchOMS and [Directory] compare one by one.
func ofFiles() verify.ArtifactPolicyOption { return verify.WithoutArtifactUnsafe() }

// signer says who signed, as far as a bundle that none of keys verifies can
// tell, in words that continue "a bundle that is …". known are other keys of the
// rules. The hint is not signed, and text of whoever attached the bundle: at most
// the fingerprint in it is told.
func (s *signedStatement) signer(keys, known []trust.Key) (cause, string) {
	if s.certificate {
		return causeCertificate, "signed with a certificate, not with a key"
	}
	for _, k := range keys {
		if k.MatchesHint(s.hint) {
			return causeWrong, fmt.Sprintf("signed in the name of %s (%s), but its signature is wrong", k.Name, k.Short())
		}
	}
	for _, k := range known {
		if k.MatchesHint(s.hint) {
			return causeOtherKey, fmt.Sprintf("signed by a key that claims to be %s (%s), which does not count here", k.Name, k.Short())
		}
	}
	if f, ok := trust.FingerprintOfHint(s.hint); ok {
		return causeOtherKey, "signed by an unknown key that claims to be " + shortDigest(f)
	}
	return causeOtherKey, "signed by an unknown key"
}
