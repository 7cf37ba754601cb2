package virtual

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cyberphone/json-canonicalization/go/src/webpki.org/jsoncanonicalizer"
	"github.com/go-openapi/runtime"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/rekor/pkg/generated/models"
	"github.com/sigstore/rekor/pkg/types"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
)

// entryV1 writes to the log of version 1
// (https://github.com/sigstore/rekor/blob/v1.5.3/openapi.yaml).
func (v *Services) entryV1(r *http.Request, body []byte) (reply, error) {
	proposed, err := models.UnmarshalProposedEntry(bytes.NewReader(body), runtime.JSONConsumer())
	if err != nil {
		return reply{}, err
	}
	versioned, err := types.CreateVersionedEntry(proposed)
	if err != nil {
		return reply{}, err
	}
	canonical, err := types.CanonicalizeEntry(r.Context(), versioned)
	if err != nil {
		return reply{}, err
	}
	id, err := v.s.v1.RekorLogID()
	if err != nil {
		return reply{}, err
	}
	payload := tlog.RekorPayload{Body: base64.StdEncoding.EncodeToString(canonical), IntegratedTime: time.Now().Unix(), LogID: id}
	promise, err := v.s.v1.RekorSignPayload(payload)
	if err != nil {
		return reply{}, err
	}
	proof, err := v.s.v1.GetInclusionProof(canonical)
	if err != nil {
		return reply{}, err
	}
	// Names are those of Rekor's API, with the hash of the leaf as the entry's.
	uuid := strings.Repeat("0", 16) + hex.EncodeToString(leafHash(canonical))
	if proof.Hashes == nil {
		proof.Hashes = []string{}
	}
	answer, err := json.Marshal(map[string]any{uuid: map[string]any{
		"body": payload.Body, "integratedTime": payload.IntegratedTime, "logID": id, "logIndex": 0,
		"verification": map[string]any{"inclusionProof": proof, "signedEntryTimestamp": promise},
	}})
	return reply{status: http.StatusCreated, mediaType: "application/json", body: answer, uuid: uuid}, err
}

// entryV2 writes to the log of version 2
// (https://github.com/sigstore/rekor-tiles/blob/v2.3.0/openapi.yaml).
func (v *Services) entryV2(_ *http.Request, body []byte) (reply, error) {
	request := &tilespb.CreateEntryRequest{}
	if err := protojson.Unmarshal(body, request); err != nil {
		return reply{}, err
	}
	algorithms, err := signature.NewAlgorithmRegistryConfig([]protocommon.PublicKeyDetails{
		protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256, protocommon.PublicKeyDetails_PKIX_ECDSA_P384_SHA_384, protocommon.PublicKeyDetails_PKIX_ECDSA_P521_SHA_512,
	})
	if err != nil {
		return reply{}, err
	}
	entry, err := hashedrekord.ToLogEntry(request.GetHashedRekordRequestV002(), algorithms)
	if err != nil {
		return reply{}, err
	}
	text, err := protojson.Marshal(entry)
	if err != nil {
		return reply{}, err
	}
	canonical, err := jsoncanonicalizer.Transform(text)
	if err != nil {
		return reply{}, err
	}
	answer, err := protojson.Marshal(v.s.tilesEntry(v.t, canonical))
	return reply{status: http.StatusCreated, mediaType: "application/json", body: answer}, err
}
