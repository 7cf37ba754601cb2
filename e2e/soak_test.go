package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modseal/modseal/e2e/registrytest"
	"github.com/modseal/modseal/hack/samplemodel"
)

// soakShort is how many models are pushed and pulled when nobody says how many.
const soakShort = 12

// TestSoak pushes and pulls models through registries that misbehave at random,
// and kills each process at random moments, until it ends well. What must hold
// is in [soakRun] and [budget].
//
//	MODSEAL_E2E_SOAK=200          that many pushes and as many pulls (make soak)
//	MODSEAL_E2E_SOAK_SEED=N       the random numbers of an earlier run
//	MODSEAL_E2E_SOAK_RUN=N        only this one of them
//
// Moments are numbers of bytes that passed the registry, so that a seed gives
// the same faults and the same kills each time, as far as the order of what
// happens at once allows.
func TestSoak(t *testing.T) {
	t.Parallel()
	runs := soakNumber(t, "MODSEAL_E2E_SOAK", soakShort)
	seed := soakNumber(t, "MODSEAL_E2E_SOAK_SEED", time.Now().UnixNano()%1_000_000)
	first, last := int64(0), runs-1
	if only := soakNumber(t, "MODSEAL_E2E_SOAK_RUN", -1); only >= 0 {
		first, last = only, only
	}
	program, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	keys := t.TempDir()
	keygen := newProcess(t, program, keys, []string{"keygen", "--output-key-prefix", filepath.Join(keys, "k")}, soakEnvironment(keys))
	if err := keygen.wait(); err != nil {
		t.Fatalf("keygen: %v\n%s", err, keygen.output())
	}
	kinds := slices.DeleteFunc(slices.Clone(registrytest.Kinds), func(k registrytest.Kind) bool { return k.Missing() != "" })
	t.Logf("seed %d, %d pushes and as many pulls", seed, last-first+1)
	moved := &budget{}
	t.Run("runs", func(t *testing.T) {
		for i := first; i <= last; i++ {
			t.Run(strconv.FormatInt(i, 10), func(t *testing.T) {
				t.Parallel()
				s := &soakRun{
					t: t, random: rand.New(rand.NewPCG(uint64(seed), uint64(i))), kind: kinds[int(i)%len(kinds)],
					program: program, key: filepath.Join(keys, "k"), dir: t.TempDir(), moved: moved,
				}
				defer func() {
					if t.Failed() {
						t.Logf("again: cd e2e && MODSEAL_E2E_SOAK=%d MODSEAL_E2E_SOAK_SEED=%d MODSEAL_E2E_SOAK_RUN=%d go test -count=1 -run TestSoak -v .", runs, seed, i)
					}
				}()
				s.run()
			})
		}
	})
	if !t.Failed() {
		moved.check(t, seed)
	}
}

func soakNumber(t *testing.T, name string, missing int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// budget counts what was moved, and what an undisturbed run would have moved.
type budget struct {
	mu    sync.Mutex
	kinds map[string]*amount
}

// amount is what was moved by runs of one kind, in bytes.
type amount struct{ runs, kills, moved, clean, allowed int64 }

func (b *budget) add(kind string, kills int, moved, clean, allowed int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kinds == nil {
		b.kinds = map[string]*amount{}
	}
	if b.kinds[kind] == nil {
		b.kinds[kind] = &amount{}
	}
	a := b.kinds[kind]
	a.runs++
	a.kills += int64(kills)
	a.moved += moved
	a.clean += clean
	a.allowed += allowed
}

// check: together, runs of each kind moved at most a quarter more than
// undisturbed ones. Those are kinds of their own whose faults take proven bytes
// away, as a flipped byte does, or bring some that nobody asked for, as a server
// does that answers a range with everything: there is no bound for uploads to
// registries that keep nothing, and one model more for each such fault.
func (b *budget) check(t *testing.T, seed int64) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, kind := range slices.Sorted(maps.Keys(b.kinds)) {
		a := b.kinds[kind]
		t.Logf("%-34s %3d runs, %3d killed, %5d MB moved, %.3f times one clean run",
			kind, a.runs, a.kills, a.moved/1e6, float64(a.moved)/float64(a.clean))
		if most := a.clean + a.clean/4 + a.allowed; kind != upForgotten && a.moved > most {
			t.Errorf("%s: %d bytes were moved for %d, and %d are allowed (seed %d)", kind, a.moved, a.clean, most, seed)
		}
	}
}

// Kinds of runs in a budget.
const (
	upKept      = "push, what came is kept"
	upForgotten = "push, what came is forgotten"
	downHonest  = "pull"
	downLied    = "pull, bytes are wrong or not asked"
)

// soakRun is one model: pushed and pulled until both ended well. Afterwards it
// must be what it was; at no time may a file under its final name be anything
// else; and nothing may be left behind: no file, no lock, no upload at the
// registry, no request.
type soakRun struct {
	t       *testing.T
	random  *rand.Rand
	kind    registrytest.Kind
	program string
	key     string
	dir     string
	moved   *budget

	r     *registrytest.Registry
	size  int64
	keeps bool // the registry keeps what came of an upload
	story []string
}

func (s *soakRun) note(format string, args ...any) {
	s.story = append(s.story, fmt.Sprintf(format, args...))
}

