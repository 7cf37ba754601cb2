package sign

import (
	"crypto/x509"
	"fmt"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// check verifies b with the trusted root: what each service answered, and for
// keyless the certificate and whom it is of. A certificate of another authority is
// believed by those who verify or not; it is not in the root.
func (s *services) check(b *protobundle.Bundle, c credential, who Identity) error {
	if s.o.Root == nil {
		return nil
	}
	entity, err := bundle.NewBundle(b, bundle.AllowCertificateChain())
	if err == nil {
		if who.Method == MethodKeyless {
			err = s.checkKeyless(entity, who)
		} else {
			err = s.checkWitnesses(entity, c)
		}
	}
	if err != nil {
		return &SelfCheckError{err}
	}
	return nil
}

// checkCertificate verifies the certificate of a keyless signer with the trusted
// root, at the time when it was issued: a root of another instance is found out
// before anything is signed.
func (s *services) checkCertificate(leaf *x509.Certificate) error {
	if s.o.Root == nil {
		return nil
	}
	material := s.o.Root.Material()
	chains, err := verify.VerifyLeafCertificate(leaf.NotBefore, leaf, material)
	if err == nil && len(material.CTLogs()) > 0 {
		err = verify.VerifySignedCertificateTimestamp(chains, 1, material)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", serviceAuthority, err)
	}
	return nil
}

func (s *services) checkKeyless(entity *bundle.Bundle, who Identity) error {
	material := s.o.Root.Material()
	options := []verify.VerifierOption{verify.WithoutStatementPredicate()}
	if len(s.logs) > 0 {
		options = append(options, verify.WithTransparencyLog(len(s.logs)))
	}
	if len(s.stamps) > 0 {
		options = append(options, verify.WithSignedTimestamps(len(s.stamps)))
	} else {
		options = append(options, verify.WithIntegratedTimestamps(1))
	}
	if len(material.CTLogs()) > 0 {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
	}
	v, err := verify.NewVerifier(material, options...)
	if err != nil {
		return err
	}
	id, err := verify.NewShortCertificateIdentity(who.Issuer, "", who.Subject, "")
	if err != nil {
		return err
	}
	// Whether the statement is about the artifact is known to who made it.
	_, err = v.Verify(entity, verify.NewPolicy(verify.WithoutArtifactUnsafe(), verify.WithCertificateIdentity(id)))
	return err
}

func (s *services) checkWitnesses(entity *bundle.Bundle, c credential) error {
	verifier, err := signature.LoadDefaultVerifier(c.key.public.Public)
	if err != nil {
		return err
	}
	material := root.TrustedMaterialCollection{
		s.o.Root.Material(),
		root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
			return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil // ours, and valid
		}),
	}
	if len(s.logs) > 0 {
		if _, err := verify.VerifyTlogEntry(entity, material, len(s.logs), true); err != nil {
			return fmt.Errorf("%s: %w", serviceLog, err)
		}
	}
	if len(s.stamps) > 0 {
		if _, err := verify.VerifySignedTimestampWithThreshold(entity, material, len(s.stamps)); err != nil {
			return fmt.Errorf("%s: %w", serviceTimestamp, err)
		}
	}
	return nil
}
