package e2e_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// private is the private Sigstore of all scripts: it starts with the first that
// asks for it, and TestScripts ends it.
var private privateSigstore

type privateSigstore struct {
	once    sync.Once
	err     error
	dir     string
	process *exec.Cmd
	stdin   io.Closer
	issuers map[string]string
}

func (*privateSigstore) program() string { return repository("bin/sigstore") }

// start runs the program with everything that scripts may want. It ends when
// its standard input does, which is when this process ends, however that is.
func (p *privateSigstore) start() error {
	p.once.Do(func() { p.err = p.run() })
	return p.err
}

func (p *privateSigstore) run() error {
	if p.dir == "" {
		return errors.New("a private Sigstore is there for TestScripts only")
	}
	log, err := os.Create(filepath.Join(p.dir, "sigstore.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	p.process = exec.Command(p.program(), "-dir", p.dir, "-untrusted", "-rekor-v1", "-until-eof")
	p.process.Stderr = log
	if p.stdin, err = p.process.StdinPipe(); err != nil {
		return err
	}
	stdout, err := p.process.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.process.Start(); err != nil {
		p.process = nil
		return err
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "ready\n" {
		text, _ := os.ReadFile(log.Name())
		return fmt.Errorf("bin/sigstore says %q, not ready (%w)\n%s", line, err, text)
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, "sigstore.json"))
	if err != nil {
		return err
	}
	var urls struct {
		Issuers map[string]string `json:"issuers"`
	}
	err = json.Unmarshal(raw, &urls)
	p.issuers = urls.Issuers
	return err
}

func (p *privateSigstore) stop() {
	if p.process == nil {
		return
	}
	p.stdin.Close()
	timer := time.AfterFunc(time.Minute, func() { _ = p.process.Process.Kill() })
	defer timer.Stop()
	_ = p.process.Wait() // how it ends is shown by its own tests
}

// sigstore starts the private Sigstore of all scripts, if it does not run yet,
// and tells this script where it is.
func useSigstore(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 0, neg, "sigstore")
	ts.Check(private.start())
	ts.Setenv("SIGSTORE_DIR", private.dir)
	ts.Setenv("SIGSTORE_ROOT", filepath.Join(private.dir, "trusted_root.json"))
	ts.Setenv("SIGSTORE_CONFIG", filepath.Join(private.dir, "signing_config.json"))
	ts.Setenv("SIGSTORE_ISSUER", private.issuers["email"])
	for _, name := range []string{"other", "github", "spiffe"} {
		ts.Setenv("SIGSTORE_ISSUER_"+strings.ToUpper(name), private.issuers[name])
	}
}

// maxToken bounds an answer of the issuer; a token has about a kilobyte.
const maxToken = 1 << 16

// token [-issuer NAME] [-claims JSON] [-lifetime D] IDENTITY FILE
func getToken(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("token", flag.ContinueOnError)
	issuer := flags.String("issuer", "email", "")
	claims, lifetime := flags.String("claims", "", ""), flags.String("lifetime", "", "")
	ts.Check(flags.Parse(args))
	args = flags.Args()
	usage(ts, len(args) == 2, neg, "token [-issuer NAME] [-claims JSON] [-lifetime D] IDENTITY FILE")
	ts.Check(private.start())
	query := url.Values{"identity": {args[0]}, "claims": {*claims}, "lifetime": {*lifetime}}
	response, err := http.Get(private.issuers[*issuer] + "/token?" + query.Encode())
	ts.Check(err)
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxToken))
	ts.Check(err)
	if response.StatusCode != http.StatusOK {
		ts.Fatalf("%s: %s", response.Status, text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(strings.TrimSpace(string(text))), 0o600))
}

// graft FIELD FROM TO puts a field of the verification material of the bundle
// FROM into the bundle TO; with FROM "nothing" it is taken away.
func graft(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "graft FIELD FROM|nothing TO")
	material := func(file string) (bundle, fields map[string]json.RawMessage) {
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &bundle))
		ts.Check(json.Unmarshal(bundle["verificationMaterial"], &fields))
		return bundle, fields
	}
	bundle, fields := material(args[2])
	if _, has := fields[args[0]]; !has {
		ts.Fatalf("%s has no %s", args[2], args[0])
	}
	if args[1] == "nothing" {
		delete(fields, args[0])
	} else {
		_, others := material(args[1])
		if others[args[0]] == nil {
			ts.Fatalf("%s has no %s", args[1], args[0])
		}
		fields[args[0]] = others[args[0]]
	}
	var err error
	bundle["verificationMaterial"], err = json.Marshal(fields)
	ts.Check(err)
	changed, err := json.Marshal(bundle)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), changed, 0o644))
}

// namespace is the command that runs another without any network: not even
// loopback is up.
func namespace() []string {
	if os.Geteuid() == 0 {
		return []string{"unshare", "--net", "--"}
	}
	return []string{"unshare", "--map-root-user", "--net", "--"}
}

var hasNamespaces = sync.OnceValue(func() error {
	command := append(namespace(), "true")
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w %s", strings.Join(command, " "), err, out)
	}
	return nil
})

// nonetwork is a program of its own: nonetwork COMMAND ARG… becomes that command
// in a network namespace where nothing can be reached.
func nonetwork() {
	command := append(namespace(), os.Args[1:]...)
	path, err := exec.LookPath(command[0])
	if err == nil {
		err = syscall.Exec(path, command, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "nonetwork:", err)
	os.Exit(127)
}

var approval = regexp.MustCompile(`http://127\.0\.0\.1:\S+/approve\?user_code=\S+`)

// signIn is a program of its own: signin IDENTITY COMMAND ARG… runs the command
// and, when it asks for it, approves its code at the private Sigstore's issuer as
// that person: the browser on the other device.
func signIn() {
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout = os.Stdin, os.Stdout
	stderr, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "signin:", err)
		os.Exit(127)
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		fmt.Fprintln(os.Stderr, lines.Text())
		if page := approval.FindString(lines.Text()); page != "" {
			response, err := http.Get(page + "&identity=" + url.QueryEscape(os.Args[1]))
			if err != nil {
				fmt.Fprintln(os.Stderr, "signin:", err)
				continue
			}
			response.Body.Close()
			fmt.Fprintln(os.Stderr, "signin:", response.Status)
		}
	}
	_ = cmd.Wait() // its exit code is ours
	os.Exit(cmd.ProcessState.ExitCode())
}
