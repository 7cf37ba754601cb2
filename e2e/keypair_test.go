package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
)

// keypair PREFIX makes a key pair like "modseal keygen --output-key-prefix PREFIX", but
// for the password: stretching it costs a fifth of a second of a processor, and that
// again whenever something is signed.
func keypair(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "keypair PREFIX")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	ts.Check(err)
	prefix := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(prefix), 0o755))
	ts.Check(os.WriteFile(prefix+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
	ts.Check(os.WriteFile(prefix+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644))
}
