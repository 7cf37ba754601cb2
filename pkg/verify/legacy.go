package verify

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/statement"
)

// mediaTypeBundleV01 is the only version whose log entries are as cosign kept
// them: with the log's promise instead of a proof.
const mediaTypeBundleV01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// legacyKinds are the entries of Rekor v1 that name the signature and what is
// signed. Those of other kinds, such as intoto 0.0.1 of cosign before 2.2, prove
// nothing, and are as none.
var legacyKinds = []string{"hashedrekord 0.0.1", "dsse 0.0.1", "intoto 0.0.2"}

// statement reads what cosign attached before it had bundles as a bundle of the
// oldest version, so that what verifies bundles verifies it. A signature is read
// as the statement that cosign would sign today, about the digest in its payload;
// the name of the subject is what the signer called it.
func (l *Legacy) statement() (*signedStatement, error) {
	for key, value := range l.Annotations {
		if len(value) > limits.LegacyAnnotationBytes {
			return nil, fmt.Errorf("its annotation %q has %d bytes, more than %d", shorten(key), len(value), limits.LegacyAnnotationBytes)
		}
	}
	s := &signedStatement{legacy: true}
	pb := &protobundle.Bundle{MediaType: mediaTypeBundleV01}
	read := l.readSignature
	if l.Attestation {
		read = l.readEnvelope
	}
	if err := read(s, pb); err != nil {
		return nil, err
	}
	var err error
	if pb.VerificationMaterial, err = l.material(s); err != nil {
		return nil, err
	}
	if err := checkCost(pb.VerificationMaterial); err != nil {
		return nil, err
	}
	if s.entity, err = bundle.NewBundle(pb); err != nil {
		return nil, err
	}
	return s, nil
}

// readSignature reads a simple-signing payload and the signature of its bytes.
func (l *Legacy) readSignature(s *signedStatement, pb *protobundle.Bundle) error {
	claim, err := statement.ParseSimpleSigning(l.Payload)
	if err != nil {
		return err
	}
	text := l.Annotations[artifacttypes.AnnotationLegacySignature]
	signature, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(signature) == 0 {
		return fmt.Errorf("its signature %q is none", shorten(text))
	}
	s.payload = l.Payload
	s.header = &statement.Header{
		PredicateType: artifacttypes.PredicateCosignSign,
		Subjects: []statement.Subject{{
			Name: claim.Reference, Digest: map[string]string{claim.Digest.Algorithm().String(): claim.Digest.Encoded()},
		}},
	}
	sum := sha256.Sum256(l.Payload)
	pb.Content = &protobundle.Bundle_MessageSignature{MessageSignature: &protocommon.MessageSignature{
		MessageDigest: &protocommon.HashOutput{Algorithm: protocommon.HashAlgorithm_SHA2_256, Digest: sum[:]},
		Signature:     signature,
	}}
	return nil
}

// readEnvelope reads a DSSE envelope with one signature
// (https://github.com/secure-systems-lab/dsse/blob/v1.0.0/envelope.md).
func (l *Legacy) readEnvelope(s *signedStatement, pb *protobundle.Bundle) error {
	var envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     []byte `json:"payload"`
		Signatures  []struct {
			Sig []byte `json:"sig"`
		} `json:"signatures"`
	}
	if len(l.Payload) > limits.BundleBytes {
		return fmt.Errorf("its envelope has %d bytes, more than %d", len(l.Payload), limits.BundleBytes)
	}
	if _, err := object(l.Payload); err != nil {
		return fmt.Errorf("its envelope: %w", err)
	}
	if err := json.Unmarshal(l.Payload, &envelope); err != nil {
		return fmt.Errorf("its envelope: %w", err)
	}
	switch {
	case envelope.PayloadType != artifacttypes.PayloadTypeInToto:
		return fmt.Errorf("its payload type is %q, not %q", shorten(envelope.PayloadType), artifacttypes.PayloadTypeInToto)
	case len(envelope.Signatures) != 1:
		return fmt.Errorf("it has %d signatures, not one", len(envelope.Signatures))
	}
	var err error
	if s.header, err = statement.ParseHeader(envelope.Payload); err != nil {
		return err
	}
	s.payload = envelope.Payload
	// The key id is left out: it is not signed and has no meaning in a bundle.
	pb.Content = &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		PayloadType: envelope.PayloadType,
		Payload:     envelope.Payload,
		Signatures:  []*protodsse.Signature{{Sig: envelope.Signatures[0].Sig}},
	}}
	return nil
}

