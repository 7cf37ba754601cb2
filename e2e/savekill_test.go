package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/e2e/registrytest"
	"github.com/modseal/modseal/hack/samplemodel"
)

// saveKills is how often save is killed when nobody says how often.
const saveKills = 50

// TestSaveKilled kills save with SIGKILL, by turns when a random number of bytes
// has come and after a random time, which is also before the first and after the
// last byte, and starts it again until it ends well. At no time is there anything
// under the final name but the whole archive; in the end it is, byte for byte, the
// one that nobody disturbed, and nothing else is left. Every second archive is split.
//
//	MODSEAL_E2E_KILLS=50          that many kills
//	MODSEAL_E2E_SOAK_SEED=N       the random numbers of an earlier run
func TestSaveKilled(t *testing.T) {
	t.Parallel() // it waits for its slow registry, most of the time
	kills := soakNumber(t, "MODSEAL_E2E_KILLS", saveKills)
	seed := soakNumber(t, "MODSEAL_E2E_SOAK_SEED", time.Now().UnixNano()%1_000_000)
	t.Logf("seed %d", seed)
	k := newSaveKiller(t, seed)
	for round := 0; k.kills < kills; round++ {
		k.split = round%2 == 1
		k.round(filepath.Join(k.dir, fmt.Sprint("round", round)))
	}
	t.Logf("%d kills in %d archives; %.3f times the bytes of undisturbed ones came", k.kills, k.archives, float64(k.came)/float64(k.size*k.archives))
	// What the registry sent and the killed process never read is lost with it, and
	// what was not in the journal yet.
	if most := k.size*k.archives + k.kills*(6<<20); k.came > most {
		t.Errorf("%d bytes came, and %d are the most", k.came, most)
	}
}

// saveKiller has a model in a registry, and the archive of it.
type saveKiller struct {
	t       *testing.T
	random  *rand.Rand
	program string
	dir     string
	r       *registrytest.Registry
	want    []byte
	size    int64 // bytes that come for one archive

	split                 bool
	kills, archives, came int64
}

func newSaveKiller(t *testing.T, seed int64) *saveKiller {
	t.Helper()
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	k := &saveKiller{t: t, random: rand.New(rand.NewPCG(uint64(seed), 50)), program: program, dir: t.TempDir()}
	if k.r, err = registrytest.Start(registrytest.Olareg, filepath.Join(k.dir, "registry")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.r.Close(); err != nil {
			t.Error(err)
		}
	})
	model := filepath.Join(k.dir, "model")
	if err := samplemodel.Write(model, samplemodel.Options{Shards: 4, Size: 24 << 20}); err != nil {
		t.Fatal(err)
	}
	k.run("keygen", "--output-key-prefix", filepath.Join(k.dir, "k"))
	k.run("push", model, k.ref(), "--key", filepath.Join(k.dir, "k.key"))
	k.r.Reset()
	k.run(k.args(filepath.Join(k.dir, "want.tar"))...)
	k.size = k.r.Count("blob-download-bytes")
	if k.want, err = os.ReadFile(filepath.Join(k.dir, "want.tar")); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *saveKiller) ref() string { return k.r.Host + "/soak/model:v1" }

func (k *saveKiller) args(file string) []string {
	args := []string{"save", k.ref(), "-o", file, "--key", filepath.Join(k.dir, "k.pub"), "--with-trust"}
	if k.split {
		args = append(args, "--split", "4MiB")
	}
	return args
}

func (k *saveKiller) run(args ...string) {
	k.t.Helper()
	p := newProcess(k.t, k.program, k.dir, args, soakEnvironment(k.dir))
	if err := p.wait(); err != nil {
		k.t.Fatalf("modseal %s: %v\n%s", strings.Join(args, " "), err, p.output())
	}
}

// round writes one archive.
func (k *saveKiller) round(dir string) {
	k.t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		k.t.Fatal(err)
	}
	k.r.Reset()
	k.r.Throttle(6 << 20)
	defer k.r.Heal()
	for starts := 0; k.start(dir); starts++ {
		k.check(dir)
		if starts == 40 {
			k.t.Fatal("it gets nowhere")
		}
	}
	k.came += k.r.Count("blob-download-bytes")
	k.archives++
	if !k.check(dir) {
		k.t.Fatal("there is no archive")
	}
	parts := (len(k.want) + 4<<20 - 1) / (4 << 20)
	if left, err := listTree(dir); err != nil || !k.split && len(left) != 1 || k.split && len(left) != parts+1 {
		k.t.Errorf("left are %v (%v)", left, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		k.t.Fatal(err)
	}
}

// start starts a process and reports whether it was killed.
func (k *saveKiller) start(dir string) (killed bool) {
	k.t.Helper()
	var reached <-chan struct{}
	var after <-chan time.Time
	if k.random.IntN(2) == 0 {
		reached = k.r.StopAfter(registrytest.Down, k.random.Int64N(k.size))
	} else {
		after = time.After(time.Duration(k.random.Int64N(int64(3 * time.Second))))
	}
	p := newProcess(k.t, k.program, dir, k.args(filepath.Join(dir, "a.tar")), soakEnvironment(k.dir))
	var err error
	select {
	case <-reached:
		p.kill()
	case <-after:
		p.kill()
	case err = <-p.done:
		p.ended = err
	}
	k.r.Continue()
	var exit *exec.ExitError
	if errors.As(p.ended, &exit) && exit.ExitCode() == -1 {
		k.kills++
		return true
	}
	if err != nil {
		k.t.Fatalf("save ended with %v\n%s", err, p.output())
	}
	return false
}

// check reports whether there is an archive under its final name, which must then
// be all of it.
func (k *saveKiller) check(dir string) bool {
	k.t.Helper()
	name := filepath.Join(dir, "a.tar")
	var got []byte
	if k.split {
		if _, err := os.Stat(name + ".parts.json"); err != nil {
			return false
		}
		for i := 0; ; i++ {
			raw, err := os.ReadFile(fmt.Sprintf("%s.%03d", name, i))
			if err != nil {
				break
			}
			got = append(got, raw...)
		}
	} else {
		var err error
		if got, err = os.ReadFile(name); err != nil {
			return false
		}
	}
	if !bytes.Equal(got, k.want) {
		k.t.Fatal("what has its final name is not the archive")
	}
	return true
}
