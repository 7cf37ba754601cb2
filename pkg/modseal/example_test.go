package modseal_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/modseal/modseal/pkg/modseal"
	"github.com/modseal/modseal/pkg/sign"
)

// A model goes into an OCI layout, signed, and comes out again for who trusts
// the key. A registry reference works in the place of the layout.
func Example() {
	ctx := context.Background()
	work, err := os.MkdirTemp("", "modseal-example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(work) }()
	model := filepath.Join(work, "model")
	if err := os.Mkdir(model, 0o755); err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "config.json"), []byte("{}"), 0o644); err != nil {
		log.Fatal(err)
	}
	password := []byte("correct horse")
	ours, err := modseal.Keygen(filepath.Join(work, "release"), sign.P256, password)
	if err != nil {
		log.Fatal(err)
	}
	theirs, err := modseal.Keygen(filepath.Join(work, "stranger"), sign.P256, password)
	if err != nil {
		log.Fatal(err)
	}

	client, err := modseal.New(modseal.Options{StateDir: filepath.Join(work, "state")})
	if err != nil {
		log.Fatal(err)
	}
	target := "oci:" + filepath.Join(work, "layout") + ":v1"
	pushed, err := client.Push(ctx, model, target, modseal.PackOptions{
		Signer: &modseal.SignOptions{Key: ours.PrivateKey, Password: func() ([]byte, error) { return password, nil }},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pushed.Digest, len(pushed.Signatures), "signatures")

	pulled, err := client.Pull(ctx, target, filepath.Join(work, "pulled"), modseal.PullOptions{
		Trust: modseal.TrustOptions{Keys: []string{ours.PublicKey}},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pulled.Verification.Decision, pulled.Files.Files[0].Path)

	_, err = client.Pull(ctx, target, filepath.Join(work, "other"), modseal.PullOptions{
		Trust: modseal.TrustOptions{Keys: []string{theirs.PublicKey}},
	})
	fmt.Println(modseal.ClassOf(err) == modseal.ClassRefused)
	// Output:
	// sha256:7834e32d52ced4e4217b8d4e341f43b8edbe2e1ab2b1c1da5757309e861d45fa 2 signatures
	// accepted config.json
	// true
}
