package e2e_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// A command of ours that is called like one of testscript's is never called, and
// nothing says so: with "stop", the rest of a script is passed over.
func TestCommandsAreOurs(t *testing.T) {
	var called sync.Map
	dir := t.TempDir()
	ours := map[string]func(*testscript.TestScript, bool, []string){}
	for name := range commands {
		ours[name] = func(*testscript.TestScript, bool, []string) { called.Store(name, true) }
		if err := os.WriteFile(filepath.Join(dir, name+".txtar"), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("commands", func(t *testing.T) { testscript.Run(t, testscript.Params{Dir: dir, Cmds: ours}) })
	for name := range commands {
		if _, ok := called.Load(name); !ok {
			t.Errorf("%q is a command of testscript, which comes first: ours needs another name", name)
		}
	}
}