func (s *soakRun) fatalf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nwhat happened:\n%s\nthe requests:\n%s", fmt.Sprintf(format, args...), strings.Join(s.story, "\n"), strings.Join(s.r.Log(), "\n"))
}

func (s *soakRun) run() {
	r, err := registrytest.Start(s.kind, filepath.Join(s.dir, "registry"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.r = r
	defer func() {
		if err := r.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	r.Seed(s.random.Uint64())
	s.keeps = s.kind != registrytest.DockerRegistry
	model := s.model()
	ref := r.Host + "/soak/model:v1"

	kills, allowed := s.untilItEnds(registrytest.Up, uploadMenu, nil, "push", model, ref, "--key", s.key+".key")
	if !s.keeps {
		s.moved.add(upForgotten, kills, r.Count("blob-upload-bytes"), s.size, allowed)
	} else {
		s.moved.add(upKept, kills, r.Count("blob-upload-bytes"), s.size, allowed)
		if n, err := r.OpenSessions(); err != nil || n > s.forgotten() {
			s.fatalf("%d uploads are left at the registry, of which %d are too small to be noted (%v)", n, s.forgotten(), err)
		}
	}
	s.nothingLeft()

	r.Reset()
	out := filepath.Join(s.dir, "out")
	kills, allowed = s.untilItEnds(registrytest.Down, downloadMenu, func() { s.proven(model, out) }, "pull", ref, "-o", out, "--key", s.key+".pub")
	kind := downHonest
	if allowed > 0 {
		kind = downLied
	}
	s.moved.add(kind, kills, r.Count("blob-download-bytes"), s.size, allowed)
	if leaked := r.Count("leaked-credentials"); leaked > 0 {
		s.fatalf("%d requests had credentials that were not for the server", leaked)
	}
	if what := treeDifference(model, out); what != "" {
		s.fatalf("the model that arrived is not the one that was pushed: %s", what)
	}
	s.nothingLeft()
}

// noted is the size from which an upload is noted in the state directory. A
// smaller one that was killed is sent again, and what came of it is left to the
// registry.
const noted = 8 << 20

// forgotten counts uploads that were killed before anybody could know of them.
func (s *soakRun) forgotten() int {
	small := map[string]bool{}
	for _, e := range s.r.Entries() {
		if e.Session == "" {
			continue
		}
		_, known := small[e.Session]
		small[e.Session] = (!known || small[e.Session]) && e.Length < noted
		if e.Status < 300 && (e.Method == http.MethodPut || e.Method == http.MethodDelete) {
			small[e.Session] = false
		}
	}
	n := 0
	for _, is := range small {
		if is {
			n++
		}
	}
	return n
}

// model makes a model of 20 to 64 MiB that no other run has.
func (s *soakRun) model() string {
	dir := filepath.Join(s.dir, "model")
	shards := 2 + s.random.IntN(3)
	if err := samplemodel.Write(dir, samplemodel.Options{Shards: shards, Size: int64(shards) * (10<<20 + s.random.Int64N(6<<20))}); err != nil {
		s.t.Fatal(err)
	}
	files, err := listTree(dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		s.size += f.size
		if f.size < 1<<20 {
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, f.path), os.O_WRONLY, 0)
		if err != nil {
			s.t.Fatal(err)
		}
		_, err = file.WriteAt([]byte(fmt.Sprintf("%016x", s.random.Uint64())), f.size-16)
		if err := file.Close(); err != nil {
			s.t.Fatal(err)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return dir
}

// proven: every file that has its final name is the one of the model.
func (s *soakRun) proven(model, out string) {
	files, err := listTree(out)
	if os.IsNotExist(err) {
		return
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for _, f := range files {
		if !f.mode.IsRegular() || strings.HasPrefix(f.path, partialDir+string(filepath.Separator)) {
			continue
		}
		same, err := sameContent(filepath.Join(model, f.path), filepath.Join(out, f.path))
		if err != nil || !same {
			s.fatalf("%s has its final name and is not what the model has (%v)", f.path, err)
		}
	}
}

// stateThatStays is what modseal remembers for the next run: digests of files,
// what it learned about registries, and what a directory was pulled from.
var stateThatStays = regexp.MustCompile(`^state/modseal/(digests|registries\.json|pulls/[0-9a-f]{32}\.json)$`)

// nothingLeft: there are no files besides the model, and no requests.
func (s *soakRun) nothingLeft() {
	for _, dir := range []string{"home", "tmp"} {
		files, err := listTree(filepath.Join(s.dir, dir))
		if err != nil && !os.IsNotExist(err) {
			s.t.Fatal(err)
		}
		for _, f := range files {
			if f.mode.IsRegular() && !stateThatStays.MatchString(f.path) {
				s.fatalf("%s is left behind in %s", f, dir)
			}
		}
	}
	for _, dir := range []string{"out", "model"} {
		if _, err := os.Stat(filepath.Join(s.dir, dir, partialDir)); err == nil {
			s.fatalf("%s is left behind in %s", partialDir, dir)
		}
	}
	_ = s.r.Log() // waits for requests that are being answered
	if n := s.r.Active(); n > 0 {
		s.fatalf("%d requests are still being answered", n)
	}
}
