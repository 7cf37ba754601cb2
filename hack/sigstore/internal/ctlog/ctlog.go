// Package ctlog promises to log certificates (RFC 6962 sections 4.1 and 4.2):
// it signs the timestamps that Fulcio puts into what it issues. It keeps no tree,
// so nobody can look a certificate up; a verifier of signatures never does.
package ctlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
	ctx509 "github.com/google/certificate-transparency-go/x509"
)

// maxBody bounds a request: Fulcio's chains have a few kilobytes.
const maxBody = 1 << 20

// Log is a certificate transparency log.
type Log struct {
	key    *ecdsa.PrivateKey
	id     [sha256.Size]byte
	issuer *x509.Certificate
}

// New returns a log that accepts the certificates of issuer.
func New(key *ecdsa.PrivateKey, issuer *x509.Certificate) (*Log, error) {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	return &Log{key: key, id: sha256.Sum256(der), issuer: issuer}, nil
}

// ID is the log's ID: the SHA-256 of its public key (RFC 6962 section 3.2).
func (l *Log) ID() []byte { return l.id[:] }

// Handler answers add-chain and add-pre-chain.
func (l *Log) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /ct/v1/add-chain", l.add(ct.X509LogEntryType))
	mux.HandleFunc("POST /ct/v1/add-pre-chain", l.add(ct.PrecertLogEntryType))
	return mux
}

func (l *Log) add(kind ct.LogEntryType) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request ct.AddChainRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		chain, err := l.accept(request.Chain)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		response, err := l.sign(chain, kind)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// The connection is all that can fail, and then nobody reads an error.
		_ = json.NewEncoder(w).Encode(response)
	}
}

// accept takes a certificate only from the issuer that the log is for, as RFC
// 6962 section 3.1 wants of a log's list of roots.
func (l *Log) accept(raw [][]byte) ([]*ctx509.Certificate, error) {
	if len(raw) < 2 {
		return nil, fmt.Errorf("a chain of %d certificates: the issuer's is missing", len(raw))
	}
	if !bytes.Equal(raw[1], l.issuer.Raw) {
		return nil, fmt.Errorf("this log is for the certificates of %s", l.issuer.Subject)
	}
	leaf, err := x509.ParseCertificate(raw[0])
	if err != nil {
		return nil, err
	}
	if err := leaf.CheckSignatureFrom(l.issuer); err != nil {
		return nil, err
	}
	chain := make([]*ctx509.Certificate, 2)
	for i := range chain {
		c, err := ctx509.ParseCertificate(raw[i])
		if ctx509.IsFatal(err) {
			return nil, err
		}
		chain[i] = c
	}
	return chain, nil
}

// sign makes the signed certificate timestamp of RFC 6962 section 3.2.
func (l *Log) sign(chain []*ctx509.Certificate, kind ct.LogEntryType) (*ct.AddChainResponse, error) {
	sct := ct.SignedCertificateTimestamp{
		SCTVersion: ct.V1,
		LogID:      ct.LogID{KeyID: l.id},
		Timestamp:  uint64(time.Now().UnixMilli()),
	}
	leaf, err := ct.MerkleTreeLeafFromChain(chain, kind, sct.Timestamp)
	if err != nil {
		return nil, err
	}
	input, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(input)
	signature, err := ecdsa.SignASN1(rand.Reader, l.key, hash[:])
	if err != nil {
		return nil, err
	}
	signed, err := tls.Marshal(tls.DigitallySigned{
		Algorithm: tls.SignatureAndHashAlgorithm{Hash: tls.SHA256, Signature: tls.ECDSA},
		Signature: signature,
	})
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{
		SCTVersion: sct.SCTVersion,
		ID:         l.id[:],
		Timestamp:  sct.Timestamp,
		Extensions: base64.StdEncoding.EncodeToString(sct.Extensions),
		Signature:  signed,
	}, nil
}
