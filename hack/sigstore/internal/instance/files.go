package instance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	"github.com/sigstore/sigstore-go/pkg/root"

	"github.com/modseal/modseal/hack/sigstore/internal/issuer"
	"github.com/modseal/modseal/hack/sigstore/internal/material"
)

// operator of all services.
const operator = "localhost"

const urlsFile = "sigstore.json"

// writeFiles writes what clients need: the trusted root, the signing
// configurations and the URLs.
func (i *Instance) writeFiles(context.Context) error {
	trusted, err := i.trustedRoot()
	if err != nil {
		return err
	}
	if err := i.write("trusted_root.json", trusted); err != nil {
		return err
	}
	for name, c := range i.signingConfigs() {
		config, err := i.signingConfig(c)
		if err != nil {
			return err
		}
		if err := i.write(name, config); err != nil {
			return err
		}
	}
	return i.write(urlsFile, i.urls)
}

func (i *Instance) write(name string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	// Who waits for the file must not read half of it.
	file := filepath.Join(i.dir, name)
	if err := os.WriteFile(file+".new", text.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// trustedRoot has all that verifies what the instance signs; of what is not to
// be trusted it has nothing.
func (i *Instance) trustedRoot() (*root.TrustedRoot, error) {
	authority := &root.FulcioCertificateAuthority{
		Root: i.fulcio.Root(), Intermediates: i.fulcio.Certificates[:1],
		ValidityPeriodStart: i.since(), URI: i.urls.Fulcio,
	}
	tsa := i.trusted.tsa.Certificates
	timestamps := &root.SigstoreTimestampingAuthority{
		Root: i.trusted.tsa.Root(), Intermediates: tsa[1 : len(tsa)-1], Leaf: tsa[0],
		ValidityPeriodStart: i.since(), URI: i.urls.TSA,
	}
	logs, err := i.logs(i.trusted.rekor, i.urls.Rekor)
	if err != nil {
		return nil, err
	}
	if i.options.RekorV1 != "" {
		v1logs, err := i.logs(i.rekorV1, i.urls.RekorV1)
		if err != nil {
			return nil, err
		}
		maps.Copy(logs, v1logs)
	}
	ctlogs := map[string]*root.TransparencyLog{}
	if !i.options.NoCTLog {
		if ctlogs, err = i.logs(i.ctKey, i.urls.CTLog); err != nil {
			return nil, err
		}
	}
	return root.NewTrustedRoot(
		root.TrustedRootMediaType01,
		[]root.CertificateAuthority{authority}, ctlogs, []root.TimestampingAuthority{timestamps}, logs,
	)
}

// since is when the certificates begin to be valid, and with them all keys.
func (i *Instance) since() time.Time { return i.fulcio.Root().NotBefore }

// logs is the one log of a key. The ID of a log with an ECDSA key is the SHA-256
// of the key: for CT by RFC 6962 section 3.2, for Rekor v2 by its pkg/note.
func (i *Instance) logs(key material.Key, u string) (map[string]*root.TransparencyLog, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	id := sha256.Sum256(der)
	return map[string]*root.TransparencyLog{hex.EncodeToString(id[:]): {
		BaseURL: u, ID: id[:], ValidityPeriodStart: i.since(), HashFunc: crypto.SHA256,
		PublicKey: key.Public(), SignatureHashFunc: crypto.SHA256,
	}}, nil
}

// signing is what one configuration has; an empty URL leaves the service out.
type signing struct{ fulcio, rekor, tsa, rekorV1 string }

func (i *Instance) signingConfigs() map[string]signing {
	u := i.urls
	configs := map[string]signing{
		"signing_config.json":         {u.Fulcio, u.Rekor, u.TSA, ""},
		"signing_config.no-log.json":  {u.Fulcio, "", u.TSA, ""},
		"signing_config.no-tsa.json":  {u.Fulcio, u.Rekor, "", ""},
		"signing_config.expired.json": {u.FulcioExpired, u.Rekor, u.TSA, ""},
	}
	if i.options.Untrusted {
		configs["signing_config.untrusted-log.json"] = signing{u.Fulcio, u.Untrusted.Rekor, u.TSA, ""}
		configs["signing_config.untrusted-tsa.json"] = signing{u.Fulcio, u.Rekor, u.Untrusted.TSA, ""}
	}
	if i.options.RekorV1 != "" {
		configs["signing_config.rekor-v1.json"] = signing{u.Fulcio, "", "", u.RekorV1}
	}
	return configs
}

func (i *Instance) signingConfig(s signing) (*root.SigningConfig, error) {
	any1 := root.ServiceConfiguration{Selector: v1.ServiceSelector_ANY}
	return root.NewSigningConfig(
		root.SigningConfigMediaType02,
		i.service(s.fulcio, 1), i.service(i.urls.Issuers[issuer.Email], 1),
		append(i.service(s.rekor, 2), i.service(s.rekorV1, 1)...), any1, i.service(s.tsa, 1), any1,
	)
}

func (i *Instance) service(u string, version uint32) []root.Service {
	if u == "" {
		return nil
	}
	return []root.Service{{URL: u, MajorAPIVersion: version, ValidityPeriodStart: i.since(), Operator: operator}}
}