// material takes certificate, log entry and timestamp out of the annotations.
func (l *Legacy) material(s *signedStatement) (*protobundle.VerificationMaterial, error) {
	m := &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{}},
	}
	if text := l.Annotations[artifacttypes.AnnotationLegacyCertificate]; text != "" {
		if err := s.readChain(text, l.Annotations[artifacttypes.AnnotationLegacyChain]); err != nil {
			return nil, err
		}
		m.Content = &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: s.leaf.Raw}}
	}
	if text := l.Annotations[artifacttypes.AnnotationLegacyBundle]; text != "" {
		entry, err := legacyEntry([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("its log entry: %w", err)
		}
		if k := entry.GetKindVersion(); slices.Contains(legacyKinds, k.GetKind()+" "+k.GetVersion()) {
			m.TlogEntries = []*protorekor.TransparencyLogEntry{entry}
		}
	}
	// The timestamp of an attestation is over the whole envelope and not over its
	// signature (cosign v2.6.5, pkg/cosign/verify.go, VerifyRFC3161Timestamp). No
	// bundle can say that, so that it does not count.
	if text := l.Annotations[artifacttypes.AnnotationLegacyTimestamp]; text != "" && !l.Attestation {
		stamp, err := legacyTimestamp([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("its timestamp: %w", err)
		}
		m.TimestampVerificationData = &protobundle.TimestampVerificationData{
			Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{{SignedTimestamp: stamp}},
		}
	}
	return m, nil
}

// readChain reads the certificate and its issuers. cosign keeps both apart,
// whoever issued them, so that they do not tell whether the signer was keyless.
// The issuers help to find the way to a root and are none.
func (s *signedStatement) readChain(leaf, issuers string) error {
	leaves, err := certificates(leaf)
	if err != nil {
		return fmt.Errorf("its certificate: %w", err)
	}
	if len(leaves) != 1 {
		return fmt.Errorf("it has %d certificates, not one", len(leaves))
	}
	if s.intermediates, err = certificates(issuers); err != nil {
		return fmt.Errorf("its certificate chain: %w", err)
	}
	s.form, s.leaf = formLeaf, leaves[0]
	return nil
}

func certificates(text string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return out, nil
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a PEM block %q", shorten(block.Type))
		}
		if len(out) >= limits.BundleCertificates {
			return nil, fmt.Errorf("it has more than %d certificates", limits.BundleCertificates)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err == nil {
			err = checkKey(cert.PublicKey)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, cert)
	}
}

// legacyEntry reads what cosign kept of an entry of Rekor v1: the entry, and the
// log's promise to include it.
func legacyEntry(text []byte) (*protorekor.TransparencyLogEntry, error) {
	var doc struct {
		SignedEntryTimestamp []byte
		Payload              struct {
			Body           []byte `json:"body"`
			IntegratedTime int64  `json:"integratedTime"`
			LogIndex       int64  `json:"logIndex"`
			LogID          string `json:"logID"` //nolint:tagliatelle // Rekor's spelling
		}
	}
	if _, err := object(text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(doc.Payload.LogID)
	if err != nil || len(id) == 0 {
		return nil, fmt.Errorf("its logID is %q", shorten(doc.Payload.LogID))
	}
	if len(doc.SignedEntryTimestamp) == 0 {
		return nil, errors.New("the log has not signed it")
	}
	var kind struct {
		Kind       string `json:"kind"`
		APIVersion string `json:"apiVersion"`
	}
	if err := json.Unmarshal(doc.Payload.Body, &kind); err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	return &protorekor.TransparencyLogEntry{
		LogIndex:          doc.Payload.LogIndex,
		LogId:             &protocommon.LogId{KeyId: id},
		KindVersion:       &protorekor.KindVersion{Kind: kind.Kind, Version: kind.APIVersion},
		IntegratedTime:    doc.Payload.IntegratedTime,
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: doc.SignedEntryTimestamp},
		CanonicalizedBody: doc.Payload.Body,
	}, nil
}

func legacyTimestamp(text []byte) ([]byte, error) {
	var doc struct{ SignedRFC3161Timestamp []byte }
	if _, err := object(text); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	if len(doc.SignedRFC3161Timestamp) == 0 {
		return nil, errors.New("it is empty")
	}
	return doc.SignedRFC3161Timestamp, nil
}
