// Package e2e_test tells what modseal does in scripts (testdata/*.txtar), from
// the side of its user, on real registries and beside real tools. README.md
// lists the commands that scripts have.
package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/modseal/modseal/cmd/modseal/cli"
	"github.com/modseal/modseal/e2e/registrytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"modseal": func() {
			os.Exit(cli.Main(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
		},
		"measure":    measure,
		"countreads": countReads,
		"nonetwork":  nonetwork,
		"loopback":   loopback,
		"signin":     signIn,
	})
}

// TestScripts runs the scripts. One that says $KIND runs once for every kind of
// registry, and in that case is told here as one test per kind.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("testdata has no scripts")
	}
	private.dir = t.TempDir()
	t.Cleanup(private.stop)
	var once, perKind []string
	for _, f := range files {
		script, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(script, []byte("$KIND")) {
			perKind = append(perKind, f)
		} else {
			once = append(once, f)
		}
	}
	t.Run("once", func(t *testing.T) { testscript.Run(t, params(once, registrytest.Olareg)) })
	for _, kind := range registrytest.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			if why := kind.Missing(); why != "" {
				missing(t, why)
			}
			testscript.Run(t, params(perKind, kind))
		})
	}
}

// requireAll says that nothing may be skipped for being absent: set in CI.
func requireAll() bool { return os.Getenv("MODSEAL_E2E_REQUIRE_ALL") != "" }

func missing(t *testing.T, why string) {
	t.Helper()
	if requireAll() {
		t.Fatalf("MODSEAL_E2E_REQUIRE_ALL is set, and %s", why)
	}
	t.Skip(why)
}

func params(files []string, kind registrytest.Kind) testscript.Params {
	return testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                commands,
		Condition:           condition,
		Setup:               func(env *testscript.Env) error { return setup(env, kind) },
	}
}

// setup gives a script a home of its own and the peers in its path.
func setup(env *testscript.Env, kind registrytest.Kind) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"KIND":               string(kind),
		"HOME":               home,
		"XDG_CONFIG_HOME":    filepath.Join(home, "config"),
		"XDG_STATE_HOME":     filepath.Join(home, "state"),
		"XDG_CACHE_HOME":     filepath.Join(home, "cache"),
		"XDG_RUNTIME_DIR":    filepath.Join(home, "run"),
		"DOCKER_CONFIG":      filepath.Join(home, "docker"),
		"REGISTRY_AUTH_FILE": "",
		"TUF_ROOT":           filepath.Join(home, "tuf"),
		"MODSEAL_PASSWORD":   "e2e",
		"COSIGN_PASSWORD":    "e2e",
		"SOURCE_DATE_EPOCH":  "",
		"HTTP_PROXY":         "",
		"HTTPS_PROXY":        "",
		"http_proxy":         "",
		"https_proxy":        "",
		"PREDICATE_COSIGN":   "https://sigstore.dev/cosign/sign/v1",
		"PREDICATE_OMS":      "https://model_signing/signature/v1.0",
		"MODELS":             repository("bin/models"),
		"OMS":                filepath.Join(testdataOfOthers(), "oms"),
		"HUGE_SIZE":          hugeSize(),
		"PATH":               env.Getenv("PATH") + string(os.PathListSeparator) + repository("bin/peers"),
	} {
		env.Setenv(name, value)
	}
	env.Values[stateKey{}] = &state{registries: map[string]*registrytest.Registry{}}
	return nil
}

// repository returns the absolute path of a file in this repository.
func repository(path string) string {
	abs, err := filepath.Abs(filepath.Join("..", filepath.FromSlash(path)))
	if err != nil {
		panic(err)
	}
	return abs
}

// testdataOfOthers is a directory with models that others have signed; it is no
// part of the repository, since it is not ours to publish.
func testdataOfOthers() string {
	if dir := os.Getenv("MODSEAL_TESTDATA"); dir != "" {
		return dir
	}
	return repository("../shared/testdata")
}

// hugeSize is the size of the model in huge.txtar; CI asks for the real thing.
func hugeSize() string {
	if size := os.Getenv("MODSEAL_E2E_HUGE"); size != "" {
		return size
	}
	return "1GiB"
}

// enoughRoom reports whether the model of huge.txtar fits on this disk, as a
// layout and as a directory. It does not depend on MODSEAL_E2E_REQUIRE_ALL: no
// installing makes a disk larger.
func enoughRoom() (bool, error) {
	size, err := sizeOf(hugeSize())
	if err != nil {
		return false, err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &fs); err != nil {
		return false, err
	}
	return uint64(size)*2+4<<30 <= fs.Bavail*uint64(fs.Bsize), nil
}

// condition answers [peer:NAME], [models], [oms], [sigstore], [netns], [room] and
// [root].
func condition(name string) (bool, error) {
	var there bool
	var why string
	kind, arg, _ := strings.Cut(name, ":")
	switch kind {
	case "peer":
		_, err := exec.LookPath(arg)
		if err != nil {
			_, err = os.Stat(repository("bin/peers/" + arg))
		}
		there, why = err == nil, arg+" is missing (make peers)"
	case "models":
		_, err := os.Stat(repository("bin/models/silero/silero_vad.onnx"))
		there, why = err == nil, "the real models are missing (make models)"
	case "oms":
		_, err := os.Stat(filepath.Join(testdataOfOthers(), "oms"))
		there, why = err == nil, "the signed models of others are missing (set MODSEAL_TESTDATA to the directory that has oms/)"
	case "sigstore":
		_, err := os.Stat(private.program())
		there, why = err == nil, "bin/sigstore is missing (make sigstore)"
	case "netns":
		err := hasNamespaces()
		there, why = err == nil, fmt.Sprintf("no network namespace can be made: %v", err)
	case "room":
		return enoughRoom()
	case "root":
		return os.Geteuid() == 0, nil
	default:
		return false, fmt.Errorf("there is no condition %q", name)
	}
	if kind == "oms" && os.Getenv("MODSEAL_E2E_WITHOUT_OMS") != "" {
		return there, nil
	}
	if !there && requireAll() {
		return false, fmt.Errorf("MODSEAL_E2E_REQUIRE_ALL is set, and %s", why)
	}
	return there, nil
}

// binary builds the real modseal, for what must be measured or interrupted as a
// process of its own.
var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("MODSEAL_E2E_BINARY"); b != "" {
		return b, nil
	}
	name := repository("bin/e2e/modseal")
	cmd := exec.Command("go", "build", "-trimpath", "-o", name, "github.com/modseal/modseal/cmd/modseal")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
})
