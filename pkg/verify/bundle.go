package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/modseal/modseal/artifacttypes"
	"github.com/modseal/modseal/pkg/internal/limits"
	"github.com/modseal/modseal/pkg/statement"
	"github.com/modseal/modseal/pkg/trust"
)

// form is how a bundle says who signed it.
type form int

const (
	formKey   form = iota // with a key, of which there is at most a hint
	formLeaf              // with one certificate, as keyless signers do
	formChain             // with a certificate and its issuers
)

// signedStatement is a bundle that was read. Nothing in it is true before
// [matcher.signedBy] has named a signer.
type signedStatement struct {
	entity        verify.SignedEntity
	payload       []byte            // what is signed
	header        *statement.Header // what the payload says of itself
	legacy        bool              // it comes from a tag of before the bundle
	relaxed       []statement.Relaxation
	hint          string // of the key; not signed
	form          form
	leaf          *x509.Certificate   // nil with formKey
	intermediates []*x509.Certificate // with formChain
}

// isOMS reports whether the payload says that it is an OMS statement.
func (s *signedStatement) isOMS() bool { return statement.IsOMS(s.header.PredicateType) }

// parseBundle reads a bundle with one signed in-toto statement.
func parseBundle(data []byte) (*signedStatement, error) {
	if len(data) > limits.BundleBytes {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(data), limits.BundleBytes)
	}
	pb, relaxed, err := unmarshalBundle(data)
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
	if err := checkCost(pb.GetVerificationMaterial()); err != nil {
		return nil, err
	}
	if chain := pb.GetVerificationMaterial().GetX509CertificateChain(); chain != nil {
		if err := trimChain(chain); err != nil {
			return nil, err
		}
	}
	entity, err := bundle.NewBundle(pb, bundle.AllowCertificateChain())
	if err != nil {
		return nil, err
	}
	header, err := statement.ParseHeader(envelope.GetPayload())
	if err != nil {
		return nil, err
	}
	s := &signedStatement{entity: entity, payload: envelope.GetPayload(), header: header, relaxed: relaxed}
	return s, s.readSigner(pb.GetVerificationMaterial())
}

// trimChain leaves a root out: some signers send theirs along, and sigstore-go
// refuses such a chain. It is trusted only when the policy names it, and then it
// is there already.
func trimChain(chain *protocommon.X509CertificateChain) error {
	n := len(chain.GetCertificates())
	if n < 2 {
		return nil
	}
	last, err := x509.ParseCertificate(chain.GetCertificates()[n-1].GetRawBytes())
	if err != nil {
		return err
	}
	if bytes.Equal(last.RawSubject, last.RawIssuer) && last.CheckSignature(last.SignatureAlgorithm, last.RawTBSCertificate, last.Signature) == nil {
		chain.Certificates = chain.GetCertificates()[:n-1]
	}
	return nil
}

// readSigner reads who signed, as far as the bundle says it.
func (s *signedStatement) readSigner(material *protobundle.VerificationMaterial) error {
	content, err := s.entity.VerificationContent()
	if err != nil {
		return err
	}
	switch {
	case content.PublicKey() != nil:
		s.form, s.hint = formKey, content.PublicKey().Hint()
	case material.GetX509CertificateChain() != nil:
		s.form, s.leaf, s.intermediates = formChain, content.Certificate(), content.Intermediates()
	default:
		s.form, s.leaf = formLeaf, content.Certificate()
	}
	return nil
}

// unmarshalBundle reads the current form of a bundle and, when it is none, the
// one of OMS signers before 1.1.
func unmarshalBundle(data []byte) (pb *protobundle.Bundle, relaxed []statement.Relaxation, err error) {
	pb = &protobundle.Bundle{}
	if err = protojson.Unmarshal(data, pb); err == nil {
		return pb, nil, nil
	}
	modern, changed := modernize(data)
	if !changed {
		return nil, nil, fmt.Errorf("it does not parse: %w", err)
	}
	pb = &protobundle.Bundle{}
	if err := protojson.Unmarshal(modern, pb); err != nil {
		return nil, nil, fmt.Errorf("it does not parse: %w", err)
	}
	return pb, []statement.Relaxation{statement.RelaxedKey}, nil
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
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	// Not dec.More, for which a bracket that closes nothing is the end.
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
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
