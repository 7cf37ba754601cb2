package virtual

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/runtime"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	tilesnote "github.com/sigstore/rekor-tiles/v2/pkg/note"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/pki"
	"github.com/sigstore/rekor/pkg/types"
	rekordsse "github.com/sigstore/rekor/pkg/types/dsse"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
	formatslog "github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"google.golang.org/protobuf/encoding/protojson"
)

// logV1 makes an entry of kind dsse 0.0.1, with signed entry timestamp and
// inclusion proof.
func (s *Sigstore) logV1(t testing.TB, e entry) *protorekor.TransparencyLogEntry {
	t.Helper()
	body := dsseEntry(t, e)
	id, err := s.v1.RekorLogID()
	check(t, err)
	rawID, err := hex.DecodeString(id)
	check(t, err)
	promise, err := s.v1.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(body), IntegratedTime: e.at.Unix(), LogID: id,
	})
	check(t, err)
	proof, err := s.v1.GetInclusionProof(body)
	check(t, err)
	rootHash, err := hex.DecodeString(*proof.RootHash)
	check(t, err)
	return &protorekor.TransparencyLogEntry{
		LogId:             &protocommon.LogId{KeyId: rawID},
		KindVersion:       &protorekor.KindVersion{Kind: rekordsse.KIND, Version: "0.0.1"},
		IntegratedTime:    e.at.Unix(),
		InclusionPromise:  &protorekor.InclusionPromise{SignedEntryTimestamp: promise},
		InclusionProof:    &protorekor.InclusionProof{TreeSize: *proof.TreeSize, RootHash: rootHash, Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint}},
		CanonicalizedBody: body,
	}
}

// dsseEntry has Rekor's own code make the entry of an envelope.
func dsseEntry(t testing.TB, e entry) []byte {
	t.Helper()
	envelope, err := json.Marshal(dsse.Envelope{
		PayloadType: payloadType,
		Payload:     base64.StdEncoding.EncodeToString(e.payload),
		Signatures:  []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(e.sig)}},
	})
	check(t, err)
	ctx := context.Background()
	proposed, err := types.NewProposedEntry(ctx, rekordsse.KIND, "0.0.1", types.ArtifactProperties{
		ArtifactBytes: envelope, PublicKeyBytes: [][]byte{e.verifierPEM(t)}, PKIFormat: string(pki.X509),
	})
	check(t, err)
	versioned, err := types.CreateVersionedEntry(proposed)
	check(t, err)
	canonical, err := types.CanonicalizeEntry(ctx, versioned)
	check(t, err)
	// What is read back must be an entry: a log would refuse another.
	_, err = models.UnmarshalProposedEntry(bytes.NewReader(canonical), runtime.JSONConsumer())
	check(t, err)
	return canonical
}

// logV2 makes an entry of kind hashedrekord 0.0.2 over the pre-authentication
// encoding, with an inclusion proof and without a time
// (https://github.com/sigstore/rekor-tiles/blob/v2.3.0/CLIENTS.md).
func (s *Sigstore) logV2(t testing.TB, e entry) *protorekor.TransparencyLogEntry {
	t.Helper()
	return s.tilesEntry(t, hashedRekord(t, e))
}

// tilesEntry is the entry with the given body in a log of nothing else.
func (s *Sigstore) tilesEntry(t testing.TB, body []byte) *protorekor.TransparencyLogEntry {
	t.Helper()
	leafHash := leafHash(body)
	signer, err := signature.LoadECDSASignerVerifier(s.tiles, crypto.SHA256)
	check(t, err)
	noteSigner, err := tilesnote.NewNoteSigner(context.Background(), s.tilesOrigin(), signer)
	check(t, err)
	checkpoint := formatslog.Checkpoint{Origin: s.tilesOrigin(), Size: 1, Hash: leafHash}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(checkpoint)}, noteSigner)
	check(t, err)
	return &protorekor.TransparencyLogEntry{
		LogId:             &protocommon.LogId{KeyId: logID(t, s.tiles.Public())},
		KindVersion:       &protorekor.KindVersion{Kind: "hashedrekord", Version: "0.0.2"},
		InclusionProof:    &protorekor.InclusionProof{TreeSize: 1, RootHash: leafHash, Checkpoint: &protorekor.Checkpoint{Envelope: string(signed)}},
		CanonicalizedBody: body,
	}
}

func hashedRekord(t testing.TB, e entry) []byte {
	t.Helper()
	details, err := signature.GetDefaultAlgorithmDetails(e.public, options.WithED25519ph())
	check(t, err)
	h := details.GetHashType().New()
	h.Write(dsse.PAE(payloadType, e.payload))
	verifier := &tilespb.Verifier{KeyDetails: details.GetSignatureAlgorithm()}
	if e.leaf != nil {
		verifier.Verifier = &tilespb.Verifier_X509Certificate{X509Certificate: &protocommon.X509Certificate{RawBytes: e.leaf.Raw}}
	} else {
		verifier.Verifier = &tilespb.Verifier_PublicKey{PublicKey: &tilespb.PublicKey{RawBytes: marshalKey(t, e.public)}}
	}
	text, err := protojson.Marshal(&tilespb.Entry{
		Kind: "hashedrekord", ApiVersion: "0.0.2",
		Spec: &tilespb.Spec{Spec: &tilespb.Spec_HashedRekordV002{HashedRekordV002: &tilespb.HashedRekordLogEntryV002{
			Data:      &protocommon.HashOutput{Algorithm: details.GetProtoHashType(), Digest: h.Sum(nil)},
			Signature: &tilespb.Signature{Content: e.sig, Verifier: verifier},
		}}},
	})
	check(t, err)
	canonical, err := jsoncanonicalizer.Transform(text)
	check(t, err)
	return canonical
}

func leafHash(body []byte) []byte { return rfc6962.DefaultHasher.HashLeaf(body) }
