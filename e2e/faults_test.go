package e2e_test

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/modseal/modseal/e2e/registrytest"
)

// faults that scripts can set; README.md describes them.
var faults = map[string]struct {
	args string // as README.md writes them
	set  func(r *registrytest.Registry, a *faultArgs)
}{
	// content
	"flip": {"DIGEST OFFSET [TIMES [ranges]]", func(r *registrytest.Registry, a *faultArgs) {
		r.FlipByte(a.digest(), a.size(), a.timesOr(0), a.option("") == "ranges")
	}},
	"resize":     {"DIGEST N", func(r *registrytest.Registry, a *faultArgs) { r.Resize(a.digest(), a.size()) }},
	"gzip":       {"DIGEST asked|always", func(r *registrytest.Registry, a *faultArgs) { r.Gzip(a.digest(), a.word() == "always") }},
	"lie-digest": {"DIGEST", func(r *registrytest.Registry, a *faultArgs) { r.LieAboutDigest(a.digest()) }},
	// downloads
	"cut":   {"DIGEST N TIMES", func(r *registrytest.Registry, a *faultArgs) { r.Cut(a.digest(), a.size(), a.times()) }},
	"stall": {"DIGEST N TIMES", func(r *registrytest.Registry, a *faultArgs) { r.Stall(a.digest(), a.size(), a.times()) }},
	"range": {"HOW DIGEST TIMES", func(r *registrytest.Registry, a *faultArgs) {
		how := registrytest.RangeFault(a.word())
		a.check(r.BreakRanges(how, a.digest(), a.times()))
	}},
	"redirect": {"DIGEST [EXPIRE-AFTER TIMES]", func(r *registrytest.Registry, a *faultArgs) {
		d := a.digest()
		if a.left() == 0 {
			r.Redirect(d, 0, 0)
			return
		}
		r.Redirect(d, a.size(), a.times())
	}},
	"cold": {"DIGEST DELAY", func(r *registrytest.Registry, a *faultArgs) { r.ColdCache(a.digest(), a.duration()) }},
	// rates
	"throttle": {"BYTES-A-SECOND", func(r *registrytest.Registry, a *faultArgs) { r.Throttle(a.size()) }},
	"throttle-range": {"DIGEST OFFSET BYTES-A-SECOND TIMES", func(r *registrytest.Registry, a *faultArgs) {
		r.ThrottleRange(a.digest(), a.size(), a.size(), a.times())
	}},
	// uploads
	"cut-upload": {"N TIMES [gone]", func(r *registrytest.Registry, a *faultArgs) {
		r.CutUpload(a.size(), a.times(), registrytest.After(a.option(string(registrytest.Kept))))
	}},
	"no-status":            {"", func(r *registrytest.Registry, _ *faultArgs) { r.NoStatus() }},
	"empty-status":         {"", func(r *registrytest.Registry, _ *faultArgs) { r.EmptyStatus() }},
	"moving-offset":        {"N TIMES", func(r *registrytest.Registry, a *faultArgs) { r.MovingOffset(a.size(), a.times()) }},
	"fresh-locations":      {"", func(r *registrytest.Registry, _ *faultArgs) { r.FreshLocations() }},
	"locations":            {"relative|absolute|other-host", func(r *registrytest.Registry, a *faultArgs) { a.check(r.Locations(a.word())) }},
	"ignore-content-range": {"", func(r *registrytest.Registry, _ *faultArgs) { r.IgnoreContentRange() }},
	"chunk-min":            {"N", func(r *registrytest.Registry, a *faultArgs) { r.ChunkMin(a.size()) }},
	"mount":                {"CODE", func(r *registrytest.Registry, a *faultArgs) { r.Mount(a.times()) }},
	"slow-close":           {"DELAY", func(r *registrytest.Registry, a *faultArgs) { r.SlowClose(a.duration()) }},
	"lose-close":           {"CODE TIMES", func(r *registrytest.Registry, a *faultArgs) { r.LoseClose(a.times(), a.times()) }},
	"quirk":                {"ecr|ghcr|acr|gar", func(r *registrytest.Registry, a *faultArgs) { a.check(r.Quirk(a.word())) }},
	// answers
	"status": {"METHOD PATH-REGEXP CODE TIMES [RETRY-AFTER]", func(r *registrytest.Registry, a *faultArgs) {
		method := a.word()
		path, err := regexp.Compile(a.word())
		a.check(err)
		r.Status(method, path, a.times(), a.times(), a.option(""))
	}},
	"expire-tokens": {"up|down N TIMES", func(r *registrytest.Registry, a *faultArgs) {
		r.ExpireTokens(registrytest.Direction(a.word()), a.size(), a.times())
	}},
	"move-tag": {"REPO TAG DIGEST", func(r *registrytest.Registry, a *faultArgs) { r.MoveTag(a.word(), a.word(), a.digest()) }},
	// referrers
	"many-referrers": {"DIGEST N PER-PAGE", func(r *registrytest.Registry, a *faultArgs) {
		r.ManyReferrers(a.digest(), a.times(), a.times())
	}},
	"add-referrer": {"DIGEST REF", func(r *registrytest.Registry, a *faultArgs) {
		subject := a.digest()
		_, desc, _ := manifestOf(a.ts, a.word())
		r.AddReferrer(subject, desc)
	}},
	"lie-referrers": {"DIGEST KEY=VALUE", func(r *registrytest.Registry, a *faultArgs) {
		subject := a.digest()
		lie, err := registrytest.ParseLie(a.word())
		a.check(err)
		r.LieAboutReferrers(subject, lie)
	}},
}

