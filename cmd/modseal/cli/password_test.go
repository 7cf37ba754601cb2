package cli

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// Three wrong PINs lock many tokens: a password is none.
func TestPasswordIsNoPIN(t *testing.T) {
	t.Setenv(envPassword, "secret")
	a := &app{in: strings.NewReader(""), err: io.Discard, env: processEnvironment()}
	if p, err := a.keyPassword("release.key")(); err != nil || string(p) != "secret" {
		t.Errorf("%q, %v", p, err)
	}
	if p, err := a.keyPassword("pkcs11:token=t;object=o")(); !errors.Is(err, errNoTerminal) {
		t.Errorf("%q, %v", p, err)
	}
}
