package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/testscript"
	"oras.land/oras-go/v2/registry/remote"

	"github.com/modseal/modseal/e2e/registrytest"
)

// commands that scripts have; README.md describes them.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// files
	"mkmodel":    mkmodel,
	"weights":    weights,
	"scramble":   scramble,
	"manyfiles":  manyfiles,
	"largemodel": largemodel,
	"sparse":     sparse,
	"randomfile": randomfile,
	"rawfile":    rawfile,
	"flip":       flip,
	"sametree":   sametree,
	"nofiles":    nofiles,
	"filedigest": filedigest,
	"qrread":     qrread,
	"expand":     expand,
	// archives
	"tamper":    tamper,
	"swapindex": swapindex,
	// programs
	"exits":     exits,
	"maxrss":    maxrss,
	"reads":     reads,
	"within":    within,
	"interrupt": interrupt,
	"sigkill":   sigkill,
	"killat":    killat,
	"serve":     serve,
	"ci":        ci,
	"program":   programPath,
	// registries
	"registry": startRegistry,
	"requests": requests,
	"sequence": sequence,
	"cache":    startCache,
	"hosts":    writeHosts,
	"close":    closeRegistry,
	"fault":    setFault,
	"heal":     heal,
	// artifacts
	"digest":       digestOf,
	"layerdigest":  layerDigest,
	"bundle":       saveBundle,
	"attach":       attachBundle,
	"copyonly":     copyOnlyCommand,
	"carried":      carried,
	"putmodel":     putmodel,
	"editmanifest": editmanifest,
	"manifestsize": manifestsize,
	"addreferrer":  addReferrer,
	// private Sigstore
	"sigstore":  useSigstore,
	"token":     getToken,
	"graft":     graft,
	"legacytag": legacyTag,
	// certificates
	"authority":   newAuthority,
	"certificate": newCertificate,
	// keys
	"keypair": keypair,
	// trust
	"tuf":         tuf,
	"trustedroot": trustedRoot,
	// values
	"same":      same,
	"jsonfield": jsonField,
	"events":    eventsIn,
}

// peaksize runs other commands of the table, which would refer to itself.
func init() {
	commands["peaksize"] = peaksize
}

type stateKey struct{}

// state of one script.
type state struct {
	registries  map[string]*registrytest.Registry
	passwords   map[string][2]string // host:port → user, password
	authorities map[string]*authority
	tufs        map[string]*tufServer
}

func stateOf(ts *testscript.TestScript) *state { return ts.Value(stateKey{}).(*state) }

// usage stops the script when a command is written wrongly.
func usage(ts *testscript.TestScript, ok bool, neg bool, text string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", text)
	}
}

// registry [-token] [-user U -password P] NAME KIND
func startRegistry(ts *testscript.TestScript, neg bool, args []string) {
	flags := flag.NewFlagSet("registry", flag.ContinueOnError)
	user, password := flags.String("user", "", ""), flags.String("password", "", "")
	token := flags.Bool("token", false, "")
	ts.Check(flags.Parse(args))
	args = flags.Args()
	usage(ts, len(args) == 2, neg, "registry [-token] [-user U -password P] NAME KIND")
	name, kind := args[0], registrytest.Kind(args[1])
	if why := kind.Missing(); why != "" {
		ts.Fatalf("%s", why)
	}
	r, err := registrytest.Start(kind, ts.MkAbs(".registry-"+name))
	ts.Check(err)
	ts.Defer(func() {
		if err := r.Close(); err != nil {
			ts.Logf("registry %s: %v", name, err)
		}
	})
	s := stateOf(ts)
	if *user != "" {
		if *token {
			r.RequireToken(*user, *password)
		} else {
			r.RequirePassword(*user, *password)
		}
		if s.passwords == nil {
			s.passwords = map[string][2]string{}
		}
		s.passwords[r.Host] = [2]string{*user, *password}
	}
	s.registries[name] = r
	ts.Setenv(name, r.Host)
}

func named(ts *testscript.TestScript, name string) *registrytest.Registry {
	r := stateOf(ts).registries[name]
	if r == nil {
		ts.Fatalf("there is no registry %q", name)
	}
	return r
}

// requests NAME reset | log | COUNTER OP N
func requests(ts *testscript.TestScript, neg bool, args []string) {
	const text = "requests NAME reset | log | COUNTER ==|!=|<=|>= N"
	usage(ts, len(args) == 2 || len(args) == 4, neg, text)
	r := named(ts, args[0])
	switch {
	case len(args) == 2 && args[1] == "reset":
		r.Reset()
	case len(args) == 2 && args[1] == "log":
		ts.Logf("%s", strings.Join(r.Log(), "\n"))
	case len(args) == 4:
		got := r.Count(args[1])
		if args[1] == "open-sessions" {
			n, err := r.OpenSessions()
			ts.Check(err)
			got = int64(n)
		}
		want := parseSize(ts, args[3])
		ok := map[string]bool{"==": got == want, "!=": got != want, "<=": got <= want, ">=": got >= want}
		holds, known := ok[args[2]]
		usage(ts, known, false, text)
		if !holds {
			ts.Fatalf("%s is %d, not %s %d; the requests were:\n%s", args[1], got, args[2], want, strings.Join(r.Log(), "\n"))
		}
	default:
		usage(ts, false, false, text)
	}
}

func parseDigest(ts *testscript.TestScript, s string) digest.Digest {
	d, err := digest.Parse(s)
	if err != nil {
		ts.Fatalf("digest %q: %v", s, err)
	}
	return d
}

func openFor(ts *testscript.TestScript, reference string) (*remote.Repository, string) {
	host, _, _ := strings.Cut(reference, "/")
	login := stateOf(ts).passwords[host]
	repo, ref, err := open(reference, login[0], login[1])
	ts.Check(err)
	return repo, ref
}