// fault NAME FAULT ARG…
func setFault(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "fault NAME FAULT ARG… (README.md lists the faults)")
	r := named(ts, args[0])
	f, known := faults[args[1]]
	if !known {
		ts.Fatalf("there is no fault %q", args[1])
	}
	a := &faultArgs{ts: ts, usage: "fault NAME " + args[1] + " " + f.args, args: args[2:]}
	f.set(r, a)
	if a.left() > 0 {
		ts.Fatalf("usage: %s", a.usage)
	}
}

// heal NAME
func heal(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "heal NAME")
	r := named(ts, args[0])
	r.Heal()
	r.Continue()
}

// faultArgs are the arguments of a fault; each is taken once.
type faultArgs struct {
	ts    *testscript.TestScript
	usage string
	args  []string
}

func (a *faultArgs) left() int { return len(a.args) }

func (a *faultArgs) check(err error) {
	if err != nil {
		a.ts.Fatalf("usage: %s: %v", a.usage, err)
	}
}

// word takes an argument.
func (a *faultArgs) word() string {
	if len(a.args) == 0 {
		a.ts.Fatalf("usage: %s", a.usage)
	}
	first := a.args[0]
	a.args = a.args[1:]
	return first
}

// option takes an argument that may be missing.
func (a *faultArgs) option(missing string) string {
	if len(a.args) == 0 {
		return missing
	}
	return a.word()
}

// digest takes a digest; "any" is that of every blob.
func (a *faultArgs) digest() digest.Digest {
	word := a.word()
	if word == "any" {
		return ""
	}
	return parseDigest(a.ts, word)
}

func (a *faultArgs) size() int64 { return parseSize(a.ts, a.word()) }

func (a *faultArgs) times() int {
	n, err := strconv.Atoi(a.word())
	a.check(err)
	return n
}

func (a *faultArgs) timesOr(missing int) int {
	if len(a.args) == 0 {
		return missing
	}
	return a.times()
}

func (a *faultArgs) duration() time.Duration {
	d, err := time.ParseDuration(a.word())
	a.check(err)
	return d
}

// sequence NAME DIGEST REGEXP: what happened to a blob, in one line such as
// "POST 202, PATCH cut, GET 204, PATCH 202, PUT 201", matches as a whole.
func sequence(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "sequence NAME DIGEST REGEXP")
	r := named(ts, args[0])
	want, err := regexp.Compile("^(?:" + args[2] + ")$")
	ts.Check(err)
	if got := r.Sequence(parseDigest(ts, args[1])); !want.MatchString(got) {
		ts.Fatalf("the requests were\n\t%s\nnot\n\t%s\nOf all:\n%s", got, args[2], strings.Join(r.Log(), "\n"))
	}
}

// Every fault, and every command, is in README.md.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(readme), `\|`, "|")
	for name, f := range faults {
		if want := "`" + strings.TrimSpace(name+" "+f.args) + "`"; !strings.Contains(text, want) {
			t.Errorf("README.md has no fault %s", want)
		}
	}
	for name := range commands {
		if !regexp.MustCompile("`" + name + "[ `]|`\\[!\\] " + name + " |, `" + name).MatchString(text) {
			t.Errorf("README.md has no command %s", name)
		}
	}
	for _, how := range registrytest.RangeFaults() {
		if !strings.Contains(text, "`"+how+"`") {
			t.Errorf("README.md does not say what fault range %s is", how)
		}
	}
}
