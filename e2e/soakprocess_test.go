package e2e_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modseal/modseal/e2e/registrytest"
)

// process is a real modseal that may be killed.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan error
	// ended is how a killed process ended.
	ended error
}

func newProcess(t *testing.T, program, dir string, args, env []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), done: make(chan error, 1)}
	p.cmd.Dir, p.cmd.Env = dir, env
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	return p
}

func (p *process) wait() error { return <-p.done }

// kill ends the process without a chance to clean up, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	p.ended = <-p.done
}

// output is for after the end.
func (p *process) output() string { return p.out.String() }

// soakEnvironment has a home below dir, where everything goes that is kept.
func soakEnvironment(dir string) []string {
	home := filepath.Join(dir, "home")
	return append(
		slices.DeleteFunc(os.Environ(), func(v string) bool {
			return strings.HasPrefix(strings.ToLower(v), "http_proxy=") || strings.HasPrefix(strings.ToLower(v), "https_proxy=")
		}),
		"HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, "config"), "XDG_STATE_HOME="+filepath.Join(home, "state"),
		"XDG_CACHE_HOME="+filepath.Join(home, "cache"), "XDG_RUNTIME_DIR="+filepath.Join(home, "run"),
		"DOCKER_CONFIG="+filepath.Join(home, "docker"), "TMPDIR="+filepath.Join(dir, "tmp"), "MODSEAL_PASSWORD=soak", "COSIGN_PASSWORD=soak",
	)
}

// exits of a process that may be started again: the transport failed, or bytes
// were wrong and refused.
const (
	exitTransport = 7
	exitIntegrity = 8
)

// mostStarts bounds how often a process is started until it ends well: kills,
// and faults that one process does not survive.
const mostStarts = 12

// untilItEnds runs a command with faults from a menu, kills it up to three times
// when random numbers of bytes have passed, and starts it again until it ends
// well. check is called whenever it did not. It returns how often it was killed,
// and how many bytes the faults may cost.
func (s *soakRun) untilItEnds(d registrytest.Direction, menu []soakFault, check func(), args ...string) (kills int, allowed int64) {
	for _, dir := range []string{"home", "tmp"} {
		if err := os.MkdirAll(filepath.Join(s.dir, dir), 0o700); err != nil {
			s.t.Fatal(err)
		}
	}
	for range s.random.IntN(3) {
		f := menu[s.random.IntN(len(menu))]
		s.note("fault: %s", f.name)
		allowed += f.set(s)
	}
	defer s.r.Heal()
	if d == registrytest.Down {
		// What the registry sent and the process never read is lost with it. At full
		// speed that is what the kernel's buffers hold, megabytes of each connection:
		// much of a model this small.
		s.r.Throttle(8 << 20)
	}
	moments := make([]int64, s.random.IntN(4))
	for i := range moments {
		// Not among the first bytes: small files have no journal, and their uploads
		// are left to the registry when nobody knows of them.
		moments[i] = s.size/8 + s.random.Int64N(s.size*3/4)
	}
	slices.Sort(moments)
	counter := map[registrytest.Direction]string{registrytest.Up: "blob-upload-bytes", registrytest.Down: "blob-download-bytes"}[d]
	for range mostStarts {
		var reached <-chan struct{} // never, when nobody is to be killed
		passed := s.r.Count(counter)
		for len(moments) > 0 && moments[0] <= passed {
			moments = moments[1:] // a fault was faster
		}
		if len(moments) > 0 {
			s.note("to be killed at byte %d", moments[0])
			reached = s.r.StopAfter(d, moments[0]-passed)
			moments = moments[1:]
		}
		p := newProcess(s.t, s.program, s.dir, args, soakEnvironment(s.dir))
		err, killed := error(nil), false
		select {
		case <-reached:
			p.kill()
			killed = true
			kills++
			s.note("killed: %v; it said\n%s", p.ended, p.output())
		case err = <-p.done:
			s.note("ended with %v; it said\n%s", err, p.output())
		case <-time.After(5 * time.Minute):
			p.kill()
			s.r.Continue()
			s.fatalf("modseal %s does not end; it said\n%s", args[0], p.output())
		}
		s.r.Continue()
		if err == nil && !killed {
			return kills, allowed
		}
		if check != nil {
			check()
		}
		var exit *exec.ExitError
		if !killed && (!errors.As(err, &exit) || exit.ExitCode() != exitTransport && exit.ExitCode() != exitIntegrity) {
			s.fatalf("modseal %s ended with %v", args[0], err)
		}
	}
	s.fatalf("modseal %s did not end well in %d starts", args[0], mostStarts)
	return 0, 0
}
