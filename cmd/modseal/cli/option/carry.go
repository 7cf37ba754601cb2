package option

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// Carry says what an archive carries besides artifacts.
type Carry struct {
	Trust  TrustNames
	Policy bool
}

// AddFlags adds the flags of the group.
func (c *Carry) AddFlags(fs *pflag.FlagSet) {
	fs.Var(&c.Trust, "with-trust", "carry trust material: all by which was decided, or with =NAME what has that NAME in the trust store (may be repeated)")
	fs.Lookup("with-trust").NoOptDefVal = usedTrust
	fs.BoolVar(&c.Policy, "with-policy", false, "carry the policy by which was decided")
}

// usedTrust is a value that no name in a trust store can be. Help shows it behind the
// flag, as what may follow it.
const usedTrust = "NAME,..."

// TrustNames are names in the trust store, or none for what was used.
type TrustNames struct {
	Given bool
	Names []string
}

// String implements pflag.Value.
func (t *TrustNames) String() string { return strings.Join(t.Names, ",") }

// Set implements pflag.Value.
func (t *TrustNames) Set(v string) error {
	used := v == usedTrust
	if t.Given && used != (len(t.Names) == 0) {
		return errors.New("it names something and nothing at once: name all that is meant")
	}
	t.Given = true
	if used {
		return nil
	}
	for name := range strings.SplitSeq(v, ",") {
		if name == "" {
			return errors.New("a name is empty; is a variable not set?")
		}
		t.Names = append(t.Names, name)
	}
	return nil
}

// Type implements pflag.Value. It is empty, or help would show a value after a blank,
// where none is read.
func (*TrustNames) Type() string { return "" }
