// Package e2e_test tells what modseal does in scripts (testdata/*.txtar), from
// the side of its user, on real registries and beside real tools. README.md
// lists the commands that scripts have.
package e2e_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/modseal/modseal/e2e/registrytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"measure":    measure,
		"countreads": countReads,
		"nonetwork":  nonetwork,
		"loopback":   loopback,
		"signin":     signIn,
	})
}

// once is the kind of the scripts that name none.
const once registrytest.Kind = "once"

// TestScripts runs the scripts. One that says $KIND runs once for every kind of
// registry, and one that says $EITHER with a registry that has the referrers API and
// with one that has not; they are told here as one test per kind.
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("testdata has no scripts")
	}
	if _, err := binary(); err != nil {
		t.Fatal(err)
	}
	private.dir = t.TempDir()
	t.Cleanup(private.stop)
	scripts := map[registrytest.Kind][]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range kindsOf(text) {
			scripts[kind] = append(scripts[kind], f)
		}
	}
	for _, kind := range append([]registrytest.Kind{once}, registrytest.Kinds...) {
		files := slowestFirst(scripts[kind])
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			if why := kind.Missing(); why != "" {
				missing(t, why)
			}
			testscript.Run(t, params(files, kind))
		})
	}
}

// slowest are scripts that read tens of gigabytes, or wait for a minute until a
// connection counts as stalled.
var slowest = []string{"load_huge", "save_huge", "stalled", "throttled", "huge", "many_files"}

// slowestFirst has those begin that would else be waited for alone in the end.
func slowestFirst(files []string) []string {
	place := func(file string) int {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		if i := slices.Index(slowest, name); i >= 0 {
			return i
		}
		return len(slowest)
	}
	slices.SortStableFunc(files, func(a, b string) int { return place(a) - place(b) })
	return files
}

// kindsOf returns the kinds of registries that a script runs with.
func kindsOf(script []byte) []registrytest.Kind {
	switch {
	case bytes.Contains(script, []byte("$KIND")):
		return registrytest.Kinds
	case !bytes.Contains(script, []byte("$EITHER")):
		return []registrytest.Kind{once}
	case os.Getenv("MODSEAL_E2E_ALL_KINDS") != "":
		return registrytest.Kinds
	}
	return []registrytest.Kind{registrytest.Olareg, registrytest.Distribution}
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
	modseal, err := binary()
	if err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"KIND":               string(kind),
		"EITHER":             string(kind),
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
		"PATH":               strings.Join([]string{filepath.Dir(modseal), env.Getenv("PATH"), repository("bin/peers")}, string(os.PathListSeparator)),
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

// binary is the modseal of the scripts: the one that users have.
var binary = sync.OnceValues(func() (string, error) {
	if b := os.Getenv("MODSEAL_E2E_BINARY"); b != "" {
		return b, nil
	}
	return build("bin/e2e/modseal")
})

func build(name string) (string, error) {
	name = repository(name)
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", name, "./cmd/modseal")
	cmd.Dir = repository(".") // by its own go.mod
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return name, nil
}
