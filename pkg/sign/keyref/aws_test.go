package keyref_test

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modseal/modseal/pkg/sign/keyref"
)

// awsKey is a key of a server that speaks the documented API of AWS KMS
// (https://docs.aws.amazon.com/kms/latest/APIReference/): GetPublicKey,
// DescribeKey and Sign, with real keys.
type awsKey struct {
	key        crypto.Signer
	spec       string
	algorithms []string
	hash       crypto.Hash
}

func awsServer(t *testing.T, keys map[string]awsKey) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request struct {
			KeyID, MessageType, SigningAlgorithm string
			Message                              []byte
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fail := func(kind, message string) {
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "message": message})
		}
		if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=AKIATEST/") {
			fail("AccessDeniedException", "not signed by the account")
			return
		}
		if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
			fail("ValidationException", err.Error())
			return
		}
		k, ok := keys[request.KeyID]
		if !ok {
			fail("NotFoundException", "Alias is not found")
			return
		}
		der, err := x509.MarshalPKIXPublicKey(k.key.Public())
		if err != nil {
			t.Error(err)
		}
		switch r.Header.Get("X-Amz-Target") {
		case "TrentService.GetPublicKey":
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": request.KeyID, "PublicKey": der, "KeySpec": k.spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": k.algorithms})
		case "TrentService.DescribeKey":
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyMetadata": map[string]any{"KeyId": request.KeyID, "KeySpec": k.spec, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": k.algorithms}})
		case "TrentService.Sign":
			if request.MessageType != "DIGEST" || request.SigningAlgorithm != k.algorithms[0] || len(request.Message) != k.hash.Size() {
				fail("ValidationException", "Digest is invalid length for algorithm "+request.SigningAlgorithm)
				return
			}
			var o crypto.SignerOpts = k.hash
			if strings.Contains(request.SigningAlgorithm, "PSS") {
				o = &rsa.PSSOptions{Hash: k.hash, SaltLength: rsa.PSSSaltLengthEqualsHash}
			}
			sig, err := k.key.Sign(rand.Reader, request.Message, o)
			if err != nil {
				t.Error(err)
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"KeyId": request.KeyID, "Signature": sig, "SigningAlgorithm": request.SigningAlgorithm})
		default:
			fail("UnknownOperationException", r.Header.Get("X-Amz-Target"))
		}
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_KMS": server.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
}

func TestAWS(t *testing.T) {
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]awsKey{
		"alias/p256": {ecKey(t, elliptic.P256()), "ECC_NIST_P256", []string{"ECDSA_SHA_256"}, crypto.SHA256},
		"alias/p384": {ecKey(t, elliptic.P384()), "ECC_NIST_P384", []string{"ECDSA_SHA_384"}, crypto.SHA384},
		"alias/p521": {ecKey(t, elliptic.P521()), "ECC_NIST_P521", []string{"ECDSA_SHA_512"}, crypto.SHA512},
		"alias/rsa":  {big, "RSA_2048", []string{"RSASSA_PKCS1_V1_5_SHA_256", "RSASSA_PSS_SHA_256"}, crypto.SHA256},
		"alias/pss":  {big, "RSA_2048", []string{"RSASSA_PSS_SHA_256"}, crypto.SHA256},
	}
	awsServer(t, keys)
	store := keyref.New(keyref.Options{})
	for name, k := range keys {
		s, err := store.Signer(t.Context(), "awskms:///"+name, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name == "alias/pss" {
			// Nobody verifies such signatures: they must not be made.
			if _, err := s.Sign(t.Context(), statementText, 0); err == nil || !strings.Contains(err.Error(), "PKCS #1 v1.5") {
				t.Error(err)
			}
			continue
		}
		verifySignatures(t, s, k.hash)
		if s.Identity().Key.Name != "awskms:///"+name {
			t.Errorf("%s is called %s", name, s.Identity())
		}
	}
	if _, err := store.Signer(t.Context(), "awskms:///alias/none", nil); err == nil || !strings.Contains(err.Error(), "NotFoundException") || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Error(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAOTHER")
	if _, err := store.PublicKey(t.Context(), "awskms:///alias/p256"); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
		t.Error(err)
	}
}
