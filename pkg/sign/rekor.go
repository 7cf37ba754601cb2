package sign

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-openapi/runtime"
	openapi "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	tilespb "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	rekor "github.com/sigstore/rekor/pkg/generated/client"
	"github.com/sigstore/rekor/pkg/util"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// newLog returns the client of a transparency log. Those that sigstore-go makes by
// itself reach their service past the caller.
func newLog(service root.Service, c *caller) (*sign.Rekor, error) {
	o := &sign.RekorOptions{BaseURL: service.URL, Version: service.MajorAPIVersion, Timeout: noTimeout}
	if service.MajorAPIVersion >= rekorV2 {
		o.ClientV2 = &tiles{url: strings.TrimSuffix(service.URL, "/") + "/api/v2/log/entries", client: &http.Client{Transport: c}}
		return sign.NewRekor(o), nil
	}
	u, err := url.Parse(service.URL)
	if err != nil {
		return nil, err
	}
	base := strings.TrimSuffix(u.Path, "/")
	if base == "" {
		base = rekor.DefaultBasePath
	}
	transport := openapi.NewWithClient(u.Host, base, []string{u.Scheme}, &http.Client{Transport: c})
	transport.Consumers["application/json"] = runtime.JSONConsumer()
	transport.Producers["application/json"] = runtime.JSONProducer()
	formats := strfmt.NewFormats()
	formats.Add("signedCheckpoint", &util.SignedNote{}, util.SignedCheckpointValidator)
	o.Client = rekor.New(transport, formats).Entries
	return sign.NewRekor(o), nil
}

// tiles writes to a log of version 2
// (https://github.com/sigstore/rekor-tiles/blob/v2.3.0/openapi.yaml).
type tiles struct {
	url    string
	client *http.Client
}

// Add is the RekorV2Client of sigstore-go.
func (t *tiles) Add(ctx context.Context, entry any) (*protorekor.TransparencyLogEntry, error) {
	record, ok := entry.(*tilespb.HashedRekordRequestV002)
	if !ok {
		return nil, fmt.Errorf("entries of type %T are not written", entry)
	}
	body, err := protojson.Marshal(&tilespb.CreateEntryRequest{
		Spec: &tilespb.CreateEntryRequest_HashedRekordRequestV002{HashedRekordRequestV002: record},
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body) // the caller has bounded it
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusCreated {
		return nil, fmt.Errorf("answered %s", resp.Status)
	}
	out := &protorekor.TransparencyLogEntry{}
	if err := protojson.Unmarshal(answer, out); err != nil {
		return nil, err
	}
	return out, nil
}