func manifestOf(ts *testscript.TestScript, reference string) (*remote.Repository, ocispec.Descriptor, []byte) {
	repo, ref := openFor(ts, reference)
	desc, raw, err := fetchManifest(context.Background(), repo, ref)
	ts.Check(err)
	return repo, desc, raw
}

// digest VAR REF
func digestOf(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "digest VAR REF")
	_, desc, _ := manifestOf(ts, args[1])
	ts.Setenv(args[0], desc.Digest.String())
}

// layerdigest VAR REF PATH
func layerDigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "layerdigest VAR REF PATH")
	_, _, raw := manifestOf(ts, args[1])
	d, err := layer(raw, args[2])
	ts.Check(err)
	ts.Setenv(args[0], d.Digest.String())
}

// manifestsize REF OP N
func manifestsize(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3 && args[1] == "<=", neg, "manifestsize REF <= N")
	_, desc, _ := manifestOf(ts, args[0])
	limit, err := strconv.ParseInt(args[2], 10, 64)
	ts.Check(err)
	if desc.Size > limit {
		ts.Fatalf("the manifest of %s has %d bytes", args[0], desc.Size)
	}
}

// bundle REF PREDICATETYPE FILE saves a bundle that is attached to REF.
func saveBundle(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "bundle REF PREDICATETYPE FILE")
	repo, desc, _ := manifestOf(ts, args[0])
	found := 0
	ts.Check(bundles(context.Background(), repo, desc, func(_ ocispec.Descriptor, predicateType string, bundle []byte) error {
		if predicateType != args[1] {
			return nil
		}
		found++
		return os.WriteFile(ts.MkAbs(args[2]), bundle, 0o644)
	}))
	if found != 1 {
		ts.Fatalf("%s has %d bundles of type %s", args[0], found, args[1])
	}
}

// attach REF FILE PREDICATETYPE attaches a bundle, whatever it says.
func attachBundle(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 3, neg, "attach REF FILE PREDICATETYPE")
	repo, desc, _ := manifestOf(ts, args[0])
	ts.Check(attach(context.Background(), repo, desc, args[2], []byte(ts.ReadFile(args[1]))))
}

// legacytag REPOSITORY FROM TO SUFFIX has what cosign keeps of the digest FROM
// under a tag pass for what it keeps of the digest TO.
func legacyTag(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 4, neg, "legacytag REPOSITORY FROM TO SUFFIX")
	tag := func(d string) string { return strings.Replace(d, ":", "-", 1) + args[3] }
	repo, desc, _ := manifestOf(ts, args[0]+":"+tag(args[1]))
	ts.Check(repo.Tag(context.Background(), desc, tag(args[2])))
}

// copyonly SRC DST [PREDICATETYPE…]
func copyOnlyCommand(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) >= 2, neg, "copyonly SRC DST [PREDICATETYPE…]")
	src, srcRef := openFor(ts, args[0])
	dst, dstRef := openFor(ts, args[1])
	ts.Check(copyOnly(context.Background(), src, srcRef, dst, dstRef, args[2:]))
}

// putmodel REF FILE pushes the model that the JSON in FILE describes.
func putmodel(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "putmodel REF FILE")
	repo, tag := openFor(ts, args[0])
	var h handmade
	decoder := json.NewDecoder(strings.NewReader(ts.ReadFile(args[1])))
	decoder.DisallowUnknownFields()
	ts.Check(decoder.Decode(&h))
	_, err := h.push(context.Background(), repo, tag)
	ts.Check(err)
}

// editmanifest REF TAG OLD NEW replaces text in a manifest and pushes it as TAG
// of the same repository.
func editmanifest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 4, neg, "editmanifest REF TAG OLD NEW")
	repo, desc, raw := manifestOf(ts, args[0])
	if !bytes.Contains(raw, []byte(args[2])) {
		ts.Fatalf("the manifest has no %q:\n%s", args[2], raw)
	}
	changed := bytes.ReplaceAll(raw, []byte(args[2]), []byte(args[3]))
	_, err := pushRaw(context.Background(), repo, args[1], desc.MediaType, changed)
	ts.Check(err)
}

// addreferrer REF N attaches N unsigned referrers of no meaning.
func addReferrer(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "addreferrer REF N")
	repo, desc, _ := manifestOf(ts, args[0])
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	for i := range n {
		ts.Check(attach(context.Background(), repo, desc, "https://example.com/nothing", []byte("nothing "+strconv.Itoa(i))))
	}
}

// filedigest VAR FILE
func filedigest(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, neg, "filedigest VAR FILE")
	f, err := os.Open(ts.MkAbs(args[1]))
	ts.Check(err)
	defer f.Close()
	d, err := digest.FromReader(f)
	ts.Check(err)
	ts.Setenv(args[0], d.String())
}

// nofiles DIR: DIR has no file under a final name; it may be absent.
func nofiles(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 1, neg, "nofiles DIR")
	root := ts.MkAbs(args[0])
	if _, err := os.Lstat(root); os.IsNotExist(err) {
		return
	}
	files, err := listTree(root)
	ts.Check(err)
	files = slices.DeleteFunc(files, func(f treeFile) bool {
		return f.path == partialDir || strings.HasPrefix(f.path, partialDir+string(filepath.Separator)) || f.mode.IsDir()
	})
	if len(files) > 0 {
		ts.Fatalf("%s has files: %v", args[0], files)
	}
}

// same A B: the two values are equal.
func same(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, len(args) == 2, false, "[!] same A B")
	if equal := args[0] == args[1]; equal == neg {
		ts.Fatalf("%q and %q", args[0], args[1])
	}
}
