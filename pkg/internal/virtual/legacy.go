package virtual

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/sigstore/rekor/pkg/pki"
	"github.com/sigstore/rekor/pkg/types"
	hashedrekord "github.com/sigstore/rekor/pkg/types/hashedrekord"
	_ "github.com/sigstore/rekor/pkg/types/hashedrekord/v0.0.1" // the version that cosign wrote
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// Legacy is a layer in the shape of cosign before it had bundles.
type Legacy struct {
	Payload     []byte
	Annotations map[string]string
}

// LegacySignature returns the layer of a signature of payload, by the holder of a
// certificate, or by a key when the holder has none.
func (s *Sigstore) LegacySignature(t testing.TB, h Holder, c Claim) Legacy {
	t.Helper()
	sum := sha256.Sum256(c.Payload)
	sig, err := h.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
	check(t, err)
	e := h.entry(c, sig)
	if c.Entry != nil {
		sum = sha256.Sum256(c.Entry)
		e.payload = c.Entry
		e.sig, err = h.Key.Sign(rand.Reader, sum[:], crypto.SHA256)
		check(t, err)
	}
	out := s.legacy(t, h, c, sig, e, func() types.ArtifactProperties {
		return types.ArtifactProperties{
			ArtifactHash: "sha256:" + hex.EncodeToString(sum[:]), SignatureBytes: e.sig,
			PublicKeyBytes: [][]byte{e.verifierPEM(t)}, PKIFormat: string(pki.X509),
		}
	})
	out.Payload = c.Payload
	out.Annotations["dev.cosignproject.cosign/signature"] = base64.StdEncoding.EncodeToString(sig)
	return out
}

// LegacyAttestation returns the layer of an attestation, whose envelope is the
// layer itself.
func (s *Sigstore) LegacyAttestation(t testing.TB, h Holder, c Claim) Legacy {
	t.Helper()
	sig := Sign(t, h.Key, payloadType, c.Payload)
	out := s.legacy(t, h, c, sig, h.entry(c, sig), nil)
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(c.Payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
	})
	check(t, err)
	out.Payload = envelope
	// cosign writes it, and it is empty.
	out.Annotations["dev.cosignproject.cosign/signature"] = ""
	return out
}

func (h Holder) entry(c Claim, sig []byte) entry {
	e := entry{payload: c.Payload, sig: sig, public: h.Key.Public(), at: c.logged()}
	if len(h.Chain) > 0 {
		e.leaf = h.Chain[0]
	}
	return e
}

// legacy writes what a layer has beside its signature. properties is what is
// logged as a hashedrekord; nil logs an envelope.
func (s *Sigstore) legacy(t testing.TB, h Holder, c Claim, sig []byte, e entry, properties func() types.ArtifactProperties) Legacy {
	t.Helper()
	out := Legacy{Annotations: map[string]string{}}
	if len(h.Chain) > 0 {
		out.Annotations["dev.sigstore.cosign/certificate"] = string(certificatePEM(h.Chain[0]))
		var chain bytes.Buffer
		for _, cert := range h.Chain[1:] {
			chain.Write(certificatePEM(cert))
		}
		out.Annotations["dev.sigstore.cosign/chain"] = chain.String()
	}
	if c.Log == LogV1 {
		body := dsseEntryOr(t, e, properties)
		id, err := s.v1.RekorLogID()
		check(t, err)
		payload := tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: e.at.Unix(), LogIndex: 7, LogID: id}
		promise, err := s.v1.RekorSignPayload(payload)
		check(t, err)
		text, err := json.Marshal(struct {
			SignedEntryTimestamp []byte
			Payload              tlog.RekorPayload
		}{promise, payload})
		check(t, err)
		out.Annotations["dev.sigstore.cosign/bundle"] = string(text)
	}
	if c.Timestamp {
		token, err := s.v1.TimestampResponse(sig)
		check(t, err)
		text, err := json.Marshal(struct{ SignedRFC3161Timestamp []byte }{token})
		check(t, err)
		out.Annotations["dev.sigstore.cosign/rfc3161timestamp"] = string(text)
	}
	return out
}

func dsseEntryOr(t testing.TB, e entry, properties func() types.ArtifactProperties) []byte {
	t.Helper()
	if properties == nil {
		return dsseEntry(t, e)
	}
	ctx := context.Background()
	proposed, err := types.NewProposedEntry(ctx, hashedrekord.KIND, "0.0.1", properties())
	check(t, err)
	versioned, err := types.CreateVersionedEntry(proposed)
	check(t, err)
	canonical, err := types.CanonicalizeEntry(ctx, versioned)
	check(t, err)
	return canonical
}

// Person returns a holder of a certificate that the authority of the instance
// issued for id.
func (s *Sigstore) Person(t testing.TB, id Identity) Holder {
	t.Helper()
	leaf, key := s.issue(t, id)
	return Holder{Key: key, Chain: []*x509.Certificate{leaf}}
}

// KeyHolder returns a holder of a key alone.
func KeyHolder(key crypto.Signer) Holder { return Holder{Key: key} }
